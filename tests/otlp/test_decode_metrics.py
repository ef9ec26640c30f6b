import math
import tracemalloc
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.errors import MalformedRequestError, TooLargeError
from collector_processor.otlp import histogram_points
from collector_processor.otlp.decode import decode_metrics, parse_attributes
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.wire import field
from collector_processor.telemetry.points import is_stale
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
    assert is_stale(numbers.value).all()
    assert not is_stale(np.array([math.nan, 1.0])).any()


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
    cut = histogram_points._cut(point.SerializeToString(), 0, 0, Budget(100), ExemplarTable())
    assert cut is not None
    assert cut == histogram_points._parsed(point.SerializeToString(), 0, 0, Budget(100), ExemplarTable())


def test_a_truncated_histogram_point_is_never_read_as_a_whole_one() -> None:
    point = histogram([1] * 4, [0.0, 1.0, 2.0], min=0.0, max=1.5).histogram.data_points[0]
    point.attributes.append(attribute("route", "/cart"))
    raw = point.SerializeToString()
    for size in range(len(raw)):
        cut = histogram_points._cut(raw[:size], 0, 0, Budget(100), ExemplarTable())
        assert cut is None or cut == histogram_points._parsed(raw[:size], 0, 0, Budget(100), ExemplarTable())


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


def exponential(**fields: Any) -> Metric:
    metric = Metric(name="latency", unit="s")
    metric.exponential_histogram.aggregation_temporality = cast("Any", 2)
    fields = {"start_time_unix_nano": START, "time_unix_nano": NOW} | fields
    metric.exponential_histogram.data_points.add(**fields)
    return metric


def test_an_exponential_histogram_keeps_the_buckets_that_hold_anything() -> None:
    metric = exponential(
        scale=3,
        positive={"offset": -2, "bucket_counts": [1, 0, 300]},
        negative={"offset": 7, "bucket_counts": [2**40]},
        zero_count=5,
        count=306 + 2**40,
    )
    (points,) = decoded(metric).exponentials
    buckets = zip(points.bucket_index.tolist(), points.bucket_count.tolist(), points.is_negative.tolist(), strict=True)
    assert sorted(buckets) == [(-2, 1.0, False), (0, 300.0, False), (7, 2.0**40, True)]
    assert (points.scale.tolist(), points.zero_count.tolist()) == ([3], [5.0])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"scale": 1000}, "scale_out_of_range"),
        ({"scale": -1000}, "scale_out_of_range"),
        ({"scale": 21}, "scale_out_of_range"),
        ({"positive": {"offset": 2**31 - 1, "bucket_counts": [1]}, "count": 1}, "bucket_out_of_range"),
        ({"positive": {"offset": -1075, "bucket_counts": [1]}, "count": 1}, "bucket_out_of_range"),
        ({"positive": {"bucket_counts": [1, 2]}, "count": 4}, "bad_buckets"),
        ({"zero_count": 2**64 - 1, "count": 1}, "bad_buckets"),
        ({"zero_threshold": -1.0}, "bad_buckets"),
        ({"zero_threshold": math.inf}, "bad_buckets"),
        ({"start_time_unix_nano": NOW + 1}, "start_after_time"),
    ],
)
def test_an_exponential_histogram_that_makes_no_sense_is_rejected(fields: dict[str, Any], reason: str) -> None:
    assert rejected(exponential(**fields)) == {reason: 1}


@pytest.mark.parametrize("scale", [-10, 20])
@pytest.mark.parametrize("offset", [-1074, 1023])
def test_the_buckets_of_the_smallest_and_largest_doubles_are_kept(scale: int, offset: int) -> None:
    index = offset << scale if scale > 0 else offset >> -scale
    arrivals = decoded(exponential(scale=scale, positive={"offset": index, "bucket_counts": [1]}, count=1))
    assert (len(arrivals.exponentials), arrivals.rejected) == (1, {})


def test_too_many_bytes_of_buckets_refuse_the_request() -> None:
    point = exponential(positive={"bucket_counts": [0] * (1 << 20)}).exponential_histogram.data_points[0]
    metric = exponential()
    metric.exponential_histogram.data_points.extend([point] * 5)
    with pytest.raises(TooLargeError, match="too many elements"):
        decoded(metric)


