import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.otlp.additions import STOCK_ADDITIONS, Additions, Detail
from collector_processor.otlp.band_metrics import BandGroup, ScoredPoints, band_metrics, frame_of
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.span_patch import SpanExtras, append_span_attributes, span_attributes
from collector_processor.telemetry.arrival import NumberPoints, Source
from collector_processor.telemetry.points import Int64
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch
from tests.otlp import stock
from tests.otlp.stock import (
    NOW,
    ExportMetricsServiceRequest,
    ExportTraceServiceRequest,
    Span,
    attribute,
    gauge,
    request_with,
    spans_request,
)

SPAN_KEYS = (
    "foreband.anomaly",
    "foreband.score",
    "foreband.expected.lower",
    "foreband.expected.upper",
    "foreband.model.version",
)
BAND_METRICS = ("foreband.yhat", "foreband.lower", "foreband.upper", "foreband.score", "foreband.anomaly")
VALUES = (True, -3.5, 0.25, 1.5, "7")


def extras_for(chosen: list[bool]) -> SpanExtras:
    ones = np.ones(len(chosen))
    score = np.where(np.array(chosen, np.bool_), VALUES[1], math.nan)
    return span_attributes(ones > 0, score, ones * VALUES[2], ones * VALUES[3], np.full(len(chosen), 7))


