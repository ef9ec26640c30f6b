"""The door, over real connections: what each kind of sender gets, and that nothing is lost uncounted."""

import logging
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector_processor.config import LogConfig
from collector_processor.errors import ConfigError, MalformedRequestError, PermanentError, StoreError
from collector_processor.ledger import Signal
from collector_processor.logs import set_up_logging
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.gate import Authorize, Gate, Refusal, everybody
from collector_processor.otlp.receiver import EXPORT_METHODS, GrpcReceiver, ReceiverSettings
from collector_processor.otlp.status import retry_delay
from tests.otlp.door import PATIENCE, Behind
from tests.otlp.stock import START, gauge, request_with


class Door(Behind):
    """A receiver on a free port with something behind it, and a client."""

    def __init__(self, max_in_flight: int = 8, authorize: Authorize = everybody, **settings: Any) -> None:
        super().__init__(max_in_flight)
        defaults = {"listen": "127.0.0.1:0"}
        self.receiver = GrpcReceiver(ReceiverSettings(**defaults | settings), self.entrance, authorize)
        self.port = self.receiver.start()
        self.channel = self.open_channel()

    def open_channel(self, **options: int) -> grpc.Channel:
        return grpc.insecure_channel(
            f"127.0.0.1:{self.port}", [(f"grpc.{k}", v) for k, v in options.items()] + [("grpc.enable_retries", 0)]
        )

    def export(self, body: bytes, signal: Signal = Signal.METRICS, **call: Any) -> Any:
        return self.channel.unary_unary(EXPORT_METHODS[signal], None, None)(body, timeout=PATIENCE, **call)

    def fail(self, body: bytes, signal: Signal = Signal.METRICS, **call: Any) -> Any:
        """Export what must be refused; return the error, never UNKNOWN."""
        with pytest.raises(grpc.RpcError) as caught:
            self.export(body, signal, **call)
        error: Any = caught.value
        assert error.code() is not grpc.StatusCode.UNKNOWN
        return error

    def close(self) -> None:
        self.channel.close()
        self.receiver.drain(0)
        self.receiver.close()
        self.assert_balanced()


@pytest.fixture
def open_door() -> Iterator[Callable[..., Door]]:
    doors: list[Door] = []

    def opened(**settings: Any) -> Door:
        doors.append(Door(**settings))
        return doors[-1]

    yield opened
    for door in doors:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()


GOOD = request_with(gauge(1.0), service="shop").SerializeToString()


def test_a_good_request_is_answered_without_partial_success(door: Door) -> None:
    assert door.export(GOOD) == b""
    assert door.bodies[0][:2] == (Signal.METRICS, GOOD)
    assert door.ledger.row(Signal.METRICS).stored == 1


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_request_is_fine(door: Door, signal: Signal) -> None:
    assert door.export(b"", signal) == b""
    assert door.bodies[0][0] is signal


def test_undecodable_bytes_are_an_invalid_argument_without_foreign_text(door: Door) -> None:
    error = door.fail(b"\xff\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "metrics request: not a valid protobuf message"
    assert door.ledger.row(Signal.METRICS).rejected == {"malformed": 1}


def test_invalid_utf8_is_named(door: Door) -> None:
    error = door.fail(GOOD.replace(b"queue", b"\xff\xff\xff\xff\xff"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "UTF-8" in error.details()


def test_unknown_fields_are_accepted_and_reach_ingest(door: Door) -> None:
    body = GOOD + b"\xc2\x3e\x02hi" + b"\xc0\x3e\x05" + b"\xc1\x3e" + bytes(8) + b"\xc5\x3e" + bytes(4)
    assert door.export(body) == b""
    assert door.bodies[0][1] == body


def test_one_byte_over_the_limit_is_not_retryable_and_counted(open_door: Callable[..., Door]) -> None:
    door = open_door(max_message_bytes=1 << 16)
    assert door.export(b"\xc2\x3e\xfb\xff\x03" + bytes((1 << 16) - 5)) == b""
    error = door.fail(b"\xc2\x3e\xfc\xff\x03" + bytes((1 << 16) - 4))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_delay(error.trailing_metadata()) is None
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)


def test_a_gzip_bomb_is_refused_by_its_inflated_size(door: Door) -> None:
    error = door.fail(bytes(64 << 20), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)
    assert door.export(GOOD, compression=grpc.Compression.Gzip) == b""


def test_a_compression_other_than_gzip_is_unimplemented_and_counted(door: Door) -> None:
    assert raw_status(door.port, (b"grpc-encoding", b"deflate")) == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)
    assert not door.bodies


@pytest.mark.parametrize("name", [b"snappy", b"zstd"])
def test_a_compression_that_grpc_does_not_know_is_internal_and_counted(door: Door, name: bytes) -> None:
    # gRPC's core drops the header before any code of ours, even an interceptor, sees it, and then fails on the bytes.
    assert raw_status(door.port, (b"grpc-encoding", name)) == grpc.StatusCode.INTERNAL.value[0]
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)
    assert door.ledger.row(Signal.METRICS).rejected == {"not_read": 1}
    assert not door.bodies


