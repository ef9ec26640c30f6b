"""The HTTP door, over real connections: the stated answer to each kind of sender, and nothing lost uncounted."""

import gzip
import json
import random
import re
import sys
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from threading import Event
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector_processor.errors import ConfigError, PermanentError, StoreError
from collector_processor.ledger import Signal
from collector_processor.otlp import http_receiver
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.gate import Authorize, Refusal, everybody
from collector_processor.otlp.http_receiver import HttpReceiver, HttpSettings
from collector_processor.web.server import WebSettings
from tests.otlp.door import PATIENCE, Behind
from tests.otlp.stock import START, gauge, request_with
from tests.process import wait_until
from tests.raw_http import JSON, PROTOBUF, Answer, chunked, connect, exchange, head_of, is_closed, posted, read_answer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

METRICS = "/v1/metrics"
GOOD = request_with(gauge(1.0), service="shop").SerializeToString()
GOOD_JSON = json.dumps(MessageToDict(request_with(gauge(1.0), service="shop"))).encode()
LIMIT = 1 << 20


class Door(Behind):
    """An HTTP receiver on a free port with something behind it."""

    def __init__(self, max_in_flight: int = 8, authorize: Authorize = everybody, **web: Any) -> None:
        super().__init__(max_in_flight)
        settings = HttpSettings("127.0.0.1:0", LIMIT, WebSettings(**web))
        self.receiver = HttpReceiver(settings, self.entrance, authorize)
        self.address = f"127.0.0.1:{self.receiver.start()}"

    def send(self, request: bytes) -> Answer:
        return exchange(self.address, request)

    def buffered(self) -> int:
        """Return the bytes of all bodies that are not whole yet."""
        return sum(channel.buffered for channel in list(self.receiver._server._waitress.active_channels.values()))

    def close(self) -> None:
        self.receiver.stop(1.0)
        self.assert_balanced()


@pytest.fixture
def open_door() -> Iterator[Callable[..., Door]]:
    doors: list[Door] = []

    def opened(*settings: Any, **web: Any) -> Door:
        doors.append(Door(*settings, **web))
        return doors[-1]

    yield opened
    for door in doors:
        assert door.send(posted(METRICS, GOOD, authorization="Bearer s3cret")).code == 200
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON, f"{JSON}; charset=utf-8", "Application/JSON"])
def test_an_empty_request_is_fine_in_each_type(door: Door, signal: Signal, content_type: str) -> None:
    is_json = "json" in content_type.lower()
    answer = door.send(posted(f"/v1/{signal}", b"{}" if is_json else b"", content_type))
    assert (answer.code, answer.body) == (200, b"{}" if is_json else b"")
    assert answer.headers["content-type"] == (JSON if is_json else PROTOBUF)
    assert door.bodies[0][:2] == (signal, b"")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "zlib", "zstd", "identity", ""])
def test_a_good_request_is_taken_plain_and_compressed(door: Door, encoding: str) -> None:
    body = COMPRESS.get(encoding.lower(), bytes)(GOOD)
    assert door.send(posted(METRICS, body, content_encoding=encoding)).body == b""
    assert door.send(chunked(METRICS, [GOOD[:7], GOOD[7:]])).code == 200
    assert [body for _, body, _ in door.bodies] == [GOOD, GOOD]
    assert door.ledger.row(Signal.METRICS).stored == 2


def test_what_was_sent_as_json_goes_on_as_protobuf(door: Door) -> None:
    assert door.send(posted(METRICS, GOOD_JSON, JSON)).body == b"{}"
    assert door.bodies[0][:2] == (Signal.METRICS, GOOD)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": zstd.compress,
}


def random_gzip(size: int) -> bytes:
    return gzip.compress(random.Random(1).randbytes(size))


def lying_gzip(body: bytes, size: int) -> bytes:
    """Compress, and say that it inflates to another size."""
    return gzip.compress(body)[:-4] + size.to_bytes(4, "little")


