import resource
from collections.abc import Callable

import pytest

from collector_processor.errors import TooLargeError
from collector_processor.otlp.decode import decode_logs, decode_metrics, decode_traces
from collector_processor.otlp.elements import MAX_ELEMENTS, MAX_POINTS
from collector_processor.otlp.wire import field
from tests.otlp.stock import gauge, request_with, spans_request

MIB = 1 << 20
DECODERS: list[Callable[[bytes], object]] = [decode_metrics, decode_traces, decode_logs]


def metric_with(points: bytes) -> bytes:
    return field(1, field(2, field(2, field(1, b"m") + field(5, points))))


BOMBS: dict[str, Callable[[int], bytes]] = {
    "resources": lambda n: b"\x0a\x00" * n,
    "scopes": lambda n: field(1, b"\x12\x00" * n),
    "metrics or records": lambda n: field(1, field(2, b"\x12\x00" * n)),
    "points": lambda n: metric_with(b"\x0a\x00" * n),
    "resources with overlong tags": lambda n: b"\x8a\x00\x00" * n,
}


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("bomb", [name for name in BOMBS if name != "points"])
def test_too_many_elements_are_refused(decode: Callable[[bytes], object], bomb: str) -> None:
    with pytest.raises(TooLargeError, match="too many elements"):
        decode(BOMBS[bomb](MAX_ELEMENTS + 1))


@pytest.mark.parametrize("count", [MAX_POINTS + 1, 2 * MIB])
def test_too_many_points_are_refused(count: int) -> None:
    with pytest.raises(TooLargeError, match="too many elements"):
        decode_metrics(BOMBS["points"](count))


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_4_mib_costs_little_memory(bomb: str) -> None:
    body = BOMBS[bomb](2 * MIB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLargeError):
        decode_metrics(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_attribute_bombs_are_refused() -> None:
    many = field(7, b"") * 2_000_000
    with pytest.raises(TooLargeError):
        decode_metrics(metric_with(field(1, b"\x19" + bytes(8) + many)))
    nested = field(7, field(2, field(5, field(1, b"") * 2_000_000)))
    with pytest.raises(TooLargeError):
        decode_metrics(metric_with(field(1, b"\x19" + bytes(8) + nested)))


def test_an_honest_large_request_is_taken() -> None:
    metric = gauge(*map(float, range(20_000)), attributes={f"attribute.{i}": "x" * 20 for i in range(8)})
    body = request_with(metric).SerializeToString()
    assert len(body) > 4 * MIB
    assert decode_metrics(body).received == 20_000


def test_an_honest_trace_batch_of_a_collector_is_taken() -> None:
    request = spans_request(*["GET /item"] * 8192)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.attributes.extend(
            gauge(1.0, attributes={f"a{i}": "x" * 20 for i in range(12)}).gauge.data_points[0].attributes
        )
    assert len(decode_traces(request.SerializeToString())[0]) == 8192


def test_malformed_bytes_of_suspicious_size_are_left_to_the_parser() -> None:
    body = b"\x0a\x02\x12" + b"\x12" * 5_000_000
    with pytest.raises(Exception, match=r"protobuf|too many"):
        decode_metrics(body)