def test_a_token_that_is_no_text_is_refused_and_not_logged(open_door: Callable[..., Door]) -> None:
    door = open_door(authorize=lambda given: None if given is None else Refusal.UNAUTHENTICATED)
    handlers, stream = logging.getLogger().handlers[:], StringIO()
    try:
        set_up_logging(LogConfig(format="json"), stream)
        header = (b"authorization", b"Bearer secret-\xff")
        assert raw_status(door.port, header) == grpc.StatusCode.UNAUTHENTICATED.value[0]
    finally:
        logging.getLogger().handlers[:] = handlers
    assert door.ledger.row(Signal.METRICS).rejected == {"unauthenticated": 1}
    assert stream.getvalue() == ""


def test_many_empty_elements_are_an_invalid_argument(door: Door) -> None:
    error = door.fail(b"\x0a\x00" * (2 << 20), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "too many elements" in error.details()
    assert door.ledger.row(Signal.METRICS).rejected == {"too_large": 1}


@pytest.mark.parametrize("method", ["/opentelemetry.proto.collector.metrics.v1.MetricsService/Import", "/a.B/C"])
def test_an_unknown_method_is_unimplemented(door: Door, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        door.channel.unary_unary(method, None, None)(GOOD)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("raised", "code", "reason"),
    [
        (ValueError("secret"), grpc.StatusCode.INTERNAL, "internal_error"),
        (RecursionError("secret"), grpc.StatusCode.INTERNAL, "internal_error"),
        (MalformedRequestError("told"), grpc.StatusCode.INVALID_ARGUMENT, "malformed"),
        (PermanentError("told"), grpc.StatusCode.FAILED_PRECONDITION, "not_accepted"),
    ],
)
def test_a_failing_ingest_has_a_code_and_tells_no_secret(
    door: Door, raised: Exception, code: grpc.StatusCode, reason: str
) -> None:
    door.during = raising(raised)
    error = door.fail(GOOD)
    assert error.code() is code
    assert "secret" not in error.details()
    assert door.ledger.row(Signal.METRICS).rejected == {reason: 1}


def raising(error: Exception) -> Callable[[], object]:
    def during() -> None:
        raise error

    return during


def test_a_store_that_fails_is_retryable_and_left_to_ingest_to_count(door: Door) -> None:
    door.during = raising(StoreError("the disk is slow", retry_after_seconds=3))
    error = door.fail(GOOD)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 3
    assert not door.refused


def test_a_partly_bad_batch_is_answered_with_partial_success(door: Door) -> None:
    metric = gauge(*map(float, range(10)))
    for bad in (1, 2, 3):
        metric.gauge.data_points[bad].time_unix_nano = START - 1
    response = ExportMetricsServiceResponse.FromString(door.export(request_with(metric).SerializeToString()))
    assert response.partial_success.rejected_data_points == 3
    assert response.partial_success.error_message == "3 not taken: the start time is after the time"
    assert door.ledger.row(Signal.METRICS).stored == 7


def test_more_callers_than_places_are_told_to_come_again(open_door: Callable[..., Door]) -> None:
    door = open_door(max_in_flight=4)
    release = Event()
    door.during = lambda: release.wait(PATIENCE)
    export = door.channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)
    calls = [export.future(GOOD, timeout=PATIENCE) for _ in range(60)]
    assert door.wait_for(lambda: door.refused[Refusal.OVERLOAD] == 56)  # while the four places are held
    release.set()
    errors: list[Any] = [error for call in calls if (error := call.exception())]
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    delays = [retry_delay(error.trailing_metadata()) or 0 for error in errors]
    assert min(delays) >= 1
    assert 10 < max(delays) <= 30
    assert len(errors) == 56
    assert door.export(GOOD) == b""
    assert door.ledger.row(Signal.METRICS).refused == {"overload": 56}