@dataclass(frozen=True)
class Row:
    """A request, its code, a part of what is said, and how the ledger calls it (nothing: it was no telemetry)."""

    request: bytes
    code: int
    says: str = ""
    reason: Refusal | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def malformed(request: bytes, says: str) -> Row:
    return Row(request, 400, says, Refusal.MALFORMED)


def zipped(body: bytes, content_type: str = PROTOBUF, coding: str = "gzip") -> bytes:
    return posted(METRICS, body, content_type, content_encoding=coding)


ROWS = {
    "GET": Row(head_of(METRICS, method="GET"), 405, "POST", headers={"allow": "POST"}),
    "PATCH": Row(head_of(METRICS, method="PATCH"), 405, "POST", headers={"allow": "POST"}),
    "a preflight": Row(head_of(METRICS, method="OPTIONS", headers=[("Origin", "http://evil")]), 405),
    "an unknown path": Row(posted("/v1development/profiles", b""), 404, "/v1/metrics"),
    "a slash too many": Row(posted("/v1/metrics/", GOOD), 404, "no '/v1/metrics/' here"),
    "no content type": Row(head_of(METRICS, headers=[("Content-Length", 0)]), 415, PROTOBUF, Refusal.NOT_READ),
    "an odd content type": Row(posted(METRICS, GOOD, "text/plain"), 415, PROTOBUF, Refusal.NOT_READ),
    "snappy": Row(
        zipped(GOOD, coding="snappy"), 415, "gzip, deflate, zstd or none, not 'snappy'", Refusal.NOT_READ,
        headers={"accept-encoding": "gzip, deflate, zstd"},
    ),
    "br": Row(zipped(GOOD, coding="br"), 415, "gzip", Refusal.NOT_READ),
    "no zstd": malformed(zipped(GOOD, coding="zstd"), "not valid zstd"),
    "nothing as zstd": malformed(zipped(b"", coding="zstd"), "cut off"),
    "zstd cut off": malformed(zipped(zstd.compress(GOOD)[:-3], coding="zstd"), "cut off"),
    "zstd and more": malformed(zipped(zstd.compress(GOOD) + b"more", coding="zstd"), "followed by something else"),
    "zstd of a dictionary": malformed(zipped(b"\x28\xb5\x2f\xfd\x21\x07\x01\x01\x00\x00", coding="zstd"), "not valid"),
    "a bomb in zstd": Row(zipped(zstd.compress(bytes(64 << 20)), coding="zstd"), 413, str(LIMIT), Refusal.NOT_READ),
    "no deflate": malformed(zipped(GOOD, coding="deflate"), "not valid deflate"),
    "deflate cut off": malformed(zipped(zlib.compress(GOOD)[:-3], coding="deflate"), "cut off"),
    "deflate twice": malformed(zipped(zlib.compress(GOOD) * 2, coding="deflate"), "followed by something else"),
    "a bomb in deflate": Row(zipped(zlib.compress(bytes(9 << 20)), coding="zlib"), 413, str(LIMIT), Refusal.NOT_READ),
    "two encodings": Row(posted(METRICS, GOOD, content_encoding="gzip, gzip"), 415, "gzip", Refusal.NOT_READ),
    "no protobuf": malformed(posted(METRICS, b"\xff" * 4), "not a valid protobuf message"),
    "no JSON": malformed(posted(METRICS, b"", JSON), "JSON"),
    "no gzip": malformed(zipped(GOOD), "not gzip"),
    "nothing as gzip": malformed(zipped(b""), "not gzip"),
    "gzip cut off": malformed(zipped(gzip.compress(GOOD)[:-9] + bytes(4)), "cut off"),
    "gzip shorter by three bytes": malformed(zipped(gzip.compress(GOOD)[:-3]), "cut off"),
    "gzip and more": malformed(zipped(gzip.compress(GOOD) + b"more"), "followed by something else"),
    "gzip twice and more": malformed(zipped(gzip.compress(GOOD) * 2 + b"more"), "followed by something else"),
    "gzip and half of one": malformed(zipped(gzip.compress(GOOD) * 2)[:-20] + bytes(20), "not valid gzip"),
    "65 streams": malformed(zipped(gzip.compress(b"") * 65), "more than 64"),
    "a bomb of streams": Row(zipped(gzip.compress(bytes(LIMIT // 2)) * 3), 413, str(LIMIT), Refusal.NOT_READ),
    "gzip and zeros": malformed(zipped(gzip.compress(GOOD) + bytes(8)), "cut off, longer"),
    "gzip that says too little": malformed(zipped(lying_gzip(GOOD, 3)), "longer than it says"),
    "gzip that says too much": malformed(zipped(lying_gzip(GOOD, len(GOOD) + 1)), "not valid gzip"),
    "a bomb": Row(zipped(gzip.compress(bytes(64 << 20))), 413, str(LIMIT), Refusal.NOT_READ),
    "a bomb in JSON": Row(zipped(gzip.compress(b" " * (64 << 20)), JSON), 413, str(LIMIT), Refusal.NOT_READ),
    "a bomb that lies": malformed(zipped(lying_gzip(bytes(64 << 20), 9)), "longer than it says"),
    "too large": Row(posted(METRICS, bytes(LIMIT + 1)), 413, str(LIMIT), Refusal.NOT_READ),
    "too large in gzip": Row(zipped(random_gzip(LIMIT + 1)), 413, "", Refusal.NOT_READ),
    "too large in chunks": Row(chunked(METRICS, repeat(bytes(1 << 16), 40)), 413, "", Refusal.NOT_READ),
    "no chunks": Row(chunked(METRICS, [])[:-5] + b"xyz\r\n\r\n", 400, "", Refusal.NOT_READ),
    "many elements": Row(posted(METRICS, b"{}," * 300_001, JSON), 400, "too many elements", Refusal.TOO_LARGE),
    "deep JSON": malformed(posted(METRICS, b"[" * 100_000, JSON), "nested too deep"),
    "a header of 300 kB": Row(head_of(METRICS, headers=[("X", "x" * 300_000)]), 431),
    "10,000 headers": Row(head_of(METRICS, headers=[(f"X{i}", "") for i in range(10_000)]), 431),
    "101 headers": Row(head_of(METRICS, headers=[(f"X{i}", "") for i in range(101)]), 431, "100", Refusal.NOT_READ),
    "two lengths": Row(
        head_of(METRICS, headers=[("Content-Length", 5), ("Content-Length", 5)]), 400, "", Refusal.NOT_READ
    ),
    "a negative length": Row(head_of(METRICS, headers=[("Content-Length", -1)]), 400, "", Refusal.NOT_READ),
    "a long length": Row(posted(METRICS, b"", content_length="9" * 30), 400, "", Refusal.NOT_READ),
    "an endless body": Row(
        head_of(METRICS, headers=[("Content-Type", PROTOBUF), ("Content-Length", "9" * 30)]), 413, "", Refusal.NOT_READ
    ),
    "not HTTP": Row(b"hello\r\n\r\n", 400),
    "an address that is none": Row(posted("http://[::1", b""), 400, "URI"),
    "nothing said of a body": Row(
        head_of(METRICS, headers=[("Content-Type", PROTOBUF)]), 411, "how long", Refusal.NOT_READ
    ),
    "a length and chunks": Row(
        head_of(METRICS, headers=[("Content-Length", 5), ("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n",
        400,
        "Transfer-Encoding",
        Refusal.NOT_READ,
    ),
    "a transfer encoding that is none of ours": Row(
        head_of(METRICS, headers=[("Transfer-Encoding", "gzip, chunked")]), 501, "not supported", Refusal.NOT_READ
    ),
    "chunks in HTTP/1.0": Row(
        chunked(METRICS, [GOOD]).replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "Transfer-Encoding", Refusal.NOT_READ
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_request_has_its_stated_answer(door: Door, name: str) -> None:
    row = ROWS[name]
    answer = door.send(row.request)
    assert answer.code == row.code, answer
    assert row.says in answer.status().message
    assert not {"access-control-allow-origin", "server-timing"} & answer.headers.keys()
    assert row.headers.items() <= answer.headers.items()
    assert not door.bodies
    assert door.refused == Counter([row.reason] if row.reason else [])


def test_what_is_refused_for_good_is_said_once_an_hour(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert door.send(zipped(GOOD, coding="lz4")).code == 415
        assert door.send(posted("/v1/metrics/", GOOD)).code == 404
        assert door.send(head_of("/favicon.ico", method="GET")).code == 404
    encoding, path = (record.message for record in caplog.records if record.name == http_receiver.__name__)
    assert "415, the content encoding should be gzip, deflate, zstd or none, not 'lz4'" in encoding
    assert "404, there is no '/v1/metrics/' here, only /v1/metrics, /v1/traces, /v1/logs" in path


@pytest.mark.parametrize("path", [METRICS, "/nowhere"])
def test_a_refusal_of_head_is_that_of_get_without_its_body(door: Door, path: str) -> None:
    get, head = (sent_back(door, head_of(path, method=method)) for method in ("GET", "HEAD"))
    headers, end, body = get.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in headers
    assert undated(head) == undated(headers + end)


def sent_back(door: Door, request: bytes) -> bytes:
    """Return all that comes until the other side closes."""
    with connect(door.address) as connection, connection.makefile("rb") as stream:
        connection.sendall(request)
        return stream.read()


def undated(head: bytes) -> bytes:
    return re.sub(rb"Date: .*", b"", head)


@pytest.mark.parametrize(("coding", "compress"), [("x-gzip", gzip.compress), ("zstd", zstd.compress)])
def test_several_streams_are_one_body(door: Door, coding: str, compress: Callable[[bytes], bytes]) -> None:
    parts = [compress(GOOD[i : i + 9]) for i in range(0, len(GOOD), 9)]
    assert door.send(posted(METRICS, b"".join(parts), content_encoding=coding)).code == 200
    assert [body for _, body, _ in door.bodies] == [GOOD]


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
def test_a_refusal_comes_in_the_content_type_of_the_request(door: Door, media: str) -> None:
    answer = door.send(posted(METRICS, b"\xff" * 4, media))
    assert answer.headers["content-type"] == media
    assert answer.status().code == 3


def test_a_request_of_the_largest_size_is_taken(door: Door) -> None:
    unknown_field = b"\xc2\x3e\xfb\xff\x3f" + bytes(LIMIT - 5)
    assert door.send(posted(METRICS, unknown_field)).code == 200
    for coding, compress in COMPRESS.items():
        assert door.send(zipped(compress(unknown_field), coding=coding)).code == 200


def test_a_bomb_is_never_inflated(door: Door) -> None:
    bomb = zipped(lying_gzip(bytes(64 << 20), 100))
    with traced_memory() as peak:
        assert door.send(bomb).code == 400
    assert peak() < 8 << 20


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
def test_a_partly_bad_batch_is_answered_with_partial_success(door: Door, media: str) -> None:
    metric = gauge(*map(float, range(10)))
    for bad in (1, 2, 3):
        metric.gauge.data_points[bad].time_unix_nano = START - 1
    request = request_with(metric)
    text = "3 not taken: the start time is after the time"
    if media == PROTOBUF:
        body = door.send(posted(METRICS, request.SerializeToString())).body
        partial = ExportMetricsServiceResponse.FromString(body).partial_success
        assert (partial.rejected_data_points, partial.error_message) == (3, text)
    else:
        body = door.send(posted(METRICS, json.dumps(MessageToDict(request)).encode(), JSON)).body
        assert json.loads(body) == {"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": text}}


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
def test_a_store_that_fails_is_retryable_after_whole_seconds(door: Door, media: str) -> None:
    door.during = raising(StoreError("the disk is slow", retry_after_seconds=2.5))
    answer = door.send(posted(METRICS, GOOD if media == PROTOBUF else GOOD_JSON, media))
    door.during = lambda: None
    assert (answer.code, answer.headers["retry-after"]) == (503, "3")
    assert answer.status().details[0].type_url == "type.googleapis.com/google.rpc.RetryInfo"
    assert not door.refused


@pytest.mark.parametrize(
    ("raised", "code", "reason"),
    [(ValueError("secret"), 500, Refusal.INTERNAL), (PermanentError("told"), 400, Refusal.NOT_ACCEPTED)],
)
def test_a_failing_ingest_has_a_code_and_tells_no_secret(
    door: Door, raised: Exception, code: int, reason: Refusal
) -> None:
    door.during = raising(raised)
    answer = door.send(posted(METRICS, GOOD))
    door.during = lambda: None
    assert answer.code == code
    assert b"secret" not in answer.body
    assert door.refused == {reason: 1}


def raising(error: Exception) -> Callable[[], object]:
    def during() -> None:
        raise error

    return during


def test_more_callers_than_places_are_told_to_come_again(open_door: Callable[..., Door]) -> None:
    door = open_door(2)
    release = Event()
    door.during = lambda: release.wait(PATIENCE)
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(door.send, posted(METRICS, GOOD)) for _ in range(12)]
        assert door.wait_for(lambda: door.refused[Refusal.OVERLOAD] == 10)
        release.set()
    answers = [call.result() for call in calls]
    refused = [answer for answer in answers if answer.code != 200]
    assert {answer.code for answer in refused} == {503}
    assert all(1 <= int(answer.headers["retry-after"]) <= 30 for answer in refused)
    assert len(refused) == 10


def test_who_may_not_come_in_is_refused_before_the_body_comes(open_door: Callable[..., Door]) -> None:
    door = open_door(authorize=lambda header: None if header == "Bearer s3cret" else Refusal.UNAUTHENTICATED)
    with connect(door.address) as connection:
        connection.sendall(posted(METRICS, GOOD)[: -len(GOOD)] + GOOD[:1])
        channels = door.receiver._server._waitress.active_channels
        connection.sendall(GOOD[1:])
        answer = read_answer(connection)
    assert (answer.code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.status().code == 16
    assert not door.bodies
    assert all(channel.buffered == 0 for channel in list(channels.values()))
    assert door.refused == {Refusal.UNAUTHENTICATED: 1}


def test_a_refused_body_is_read_to_its_end_but_not_kept(door: Door) -> None:
    request = posted(METRICS, bytes(30 << 20))
    with traced_memory() as peak:
        assert door.send(request).code == 413
    assert peak() < 8 << 20


@contextmanager
def traced_memory() -> Iterator[Callable[[], int]]:
    """Give the most memory that was held at once within the block."""
    tracemalloc.start()
    try:
        yield lambda: most
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_client_that_asks_first_is_not_told_to_send_what_is_refused(door: Door) -> None:
    def asking(length: int) -> bytes:
        wanted = [("Content-Type", PROTOBUF), ("Content-Length", length), ("Expect", "100-continue")]
        return head_of(METRICS, headers=wanted)

    with connect(door.address) as connection:
        connection.sendall(asking(len(GOOD)))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(GOOD)
        assert read_answer(connection).code == 200
    with connect(door.address) as connection:
        connection.sendall(asking(LIMIT + 1))
        assert read_answer(connection).code == 413


def test_the_bytes_of_unfinished_requests_are_bounded_together(open_door: Callable[..., Door]) -> None:
    door = open_door(max_buffered_bytes=1 << 20)
    half = posted(METRICS, bytes(900_000))[:-1]
    with connect(door.address) as first, connect(door.address) as second:
        first.sendall(half)
        assert wait_until(lambda: door.buffered() > 899_000)  # what was sent need not have been read yet
        assert door.send(posted(METRICS, GOOD)).code == 200
        second.sendall(half + bytes(1))
        answer = read_answer(second)
        assert (answer.code, door.refused) == (503, {Refusal.OVERLOAD: 1})
        first.sendall(bytes(1))
        assert read_answer(first).code == 400


METRICS_HEAD = posted(METRICS, GOOD)[: -len(GOOD)]
SLOW = {
    "a header": METRICS_HEAD[:20],
    "a body": METRICS_HEAD + GOOD[:5],
    "less than it said": METRICS_HEAD + GOOD[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
def test_sixty_slow_clients_are_cut_and_harm_nobody(open_door: Callable[..., Door], sent: bytes) -> None:
    door = open_door(patience=0.3)
    slow = [connect(door.address) for _ in range(60)]
    for connection in slow:
        connection.sendall(sent)
    assert door.send(posted(METRICS, GOOD)).code == 200
    assert all(is_closed(connection) for connection in slow)
    for connection in slow:
        connection.close()


def test_a_client_that_drips_is_cut_too(open_door: Callable[..., Door]) -> None:
    door, pause = open_door(patience=0.3), Event()
    with connect(door.address) as connection:
        try:
            for byte in posted(METRICS, GOOD):
                connection.sendall(bytes([byte]))
                pause.wait(0.02)
        except OSError:
            return
        assert is_closed(connection)
    assert len(door.bodies) == 0


def test_a_slow_but_steady_client_has_time_in_proportion(open_door: Callable[..., Door]) -> None:
    door = open_door(patience=0.3, bytes_per_second=20_000)
    request, pause = posted(METRICS, bytes(200_000)), Event()
    with connect(door.address) as connection:
        for begin in range(0, len(request), 20_000):
            connection.sendall(request[begin : begin + 20_000])
            pause.wait(0.05)
        assert read_answer(connection).code == 400


def test_a_second_receiver_on_the_port_is_an_error(door: Door) -> None:
    second = HttpReceiver(HttpSettings(door.address), door.entrance)
    with pytest.raises(ConfigError, match=f"^receiver.http_listen: cannot listen on {door.address}: .* in use"):
        second.start()


def test_after_the_gate_is_closed_everybody_is_told_to_come_again() -> None:
    door = Door()
    door.gate.close()
    answer = door.send(posted(METRICS, GOOD))
    assert (answer.code, answer.headers["retry-after"]) == (503, "1")
    assert door.ledger.row(Signal.METRICS).refused == {"draining": 1}
    door.close()


def test_headers_reach_ingest_by_the_names_they_have_over_grpc(door: Door) -> None:
    door.send(posted(METRICS, GOOD, foreband_instance="me"))
    assert door.bodies[0][2]["foreband-instance"] == "me"


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_official_metric_exporter_is_understood(door: Door, compression: Compression) -> None:
    exporter = OTLPMetricExporter(f"http://{door.address}{METRICS}", compression=compression)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
    provider = MeterProvider([reader], Resource({"service.name": "shop"}))
    provider.get_meter("lib", "1").create_counter("orders", "1").add(3, {"shop": "a"})
    provider.shutdown()
    (numbers,) = [n for _, body, _ in door.bodies for n in decode_metrics(body).numbers]
    assert (numbers.source.metric, numbers.value.tolist()) == ("orders", [3.0])


def test_the_official_span_exporter_is_understood(door: Door) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    exporter = OTLPSpanExporter(f"http://{door.address}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("lib").start_as_current_span("GET /cart"):
        pass
    provider.shutdown()
    ((signal, body, _),) = door.bodies
    assert signal is Signal.TRACES
    assert decode_traces(body)[0].names == ["GET /cart"]
