"""OTLP/JSON: whatever spelling a sender chooses, the bytes behind are those of the other door."""

import base64
import json
import math
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.errors import MalformedRequestError, PermanentError, TooLargeError
from collector_processor.ledger import Signal
from collector_processor.otlp.json_request import MAX_JSON_PARTS, protobuf_of
from tests.otlp.stock import START, gauge, metrics_requests, request_with

IDS = {"traceId", "spanId", "parentSpanId"}


def spelled(message: Any, **options: Any) -> Any:
    """Return a stock message as OTLP/JSON values."""

    def with_hex_ids(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hex_ids(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {k: base64.b64decode(v).hex() if k in IDS else with_hex_ids(v) for k, v in value.items()}

    return with_hex_ids(MessageToDict(message, **options))


def metrics_of(text: str | Any) -> Any:
    raw = text if isinstance(text, str) else json.dumps(text)
    return ExportMetricsServiceRequest.FromString(protobuf_of(Signal.METRICS, raw.encode()))


def point_of(**fields: str) -> Any:
    """Read a gauge of one point whose fields are given as JSON text."""
    shown = ", ".join(f'"{name}": {text}' for name, text in fields.items())
    metric = '{"name": "g", "gauge": {"dataPoints": [{%s}]}}' % shown  # noqa: UP031
    request = metrics_of('{"resourceMetrics": [{"scopeMetrics": [{"metrics": [%s]}]}]}' % metric)  # noqa: UP031
    return request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]


def stock_request() -> Any:
    metric = gauge(1.5, -0.0, math.inf)
    exemplar = metric.gauge.data_points[0].exemplars.add(time_unix_nano=START, as_int=-(2**63))
    exemplar.trace_id, exemplar.span_id = bytes(range(16)), b"\xff" * 8
    request = request_with(metric, service="shop", n=2**63 - 1, b=b"\x00\xff", l=[1, "a", None, {"k": 0.5}], t=True)
    request.resource_metrics[0].schema_url = "https://example.org/\u2028"
    return request


@pytest.mark.parametrize("options", [{}, {"preserving_proto_field_name": False, "use_integers_for_enums": True}])
def test_the_bytes_are_those_of_the_same_request_in_protobuf(options: dict[str, Any]) -> None:
    request = stock_request()
    text = json.dumps(spelled(request, **options)).encode()
    assert protobuf_of(Signal.METRICS, text) == request.SerializeToString()


def test_snake_case_and_enumeration_names_are_understood() -> None:
    metric = {"name": "c", "sum": {"aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA", "is_monotonic": True}}
    request = metrics_of({"resource_metrics": [{"scope_metrics": [{"metrics": [metric]}]}]})
    data = request.resource_metrics[0].scope_metrics[0].metrics[0].sum
    assert (data.aggregation_temporality, data.is_monotonic) == (1, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"1700000000000000001"', 1700000000000000001),
        ("1700000000000000001", 1700000000000000001),
        ("1.7e18", 17 * 10**17),
    ],
)
def test_a_time_is_text_or_a_number(text: str, value: int) -> None:
    assert point_of(timeUnixNano=text).time_unix_nano == value


@pytest.mark.parametrize(
    "text", ["1e999", '"-1"', "-1", "1.5", '"1.5"', '""', "18446744073709551616", '"soon"', "true", "[]"]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(MalformedRequestError):
        point_of(timeUnixNano=text)


@pytest.mark.parametrize(
    ("text", "value"),
    [('"NaN"', math.nan), ('"Infinity"', math.inf), ('"-Infinity"', -math.inf), ("-0.0", -0.0), ('"1.5"', 1.5)],
)
def test_numbers_that_json_has_not_are_text(text: str, value: float) -> None:
    assert repr(point_of(asDouble=text).as_double) == repr(value)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400, f'"{"1" * 400}"', "1" * 5000])
def test_tokens_that_are_no_number_of_json_are_refused(token: str) -> None:
    with pytest.raises(MalformedRequestError):
        point_of(asDouble=token)


def test_unknown_keys_are_ignored_and_null_is_the_default() -> None:
    point = point_of(timeUnixNano="null", asInt='"5"', exemplars="null", later='{"traceIds": [1, {"a": null}]}')
    assert (point.time_unix_nano, point.as_int, len(point.exemplars)) == (0, 5, 0)


def test_an_unknown_enumeration_name_is_the_default_and_a_number_stays() -> None:
    for spelling, value in (('"SOMETHING_NEW"', 0), ("99", 99)):
        text = '{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"aggregationTemporality": %s}}]}]}]}'
        request = metrics_of(text % spelling)
        assert request.resource_metrics[0].scope_metrics[0].metrics[0].sum.aggregation_temporality == value


