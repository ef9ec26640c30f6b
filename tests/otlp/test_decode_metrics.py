import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp import histogram_points
from collector_processor.otlp.decode import decode_metrics, parse_attributes
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.wire import field
from collector_processor.telemetry.series import Kind
from tests.otlp import stock
from tests.otlp.stock import NOW, START, Metric, attribute, gauge, histogram, request_with


def decoded(metric: Metric, **resource: Any) -> Any:
    return decode_metrics(request_with(metric, **resource).SerializeToString())


def rejected(metric: Metric, **resource: Any) -> dict[str, int]:
    arrivals = decoded(metric, **resource)
    assert arrivals.received == sum(arrivals.rejected.values())
    assert not arrivals.numbers
    assert not arrivals.histograms
    return dict(arrivals.rejected)


@given(stock.metrics_requests())
def test_it_finds_what_a_plain_walk_over_the_stock_classes_finds(body: bytes) -> None:
    arrivals = decode_metrics(body)
    rows, reasons = stock.expected_metrics(body)
    assert sorted(map(repr, stock.found_metrics(arrivals))) == sorted(map(repr, rows))
    assert arrivals.rejected == reasons
    assert arrivals.received == len(rows) + reasons.total()


def test_points_keep_the_order_in_which_they_came() -> None:
    (numbers,) = decoded(gauge(3.0, 1.0, 2.0)).numbers
    assert numbers.value.tolist() == [3.0, 1.0, 2.0]


def test_the_common_shape_and_any_other_shape_give_the_same_columns() -> None:
    metric = gauge(1.0, 2.0, 3.0, 4.0, attributes={"host": "a"})
    metric.gauge.data_points[1].exemplars.add(as_int=1)
    metric.gauge.data_points[2].ClearField("start_time_unix_nano")
    raw = metric.gauge.data_points[3].SerializeToString()
    metric.gauge.data_points[3].MergeFromString(b"\xc2\x3e\x02hi")
    assert metric.gauge.data_points[3].SerializeToString() != raw
    (numbers,) = decoded(metric).numbers
    assert numbers.value.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert numbers.start_unix_nano.tolist() == [START, START, 0, START]
    assert numbers.time_unix_nano.tolist() == [NOW] * 4
    assert len(set(numbers.attributes)) == 1


def test_an_integer_becomes_a_float() -> None:
    metric = Metric(name="m")
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=-(2**62))
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=7, flags=2)
    (numbers,) = decoded(metric).numbers
    assert numbers.value.tolist() == [-(2.0**62), 7.0]


def test_special_floats_arrive_exactly() -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]
    (numbers,) = decoded(gauge(*values)).numbers
    assert numbers.value.tobytes() == np.array(values).tobytes()


def test_no_recorded_value_is_a_gap_whatever_value_comes_with_it() -> None:
    metric = gauge(5.0)
    metric.gauge.data_points[0].flags = 1
    (numbers,) = decoded(metric).numbers
    assert numbers.is_gap.all()
    assert math.isnan(numbers.value[0])


def test_a_point_without_value_and_flag_is_rejected() -> None:
    metric = gauge(1.0)
    metric.gauge.data_points[0].ClearField("as_double")
    metric.gauge.data_points.add()
    assert rejected(metric) == {"no_value": 2}


def test_good_points_of_a_partly_bad_batch_are_taken() -> None:
    metric = gauge(*map(float, range(10)))
    for bad in (1, 5, 9):
        metric.gauge.data_points[bad].start_time_unix_nano = NOW + 1
    arrivals = decoded(metric)
    assert arrivals.rejected == {"start_after_time": 3}
    assert arrivals.received == 10
    assert arrivals.numbers[0].value.tolist() == [0, 2, 3, 4, 6, 7, 8]


def test_a_time_beyond_63_bits_is_negative() -> None:
    metric = gauge(1.0)
    metric.gauge.data_points[0].time_unix_nano = 2**64 - 1
    assert decoded(metric).numbers[0].time_unix_nano.tolist() == [-1]


@pytest.mark.parametrize(
    ("temporality", "monotonic", "kind"),
    [
        (2, True, Kind.COUNTER_CUMULATIVE),
        (1, True, Kind.COUNTER_DELTA),
        (2, False, Kind.UPDOWN_CUMULATIVE),
        (1, False, Kind.UPDOWN_DELTA),
    ],
)
def test_a_sum_has_a_kind_by_temporality_and_monotonicity(temporality: Any, monotonic: bool, kind: Kind) -> None:
    metric = Metric(name="m")
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = monotonic
    metric.sum.data_points.add(time_unix_nano=NOW, as_int=1)
    assert decoded(metric).numbers[0].source.kind is kind