def test_the_gate_bounds_requests_and_bytes() -> None:
    gate = Gate(2, 100)
    assert gate.enter(60) is None
    assert gate.enter(41) is Refusal.OVERLOAD
    assert gate.enter(40) is None
    assert gate.enter(0) is Refusal.OVERLOAD
    gate.leave(60)
    assert gate.enter(60) is None
    for _ in range(1000):
        gate.enter(1)
    assert gate.retry_after_seconds == 30
    gate.close()
    gate.leave(60)
    assert gate.enter(1) is Refusal.DRAINING


def test_calls_without_a_message_do_not_keep_the_threads(open_door: Callable[..., Door]) -> None:
    door, release = open_door(threads=4, patience=0.3), Event()

    def nothing() -> Iterator[bytes]:
        release.wait(PATIENCE)
        yield from ()

    export = door.channel.stream_unary(EXPORT_METHODS[Signal.METRICS], None, None)
    silent = [export.future(nothing(), timeout=PATIENCE) for _ in range(8)]
    assert door.export(GOOD) == b""
    assert {call.code() for call in silent} == {grpc.StatusCode.CANCELLED}  # retryable in OTLP
    release.set()
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 8)


def test_while_memory_is_short_nobody_is_admitted(door: Door) -> None:
    door.gate.is_short_of_memory = True
    error = door.fail(GOOD)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 1.125
    door.gate.is_short_of_memory = False
    assert door.export(GOOD) == b""
    assert door.ledger.row(Signal.METRICS).refused == {"memory": 1}


def test_a_sender_that_gave_up_frees_its_place(open_door: Callable[..., Door]) -> None:
    door = open_door(max_in_flight=1)
    release, entered = Event(), Event()

    def during() -> None:
        entered.set()
        release.wait(PATIENCE)

    door.during = during
    with pytest.raises(grpc.RpcError) as caught:
        door.channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)(GOOD, timeout=0.05)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert entered.wait(PATIENCE)
    release.set()
    assert door.wait_for(lambda: len(door.bodies) == 1)
    assert door.export(GOOD) == b""


def test_drain_lets_a_call_finish_and_refuses_new_ones(open_door: Callable[..., Door]) -> None:
    door = open_door()
    release, entered = Event(), Event()

    def during() -> None:
        entered.set()
        release.wait(PATIENCE)

    door.during = during
    export = door.channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)
    call = export.future(GOOD, timeout=PATIENCE)
    assert entered.wait(PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(door.receiver.drain, PATIENCE)
        gate = door.entrance.gate
        with gate._lock:
            assert gate._lock.wait_for(lambda: not gate._is_open, PATIENCE)
        error = door.fail(GOOD)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_delay(error.trailing_metadata())
        assert not drained.done()
        release.set()
        assert call.result() == b""
        drained.result(PATIENCE)
    assert door.ledger.row(Signal.METRICS).stored == 1
    assert door.ledger.row(Signal.METRICS).refused == {"draining": 1}


def test_drain_gives_up_after_the_grace_and_the_sender_may_retry(open_door: Callable[..., Door]) -> None:
    door = open_door()
    release, entered = Event(), Event()

    def during() -> None:
        entered.set()
        release.wait(PATIENCE)

    door.during = during
    call = door.channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None).future(GOOD, timeout=PATIENCE)
    assert entered.wait(PATIENCE)
    door.receiver.drain(0.05)
    door.receiver.close()
    error: Any = call.exception()
    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}  # both retryable in OTLP
    release.set()


def test_a_second_receiver_on_the_port_is_an_error(door: Door) -> None:
    second = GrpcReceiver(ReceiverSettings(listen=f"127.0.0.1:{door.port}"), door.entrance)
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{door.port}"):
        second.start()


def test_health_follows_the_application(door: Door) -> None:
    stub = health_pb2_grpc.HealthStub(door.channel)
    service = EXPORT_METHODS[Signal.METRICS].split("/")[1]
    for is_serving, status in ((False, "NOT_SERVING"), (True, "SERVING"), (False, "NOT_SERVING")):
        door.receiver.set_serving(is_serving=is_serving)
        for name in ("", service):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
            assert health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED),
        (Refusal.FORBIDDEN, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_who_may_not_come_in_is_not_read(
    open_door: Callable[..., Door], refusal: Refusal, code: grpc.StatusCode
) -> None:
    door = open_door(authorize=lambda header: None if header == "Bearer s3cret" else refusal)
    for metadata in ((), (("authorization", "Bearer wrong"),)):
        error = door.fail(GOOD, metadata=metadata)
        assert error.code() is code
    assert not door.bodies
    assert door.refused == {refusal: 2}
    assert door.export(GOOD, metadata=(("authorization", "Bearer s3cret"),)) == b""


def test_metadata_reaches_ingest(door: Door) -> None:
    door.export(GOOD, metadata=(("foreband-instance", "me"), ("x-bin", b"\xff")))
    metadata = door.bodies[0][2]
    assert metadata["foreband-instance"] == "me"
    assert "x-bin" not in metadata


def test_frequent_pings_are_allowed_down_to_the_interval(open_door: Callable[..., Door]) -> None:
    assert goes_away(open_door(min_ping_interval=60.0).port, pings=10)
    assert not goes_away(open_door(min_ping_interval=0.0).port, pings=10)


def test_connections_beyond_the_limit_are_closed_and_the_others_served(open_door: Callable[..., Door]) -> None:
    door = open_door(connections=5)
    assert door.export(GOOD) == b""
    many = [socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) for _ in range(8)]
    for connection in many:
        with suppress(OSError):
            connection.sendall(PREFACE + frame(SETTINGS, b""))
    assert sum(is_greeted(connection) for connection in many) == 4
    assert door.export(GOOD) == b""
    for connection in many:
        connection.close()