@pytest.mark.parametrize(
    "text",
    [
        '{"resourceMetrics": [], "resourceMetrics": []}',
        '{"resourceMetrics": [], "resource_metrics": []}',
        '{"x": {"a": 1, "a": 1}}',
    ],
)
def test_what_is_said_twice_is_refused(text: str) -> None:
    with pytest.raises(MalformedRequestError):
        metrics_of(text)


def test_a_point_of_two_values_is_refused() -> None:
    with pytest.raises(MalformedRequestError, match="same choice"):
        point_of(asInt='"1"', asDouble="1.0")


@pytest.mark.parametrize("digits", ["0af7651916cd43dd8448eb211c80319c", "0AF7651916CD43DD8448EB211C80319C"])
def test_trace_ids_are_hexadecimal_in_either_case(digits: str) -> None:
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": digits, "parentSpanId": ""}]}]}]})
    request = ExportTraceServiceRequest.FromString(protobuf_of(Signal.TRACES, text.encode()))
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.trace_id == bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
    assert span.parent_span_id == b""


@pytest.mark.parametrize(
    "digits", ['"0af7"', '"0af7651916cd43dd8448eb211c8031"', f'"{"x" * 32}"', '"abc"', f'"{" 0" * 16}"', "5", "[1]"]
)
def test_an_id_that_is_none_is_refused_whole(digits: str) -> None:
    with pytest.raises(MalformedRequestError, match="traceId cannot be"):
        point_of(exemplars='[{"traceId": %s}]' % digits)  # noqa: UP031


NO_REQUESTS = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"{}{}",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b"1" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"resourceMetrics": {}}',
    b'{"resourceMetrics": 1}',
    b'{"resourceMetrics": [1]}',
    b'{"resourceMetrics": [[]]}',
    b'{"resourceMetrics": ["resource"]}',
    b'{"resourceMetrics": [{"resource": []}]}',
    b'{"resourceMetrics": [{"resource": "attributes"}]}',
    b'{"resourceMetrics": [{"resource": {"attributes": [{"key": 1}]}}]}',
    b'{"resourceMetrics": [{"schemaUrl": "\\ud800"}]}',
    '{"resourceMetrics": "\ud800"}'.encode("utf-8", "surrogatepass"),
]


@pytest.mark.parametrize("raw", NO_REQUESTS)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        protobuf_of(Signal.METRICS, raw)


def test_the_depth_of_values_is_bounded() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {"stringValue": "x"}
        for _ in range(depth):
            value = {"arrayValue": {"values": [value]}}
        return {"resourceMetrics": [{"resource": {"attributes": [{"key": "k", "value": value}]}}]}

    metrics_of(nested(32))
    with pytest.raises(MalformedRequestError):
        metrics_of(nested(200))


@pytest.mark.parametrize("text", ["AP8=", "AP8", "__4=", "//4", ""])
def test_bytes_are_base64_of_either_alphabet(text: str) -> None:
    value = {"resourceMetrics": [{"resource": {"attributes": [{"value": {"bytesValue": text}}]}}]}
    found = metrics_of(value).resource_metrics[0].resource.attributes[0].value
    assert found.bytes_value == base64.urlsafe_b64decode(text.replace("/", "_") + "==")
    assert found.WhichOneof("value") == "bytes_value"


def test_an_empty_value_is_a_value() -> None:
    (attribute,) = (
        metrics_of({"resourceMetrics": [{"resource": {"attributes": [{"value": {}}]}}]})
        .resource_metrics[0]
        .resource.attributes
    )
    assert attribute.HasField("value")


@pytest.mark.parametrize("part", [b"{},", b"[],"])
def test_too_many_parts_are_refused_before_they_are_parsed(part: bytes) -> None:
    with pytest.raises(TooLargeError):
        protobuf_of(Signal.METRICS, part * (MAX_JSON_PARTS + 1))


KEYS = [
    "resourceMetrics",
    "scopeMetrics",
    "metrics",
    "gauge",
    "sum",
    "dataPoints",
    "attributes",
    "key",
    "value",
    "asInt",
    "timeUnixNano",
    "exemplars",
    "traceId",
    "resource",
    "kvlistValue",
    "bytesValue",
    "x",
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES, st.sampled_from(Signal))
def test_any_other_json_is_taken_or_refused_for_good(values: Any, signal: Signal) -> None:
    taken_or_refused(signal, json.dumps({"resourceMetrics": values, "resourceSpans": values}).encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_or_refused_for_good(raw: bytes) -> None:
    taken_or_refused(Signal.LOGS, raw)


def taken_or_refused(signal: Signal, raw: bytes) -> None:
    with suppress(PermanentError):
        protobuf_of(signal, raw)


@given(metrics_requests())
def test_every_request_reads_the_same_in_json(body: bytes) -> None:
    request = ExportMetricsServiceRequest.FromString(body)
    for message in request.resource_metrics:
        message.DiscardUnknownFields()
    request.DiscardUnknownFields()
    assert metrics_of(spelled(request)) == request or "nan" in str(request)