@pytest.mark.parametrize("temporality", [0, 99])
def test_an_unspecified_temporality_rejects_every_point(temporality: Any) -> None:
    metric = histogram([1], [])
    metric.histogram.aggregation_temporality = temporality
    assert rejected(metric) == {"temporality_unspecified": 1}


def test_exponential_histograms_and_summaries_are_counted_as_unsupported() -> None:
    summary, exponential = Metric(name="s"), Metric(name="e")
    summary.summary.data_points.add()
    exponential.exponential_histogram.data_points.add()
    exponential.exponential_histogram.data_points.add()
    assert rejected(summary) == {"unsupported_kind": 1}
    assert rejected(exponential) == {"unsupported_kind": 2}


def test_a_metric_without_data_counts_as_one() -> None:
    assert rejected(Metric(name="m")) == {"no_data": 1}


@pytest.mark.parametrize(("name", "reason"), [("", "name_missing"), ("x" * 1025, "name_too_long")])
def test_a_metric_needs_a_name_of_reasonable_length(name: str, reason: str) -> None:
    assert rejected(gauge(1.0, 2.0, name=name)) == {reason: 2}


@pytest.mark.parametrize("name", ["x" * 1024, "a\0b", "a\nb", "../../etc/passwd", "\u202eabc"])
def test_odd_names_arrive_verbatim(name: str) -> None:
    assert decoded(gauge(1.0, name=name)).numbers[0].source.metric == name


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({f"k{i}": 1 for i in range(65)}, "too_many_attributes"),
        ({"k" * 257: 1}, "attribute_too_long"),
        ({"k": "v" * 4097}, "attribute_too_long"),
        ({"k": ["v" * 4096]}, "attribute_too_long"),
    ],
)
def test_attributes_past_a_limit_reject_the_point_wherever_they_stand(attributes: dict[str, Any], reason: str) -> None:
    assert rejected(gauge(1.0, attributes=attributes)) == {reason: 1}
    assert rejected(gauge(1.0), **attributes) == {reason: 1}


def test_attributes_at_the_limit_are_taken() -> None:
    shared = {f"r{i}": 1 for i in range(32)}
    own: dict[str, Any] = {f"p{i}": 1 for i in range(30)} | {"k" * 256: 1, "v": "ü" * 2048}
    assert not decoded(gauge(1.0, attributes=own), **shared).rejected
    assert rejected(gauge(1.0, attributes=own | {"more": 1}), **shared) == {"too_many_attributes": 1}


def test_split_resources_are_one_resource() -> None:
    one = request_with(gauge(1.0), a="1").SerializeToString()
    request = stock.ExportMetricsServiceRequest.FromString(one)
    resource = stock.request_with(gauge(), b="2").resource_metrics[0].resource.SerializeToString()
    body = field(1, request.resource_metrics[0].SerializeToString() + field(1, resource))
    assert stock.found_metrics(decode_metrics(body)) == stock.expected_metrics(body)[0]
    assert stock.found_metrics(decode_metrics(body))[0][0] == "[('a', '1'), ('b', '2')]"


@pytest.mark.parametrize(
    ("counts", "bounds", "fields"),
    [
        ([1, 2], [0.0, 1.0], {}),
        ([1, 2, 3, 4], [0.0, 1.0], {}),
        ([1, 2, 3], [1.0, 0.0], {}),
        ([1, 2, 3], [1.0, 1.0], {}),
        ([1, 2, 3], [0.0, math.nan], {}),
        ([1, 2, 3], [0.0, math.inf], {}),
        ([1, 2, 3], [0.0, 1.0], {"count": 7}),
        ([], [1.0], {"count": 7}),
    ],
)
def test_contradictory_buckets_are_rejected(counts: list[int], bounds: list[float], fields: dict[str, Any]) -> None:
    assert rejected(histogram(counts, bounds, **fields)) == {"bad_buckets": 1}


def test_histogram_points_are_grouped_by_their_bounds() -> None:
    metric = histogram([1, 2], [0.5])
    metric.histogram.data_points.extend(histogram([3, 4, 5], [0.5, 1.0]).histogram.data_points)
    metric.histogram.data_points.extend(histogram([6, 7], [0.5], time_unix_nano=NOW + 1).histogram.data_points)
    first, second = decoded(metric).histograms
    assert first.bucket_counts.tolist() == [[1, 2], [6, 7]]
    assert first.count.tolist() == [3, 13]
    assert second.bounds.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("extremes", [{}, {"min": 0.25, "max": 1.5}])