def is_greeted(connection: socket.socket) -> bool:
    """Tell whether the server says anything before it closes."""
    try:
        return bool(connection.recv(1))
    except ConnectionError:
        return False


def test_idle_connections_leave_the_others_alone_and_are_closed_in_the_end(open_door: Callable[..., Door]) -> None:
    door = open_door(connection_idle=1.0)
    idle = [socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) for _ in range(200)]
    for connection in idle:
        connection.sendall(PREFACE + frame(SETTINGS, b""))
    assert door.export(GOOD) == b""
    for connection in idle:
        list(frames(connection))  # ends when the server closes
        connection.close()


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_the_official_metric_exporter_is_understood(door: Door, compression: grpc.Compression | None) -> None:
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{door.port}", insecure=True, compression=compression)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
    provider = MeterProvider([reader], Resource({"service.name": "shop"}))
    meter = provider.get_meter("lib", "1")
    meter.create_counter("orders", "1").add(3, {"shop": "a"})
    meter.create_gauge("queue").set(1.5)
    meter.create_histogram("latency", "s").record(0.2)
    provider.shutdown()
    arrivals = [decode_metrics(body) for signal, body, _ in door.bodies]
    values = {n.source.metric: n.value.tolist() for a in arrivals for n in a.numbers}
    assert values == {"orders": [3.0], "queue": [1.5]}
    (latency,) = [h for a in arrivals for h in a.histograms]
    assert latency.count.tolist() == [1.0]
    assert latency.bucket_counts.sum() == 1
    assert not any(a.rejected for a in arrivals)


def test_the_official_span_exporter_is_understood(door: Door) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{door.port}", insecure=True, compression=grpc.Compression.Gzip)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("lib").start_as_current_span("GET /cart"):
        pass
    provider.shutdown()
    ((signal, body, _),) = door.bodies
    spans, _ = decode_traces(body)
    assert signal is Signal.TRACES
    assert list(spans.name) == ["GET /cart"]
    assert (spans.end_unix_nano >= spans.start_unix_nano).all()


# Senders that no client library would be: HTTP/2 frames by hand

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6


def frame(kind: int, payload: bytes, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def frames(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield frames until the peer closes or is silent."""
    data = connection.makefile("rb")
    while len(head := data.read(9)) == 9:
        yield head[3], data.read(int.from_bytes(head[:3], "big"))


def goes_away(port: int, pings: int) -> bool:
    """Send one ping after the other; tell whether the server ends the connection before it answered them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(PREFACE + frame(SETTINGS, b"") + frame(PING, bytes(8)))
            answered = 0
            for kind, _ in frames(connection):
                answered += kind == PING
                if answered == pings:
                    return False
                if kind == PING:
                    connection.sendall(frame(PING, bytes(8)))
        except OSError:
            return True
    return True


def raw_status(port: int, *headers: tuple[bytes, bytes]) -> int:
    """Send one compressed call with further headers; return its grpc-status."""
    common = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", EXPORT_METHODS[Signal.METRICS].encode()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *headers,
    ]
    block = b"".join(literal(name, value) for name, value in common)
    body = zlib.compress(GOOD)
    message = b"\x01" + struct.pack(">I", len(body)) + body
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, b"") + frame(HEADERS, block, 4, 1) + frame(DATA, message, 1, 1))
        for kind, payload in frames(connection):
            if kind == HEADERS and b"grpc-status" in payload:
                after = payload.split(b"grpc-status", 1)[1]
                return int(after[1 : 1 + after[0]])
    raise AssertionError("the connection ended without a status")
