"""Damaged requests: either refused on purpose, or read as the stock classes read them."""

import random
from collections.abc import Callable
from typing import Any, cast

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.errors import MalformedRequestError, TooLargeError
from collector_processor.otlp.decode import decode_logs, decode_metrics, decode_traces
from collector_processor.otlp.span_patch import append_span_attributes
from tests.otlp import stock
from tests.otlp.stock import attribute, extras_of, gauge, histogram, request_with, spans_request


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_on_purpose_or_taken(body: bytes) -> None:
    for decode in (decode_metrics, decode_traces, decode_logs):
        refused_or_taken(decode, body)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_metrics_are_refused_or_read_like_the_stock_classes_read_them(seed: int) -> None:
    draw = random.Random(seed)
    body = metrics_body()
    accepted = 0
    for _ in range(700):
        damaged = damage(body, draw)
        if refused_or_taken(decode_metrics, damaged) and is_valid(stock.ExportMetricsServiceRequest, damaged):
            arrivals = decode_metrics(damaged)
            rows, rejected = stock.expected_metrics(damaged)
            assert sorted(map(repr, stock.found_metrics(arrivals))) == sorted(map(repr, rows))
            assert arrivals.rejected == rejected
            assert stock.found_exemplars(arrivals) == stock.expected_exemplars(damaged)
            accepted += 1
    assert accepted > 50


@pytest.mark.parametrize("seed", range(4))
def test_what_the_stock_classes_accept_is_not_refused(seed: int) -> None:
    draw = random.Random(seed)
    body, traces = metrics_body(), spans_request("a", "b").SerializeToString()
    for _ in range(700):
        damaged = damage(body, draw)
        assert refused_or_taken(decode_metrics, damaged) or not is_valid(stock.ExportMetricsServiceRequest, damaged)
        damaged = damage(traces, draw)
        assert refused_or_taken(decode_traces, damaged) or not is_valid(stock.ExportTraceServiceRequest, damaged)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_trace_request_that_was_taken_can_be_patched(seed: int) -> None:
    draw = random.Random(seed)
    request = spans_request("a", "b", "foreband.x")
    request.resource_spans[0].scope_spans[0].spans[2].attributes.append(attribute("foreband.score", 1.0))
    body = request.SerializeToString()
    for _ in range(500):
        damaged = damage(body, draw)
        if refused_or_taken(decode_traces, damaged):
            parsed = decode_traces(damaged)[1]
            patched = append_span_attributes(parsed, extras_of(b"\x4a\x00", parsed.spans))
            assert decode_traces(patched)[1].spans == parsed.spans


def refused_or_taken(decode: Callable[[bytes], object], body: bytes) -> bool:
    try:
        decode(body)
    except (MalformedRequestError, TooLargeError):
        return False
    return True


def is_valid(message: Callable[[], object], body: bytes) -> bool:
    try:
        message.FromString(body)  # type: ignore[attr-defined]
    except DecodeError:
        return False
    return True


def damage(body: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(body)
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(len(damaged))
        match draw.randrange(4):
            case 0:
                damaged[at] ^= 1 << draw.randrange(8)
            case 1:
                damaged[at] = draw.choice([0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF])
            case 2:
                del damaged[at : at + draw.randrange(1, 9)]
            case _:
                damaged[at:at] = damaged[draw.randrange(len(damaged)) :][: draw.randrange(1, 9)]
        if not damaged:
            return b""
    return bytes(damaged)


def metrics_body() -> bytes:
    first = gauge(1.0, 2.0, attributes={"host": "a", "n": 1})
    first.gauge.data_points[1].exemplars.add(as_int=1, trace_id=bytes(range(16)), span_id=bytes(range(8)))
    second = histogram([1, 2, 3], [0.5, 1.0])
    second.histogram.data_points[0].exemplars.add(as_double=0.5, trace_id=bytes(range(16)))
    return b"".join(
        request_with(metric, service="x").SerializeToString() for metric in (first, second, exponential(), summary())
    )


def exponential() -> stock.Metric:
    metric = stock.Metric(name="e")
    metric.exponential_histogram.aggregation_temporality = cast("Any", 2)
    point = metric.exponential_histogram.data_points.add(
        time_unix_nano=stock.NOW, count=304, sum=1.5, scale=2, zero_count=1, zero_threshold=1e-9
    )
    point.positive.offset, point.negative.offset = -3, 4
    point.positive.bucket_counts.extend([1, 0, 300])
    point.negative.bucket_counts.append(2)
    point.exemplars.add(as_double=0.5, trace_id=bytes(range(16)))
    return metric


def summary() -> stock.Metric:
    metric = stock.Metric(name="s")
    point = metric.summary.data_points.add(time_unix_nano=stock.NOW, count=3, sum=1.5)
    point.attributes.append(attribute("route", "/"))
    point.quantile_values.add(quantile=0.5, value=0.25)
    point.quantile_values.add(quantile=0.99, value=2.0)
    return metric