def test_histogram_points_of_the_common_shape_are_cut_and_not_parsed(extremes: dict[str, float]) -> None:
    point = histogram([1] * 16, [float(b) for b in range(15)], **extremes).histogram.data_points[0]
    point.attributes.append(attribute("route", "/cart"))
    cut = histogram_points._cut(point.SerializeToString(), 0, Budget(100))
    assert cut is not None
    assert cut == histogram_points._parsed(point.SerializeToString(), 0, Budget(100))


def test_a_truncated_histogram_point_is_never_read_as_a_whole_one() -> None:
    point = histogram([1] * 4, [0.0, 1.0, 2.0], min=0.0, max=1.5).histogram.data_points[0]
    point.attributes.append(attribute("route", "/cart"))
    raw = point.SerializeToString()
    for size in range(len(raw)):
        cut = histogram_points._cut(raw[:size], 0, Budget(100))
        assert cut is None or cut == histogram_points._parsed(raw[:size], 0, Budget(100))


def test_a_histogram_without_buckets_has_one_column() -> None:
    (points,) = decoded(histogram([], [], count=4)).histograms
    assert points.bucket_counts.tolist() == [[4]]
    assert points.bounds.size == 0


def test_unpacked_buckets_are_read_like_packed_ones() -> None:
    packed = histogram([1, 2], [0.5]).histogram.data_points[0]
    rest = stock.HistogramDataPoint.FromString(packed.SerializeToString())
    rest.ClearField("bucket_counts")
    unpacked = b"\x31" + (1).to_bytes(8, "little") + b"\x31" + (2).to_bytes(8, "little")
    data = b"\x10\x02" + field(1, rest.SerializeToString() + unpacked)
    body = field(1, field(2, field(2, field(1, b"latency") + field(9, data))))
    assert decode_metrics(body).histograms[0].bucket_counts.tolist() == [[1, 2]]


def test_an_empty_request_and_empty_envelopes_are_fine() -> None:
    for body in (b"", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x02\x0a\x00"):
        arrivals = decode_metrics(body)
        assert arrivals.received == 0
        assert arrivals.rejected == Counter()


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"\x0a", b"\x0a\x05ab", b"\x0b", b"not protobuf at all"])
def test_undecodable_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="metrics request: not a valid protobuf message"):
        decode_metrics(body)


@pytest.mark.parametrize("where", ["name", "point", "resource"])
def test_invalid_utf8_is_named(where: str) -> None:
    metric = gauge(
        1.0, name="QQQQ" if where == "name" else "m", attributes={"host": "QQQQ" if where == "point" else ""}
    )
    request = request_with(metric, **({"host": "QQQQ"} if where == "resource" else {}))
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        decode_metrics(request.SerializeToString().replace(b"QQQQ", b"a\xff\xfeb"))


@pytest.mark.parametrize("in_list", [True, False])
def test_values_nest_up_to_32_levels(in_list: bool) -> None:
    assert parse_attributes(nested_attribute(32, in_list=in_list))[0][0] == "deep"
    for depth in (33, 51, 1000):
        with pytest.raises(MalformedRequestError):
            parse_attributes(nested_attribute(depth, in_list=in_list))


def test_a_value_nested_too_deep_makes_the_request_malformed() -> None:
    metric = gauge(1.0)
    metric.gauge.data_points[0].MergeFromString(nested_attribute(33, in_list=True))
    with pytest.raises(MalformedRequestError, match="deeper than 32 levels"):
        decoded(metric)


def nested_attribute(depth: int, *, in_list: bool) -> bytes:
    value = b"\x18\x01"
    for _ in range(depth - 1):
        value = field(5, field(1, value)) if in_list else field(6, field(1, field(1, b"k") + field(2, value)))
    return field(7, field(1, b"deep") + field(2, value))


def test_attribute_order_and_duplicates_do_not_change_what_is_parsed() -> None:
    metric = gauge(1.0, 2.0)
    one, two = metric.gauge.data_points
    one.attributes.extend([attribute("b", 2), attribute("a", 9), attribute("a", 1)])
    two.attributes.extend([attribute("a", 1), attribute("b", 2)])
    rows = stock.found_metrics(decoded(metric))
    assert rows[0][5] == rows[1][5] == "[('a', 1), ('b', 2)]"