def patched_by_stock(body: bytes, chosen: list[bool]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest.FromString(body)
    spans = [span for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans]
    for span, is_chosen in zip(spans, chosen, strict=True):
        if is_chosen:
            kept = [kv for kv in span.attributes if kv.key not in SPAN_KEYS]
            del span.attributes[:]
            span.attributes.extend([*kept, *map(attribute, SPAN_KEYS, VALUES)])
    return request


def patched_by_us(body: bytes, chosen: list[bool]) -> bytes:
    return append_span_attributes(decode_traces(body)[1], extras_for(chosen))


@given(stock.trace_requests(), st.randoms(use_true_random=False))
def test_patched_spans_equal_what_the_stock_classes_make(body: bytes, draw: Random) -> None:
    chosen = [draw.random() < 0.5 for _ in range(decode_traces(body)[1].spans)]
    patched = ExportTraceServiceRequest.FromString(patched_by_us(body, chosen))
    assert canonical(patched) == canonical(patched_by_stock(body, chosen))


def canonical(request: ExportTraceServiceRequest) -> bytes:
    return request.SerializeToString(deterministic=True)  # unknown fields included


def test_unknown_fields_survive_on_every_level() -> None:
    unknown = b"\xc2\x3e\x02hi"  # field 1000
    request = spans_request("a")
    rs = request.resource_spans[0]
    for message in (request, rs, rs.resource, rs.scope_spans[0], rs.scope_spans[0].spans[0]):
        message.MergeFromString(unknown)
    body = request.SerializeToString()
    patched = patched_by_us(body, [True])
    assert body.count(unknown) == patched.count(unknown) == 5


def test_with_nothing_to_add_the_bytes_are_the_same_object() -> None:
    body = spans_request("a", "b").SerializeToString()
    assert patched_by_us(body, [False, False]) is body


def test_a_wrong_number_of_attribute_sets_is_a_programming_error() -> None:
    parsed = decode_traces(spans_request("a", "b").SerializeToString())[1]
    with pytest.raises(ValueError, match="1 attribute sets for 2 spans"):
        append_span_attributes(parsed, extras_for([True]))


def test_ours_replaces_what_an_earlier_foreband_wrote() -> None:
    request = spans_request("a", "b")
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.attributes.extend([attribute("foreband.score", 9.0), attribute("foreband.other", 1)])
    patched = ExportTraceServiceRequest.FromString(patched_by_us(request.SerializeToString(), [True, False]))
    first, second = patched.resource_spans[0].scope_spans[0].spans
    assert [kv.key for kv in first.attributes] == ["foreband.other", *SPAN_KEYS]
    assert [kv.key for kv in second.attributes] == ["foreband.score", "foreband.other"]


def test_span_attributes_are_typed_and_absent_without_a_score() -> None:
    nan = np.array([0.5, math.nan])
    encoded, absent = span_attributes(
        np.array([False, False]), nan, nan, np.array([math.inf, 1.0]), np.array([12, 3])
    ).pieces()
    attributes = {kv.key: kv.value for kv in Span.FromString(encoded).attributes}
    assert absent == b""
    assert [attributes[key].WhichOneof("value") for key in SPAN_KEYS] == [
        "bool_value",
        "double_value",
        "double_value",
        "double_value",
        "string_value",
    ]
    assert attributes["foreband.anomaly"].bool_value is False
    assert attributes["foreband.expected.upper"].double_value == math.inf
    assert attributes["foreband.model.version"].string_value == "12"


@dataclass(frozen=True, slots=True)
class Scored:
    """Points of one group, and what was said about them."""

    source: Source
    statistic: Statistic
    unit: str
    attributes: Sequence[bytes]
    time_unix_nano: Int64
    verdicts: VerdictBatch


def scored(points: NumberPoints, statistic: Statistic = Statistic.VALUE, unit: str = "1") -> Scored:
    n = points.value.size
    ones = np.ones(n)
    verdicts = VerdictBatch(ones * 5, ones * 4, ones * 6, ones * -1.5, np.full(n, -1, np.int8))
    return Scored(points.source, statistic, unit, points.attributes, points.time_unix_nano, verdicts)


def bands_of(*scored: Scored, additions: Additions = STOCK_ADDITIONS) -> bytes:
    """Return the bands of groups in one envelope."""
    groups = [BandGroup(each.source, each.statistic, each.unit) for each in scored]
    frames = [
        frame_of(group, raw, additions) for group, each in zip(groups, scored, strict=True) for raw in each.attributes
    ]
    sizes = np.array([len(each.attributes) for each in scored])
    points = ScoredPoints(
        groups,
        np.cumsum(sizes) - sizes,
        [frame.raw for frame in frames],
        np.array([frame.head for frame in frames]),
        np.concatenate([each.time_unix_nano for each in scored]),
        VerdictBatch(
            *(np.concatenate([getattr(each.verdicts, field.name) for each in scored]) for field in fields(VerdictBatch))
        ),
    )
    (pieces,) = band_metrics(points, [range(len(groups))], additions)
    return b"".join(pieces)


def test_bands_appended_to_a_request_are_the_original_and_ours() -> None:
    metric = gauge(1.0, 2.0, attributes={"host": "a"})
    body = request_with(metric, service="x").SerializeToString() + b"\xc2\x3e\x02hi"
    (points,) = decode_metrics(body).numbers
    whole = ExportMetricsServiceRequest.FromString(body + bands_of(scored(points)))
    original = ExportMetricsServiceRequest.FromString(body)
    assert whole.resource_metrics[:-1] == original.resource_metrics[:]
    ours = whole.resource_metrics[-1]
    assert ours.resource == original.resource_metrics[0].resource
    metrics = ours.scope_metrics[0].metrics
    assert [m.name for m in metrics] == list(BAND_METRICS)
    values = [getattr(m.gauge.data_points[0], m.gauge.data_points[0].WhichOneof("value") or "") for m in metrics]
    assert values == [5.0, 4.0, 6.0, -1.5, -1]
    assert metrics[4].gauge.data_points[0].WhichOneof("value") == "as_int"
    for point in (p for m in metrics for p in m.gauge.data_points):
        assert point.time_unix_nano == NOW
        assert {kv.key: kv.value.string_value for kv in point.attributes} == {
            "host": "a",
            "foreband.metric": "queue.length",
            "foreband.statistic": "value",
        }


def test_bands_carry_the_unit_of_the_statistic_and_scores_none() -> None:
    points = decode_metrics(request_with(gauge(1.0)).SerializeToString()).numbers[0]
    encoded = bands_of(scored(points, Statistic.RATE, "By/s"), scored(points, Statistic.P95, "s"))
    metrics = ExportMetricsServiceRequest.FromString(encoded).resource_metrics[0].scope_metrics[0].metrics
    units = sorted((m.name, m.unit, len(m.gauge.data_points)) for m in metrics)
    assert units == [
        ("foreband.anomaly", "1", 2),
        ("foreband.lower", "By/s", 1),
        ("foreband.lower", "s", 1),
        ("foreband.score", "1", 2),
        ("foreband.upper", "By/s", 1),
        ("foreband.upper", "s", 1),
        ("foreband.yhat", "By/s", 1),
        ("foreband.yhat", "s", 1),
    ]


def test_one_envelope_holds_all_bands_of_a_resource() -> None:
    bodies = [
        request_with(gauge(1.0, name=name), service=service) for name, service in [("a", "x"), ("b", "x"), ("a", "y")]
    ]
    groups = [scored(decode_metrics(body.SerializeToString()).numbers[0]) for body in bodies]
    encoded = ExportMetricsServiceRequest.FromString(bands_of(*groups))
    assert [len(rm.scope_metrics[0].metrics[0].gauge.data_points) for rm in encoded.resource_metrics] == [2, 1]


def test_points_without_a_forecast_yield_nothing_and_missing_edges_no_point() -> None:
    points = decode_metrics(request_with(gauge(1.0, 2.0)).SerializeToString()).numbers[0]
    absent = VerdictBatch.absent(2)
    group = scored(points)
    none = Scored(group.source, group.statistic, "1", group.attributes, group.time_unix_nano, absent)
    assert bands_of(none) == b""
    nan = np.array([math.nan, math.nan])
    half = VerdictBatch(np.array([1.0, math.nan]), nan, np.array([2.0, 2.0]), nan, np.zeros(2, np.int8))
    one = Scored(group.source, group.statistic, "1", group.attributes, group.time_unix_nano, half)
    metrics = ExportMetricsServiceRequest.FromString(bands_of(one)).resource_metrics[0].scope_metrics[0].metrics
    assert [(m.name, len(m.gauge.data_points)) for m in metrics] == [
        ("foreband.yhat", 1),
        ("foreband.upper", 1),
        ("foreband.anomaly", 1),
    ]


def test_bands_of_histogram_points_keep_their_attributes() -> None:
    metric = stock.histogram([1, 2], [0.5])
    metric.histogram.data_points[0].attributes.append(attribute("route", "/cart" * 40))
    (points,) = decode_metrics(request_with(metric).SerializeToString()).histograms
    verdicts = VerdictBatch(np.ones(1), np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.int8))
    group = Scored(points.source, Statistic.P95, "s", points.attributes, points.time_unix_nano, verdicts)
    request = ExportMetricsServiceRequest.FromString(bands_of(group))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    assert point.attributes[0] == metric.histogram.data_points[0].attributes[0]