def test_too_many_buckets_that_are_not_packed_refuse_the_request_before_they_are_parsed() -> None:
    buckets = field(8, b"\x10\x01" * (4 << 20) + b"\x10\x01")
    body = field(1, field(2, field(2, field(1, b"e") + field(10, field(1, buckets) + b"\x10\x02"))))
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="too many elements"):
        decode_metrics(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(body)


def test_a_summary_keeps_its_quantiles_beside_its_attributes() -> None:
    metric = Metric(name="latency", unit="s")
    point = metric.summary.data_points.add(time_unix_nano=NOW, count=3, sum=1.5)
    point.attributes.extend([attribute("route", "/"), attribute("quantile", "mine")])
    point.quantile_values.add(quantile=0.5, value=0.25)
    point.quantile_values.add(quantile=1.0, value=2.0)
    (points,) = decoded(metric).summaries
    assert (points.count.tolist(), points.sum.tolist(), points.quantile_value.tolist()) == ([3], [1.5], [0.25, 2.0])
    assert [parse_attributes(raw) for raw in points.quantile_attributes] == [
        (("quantile", 0.5), ("route", "/")),
        (("quantile", 1.0), ("route", "/")),
    ]


@pytest.mark.parametrize("quantiles", [[0.5, 0.5], [1.1], [-0.1], [math.nan], [i / 100 for i in range(33)]])
def test_quantiles_that_make_no_sense_reject_the_summary(quantiles: list[float]) -> None:
    metric = Metric(name="latency")
    point = metric.summary.data_points.add(time_unix_nano=NOW)
    for quantile in quantiles:
        point.quantile_values.add(quantile=quantile, value=1.0)
    assert rejected(metric) == {"bad_quantiles": 1}


TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))


@pytest.fixture(params=["gauge", "histogram", "exponential"])
def metric(request: pytest.FixtureRequest) -> Metric:
    """A metric of one point."""
    match request.param:
        case "gauge":
            made = gauge(1.0)
        case "histogram":
            made = histogram([1, 2], [0.5], min=0.0, max=1.0)
        case _:
            made = exponential()
    point_of(made).attributes.append(attribute("route", "/"))
    return made


def point_of(metric: Metric) -> Any:
    (point,) = getattr(metric, cast("Any", metric.WhichOneof("data"))).data_points
    return point


def test_exemplars_link_a_point_to_traces(metric: Metric) -> None:
    plain = stock.found_metrics(decoded(metric))
    point = point_of(metric)
    point.exemplars.add(time_unix_nano=NOW, as_int=7, trace_id=TRACE, span_id=SPAN)
    point.exemplars.add(time_unix_nano=NOW, as_double=0.5, trace_id=TRACE)
    point.exemplars.add(time_unix_nano=NOW, as_double=0.5)
    arrivals = decoded(metric)
    assert stock.found_metrics(arrivals) == plain
    assert stock.found_exemplars(arrivals) == sorted(
        [(metric.name, NOW, (7.0).hex(), TRACE, SPAN), (metric.name, NOW, (0.5).hex(), TRACE, b"")]
    )
    assert arrivals.bad_exemplars == 0


@pytest.mark.parametrize("ids", [(bytes(16), SPAN), (TRACE[:15], SPAN), (TRACE, SPAN[:7]), (TRACE, bytes(8))])
def test_an_exemplar_with_a_bad_id_is_dropped_and_counted_and_its_point_taken(
    metric: Metric, ids: tuple[bytes, bytes]
) -> None:
    point_of(metric).exemplars.add(time_unix_nano=NOW, as_int=7, trace_id=ids[0], span_id=ids[1])
    arrivals = decoded(metric)
    assert (len(stock.found_metrics(arrivals)), arrivals.rejected) == (1, {})
    assert (stock.found_exemplars(arrivals), arrivals.bad_exemplars) == ([], 1)


def test_of_a_point_with_many_exemplars_the_newest_few_are_read() -> None:
    metric = gauge(1.0)
    for i in range(10):
        metric.gauge.data_points[0].exemplars.add(time_unix_nano=NOW + i, trace_id=TRACE)
    assert [time - NOW for _, time, *_ in stock.found_exemplars(decoded(metric))] == [6, 7, 8, 9]


def test_exemplars_stay_with_their_point_where_others_are_rejected() -> None:
    metric = gauge(1.0, 2.0, 3.0)
    metric.gauge.data_points[1].time_unix_nano = START - 1
    metric.gauge.data_points[2].exemplars.add(time_unix_nano=NOW, trace_id=TRACE)
    (points,) = decoded(metric).numbers
    assert points.value.tolist() == [1.0, 3.0]
    assert [e.row for e in points.exemplars] == [1]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9))
def test_no_bit_of_an_integer_is_lost(values: list[int]) -> None:
    metric = Metric(name="m")
    for i, value in enumerate(values):
        point = metric.gauge.data_points.add(time_unix_nano=NOW, start_time_unix_nano=START, as_int=value)
        point.flags = 2 * (i % 2)  # every other one is parsed on its own
    (points,) = decoded(metric).numbers
    low = np.zeros(len(values)) if points.low is None else points.low
    assert [int(v) + int(rest) for v, rest in zip(points.value.tolist(), low.tolist(), strict=True)] == values
    assert points.value.tolist() == [float(v) for v in values]