def test_an_attribute_of_ours_on_a_point_is_replaced() -> None:
    points = decode_metrics(
        request_with(gauge(1.0, attributes={"foreband.metric": "old", "b": 1})).SerializeToString()
    ).numbers[0]
    request = ExportMetricsServiceRequest.FromString(bands_of(scored(points)))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    assert [kv.key for kv in point.attributes] == ["b", "foreband.metric", "foreband.statistic"]
    assert struct.pack("<d", point.as_double) == struct.pack("<d", 5.0)


def test_the_minimal_set_is_two_attributes_and_two_gauges() -> None:
    additions, one = Additions(detail=Detail.MINIMAL), np.ones(1)
    (encoded,) = span_attributes(one > 0, one * 2, one, one, np.array([12]), additions).pieces()
    assert [kv.key for kv in Span.FromString(encoded).attributes] == ["foreband.anomaly", "foreband.score"]
    points = decode_metrics(request_with(gauge(1.0)).SerializeToString()).numbers[0]
    request = ExportMetricsServiceRequest.FromString(bands_of(scored(points), additions=additions))
    names = [m.name for m in request.resource_metrics[0].scope_metrics[0].metrics]
    assert names == ["foreband.score", "foreband.anomaly"]


def test_names_begin_with_the_prefixes_that_were_chosen() -> None:
    additions, one = Additions(attribute_prefix="acme.band", metric_prefix="bands"), np.ones(1)
    (encoded,) = span_attributes(one > 0, one * 2, one, one, np.array([12]), additions).pieces()
    assert {kv.key[:10] for kv in Span.FromString(encoded).attributes} == {"acme.band."}
    points = decode_metrics(request_with(gauge(1.0)).SerializeToString()).numbers[0]
    request = ExportMetricsServiceRequest.FromString(bands_of(scored(points), additions=additions))
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    assert [m.name for m in metrics] == [f"bands.{name}" for name in ("yhat", "lower", "upper", "score", "anomaly")]
    assert [kv.key for kv in metrics[0].gauge.data_points[0].attributes] == ["acme.band.metric", "acme.band.statistic"]


def test_a_smaller_verdict_leaves_nothing_of_a_larger_one_behind() -> None:
    additions, one = Additions(detail=Detail.MINIMAL), np.ones(1)
    body = patched_by_us(spans_request("a").SerializeToString(), [True])
    extra = span_attributes(one > 1, one * 2, one, one, np.array([12]), additions)
    patched = ExportTraceServiceRequest.FromString(append_span_attributes(decode_traces(body)[1], extra, additions))
    (span,) = patched.resource_spans[0].scope_spans[0].spans
    assert [kv.key for kv in span.attributes] == ["foreband.anomaly", "foreband.score"]
    assert span.attributes[0].value.bool_value is False
