"""The door, over real connections: what each kind of sender gets, and that nothing is lost uncounted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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

from collector_processor.errors import ConfigError, MalformedRequestError, PermanentError, StoreError
from collector_processor.ledger import Signal
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.gate import Gate, Refusal
from collector_processor.otlp.receiver import EXPORT_METHODS, GrpcReceiver, ReceiverSettings
from collector_processor.otlp.status import retry_delay
from tests.otlp.door import PATIENCE
from tests.otlp.grpc_door import GOOD, Door
from tests.otlp.stock import START, gauge, request_with


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


def test_what_is_not_taken_is_said_once_an_hour_for_each_reason(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    late, bare = gauge(1.0, 2.0), gauge(3.0)
    for point in late.gauge.data_points:
        point.time_unix_nano = START - 1
    bare.gauge.data_points[0].ClearField("as_double")
    for _ in range(3):
        for metric in (gauge(1.0), late, bare):
            door.export(request_with(metric).SerializeToString())
        door.fail(b"\xff" * 4)
    assert caplog.messages == [
        "of a metrics request 2 items are not taken: the start time is after the time",
        "of a metrics request 1 items are not taken: the data point has no value",
        "a metrics request is refused for good: metrics request: not a valid protobuf message",
    ]


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


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
def test_what_this_process_lacks_is_retryable(door: Door, error: Exception) -> None:
    door.during = raising(error)
    refused = door.fail(GOOD)
    assert (refused.code(), refused.details()) == (grpc.StatusCode.UNAVAILABLE, "not now: resources")
    assert retry_delay(refused.trailing_metadata())
    assert door.ledger.row(Signal.METRICS).refused == {"resources": 1}
    door.during = lambda: None
    assert door.export(GOOD) == b""


def test_a_second_message_in_a_call_is_refused_with_the_first(door: Door) -> None:
    export = door.channel.stream_unary(EXPORT_METHODS[Signal.METRICS], None, None)
    with pytest.raises(grpc.RpcError) as caught:
        export(iter([GOOD, GOOD]), timeout=PATIENCE)
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "more than one message in a call")
    assert not door.bodies
    assert door.ledger.row(Signal.METRICS).rejected == {"malformed": 1}


def test_while_memory_is_short_nobody_is_admitted(door: Door) -> None:
    door.gate.is_short_of_memory = True
    error = door.fail(GOOD)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 1.125
    door.gate.is_short_of_memory = False
    assert door.export(GOOD) == b""
    assert door.ledger.row(Signal.METRICS).refused == {"memory": 1}


def held_inside(door: Door) -> tuple[Event, Event]:
    """Let requests wait while they hold a place; return what is set when one does, and what lets them go on."""
    entered, release = Event(), Event()

    def during() -> None:
        entered.set()
        release.wait(PATIENCE)

    door.during = during
    return entered, release


def test_a_sender_that_gave_up_frees_its_place(open_door: Callable[..., Door]) -> None:
    door = open_door(max_in_flight=1)
    entered, release = held_inside(door)
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
    entered, release = held_inside(door)
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
    entered, release = held_inside(door)
    call = door.channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None).future(GOOD, timeout=PATIENCE)
    assert entered.wait(PATIENCE)
    door.receiver.drain(0.05)
    door.receiver.close()
    error: Any = call.exception()
    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}  # both retryable in OTLP
    release.set()


def test_a_second_receiver_on_the_port_is_an_error(door: Door) -> None:
    second = GrpcReceiver(ReceiverSettings(listen=f"127.0.0.1:{door.port}"), door.entrance)
    with pytest.raises(ConfigError, match=f"^receiver.listen: cannot listen on 127.0.0.1:{door.port}: .* in use"):
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
    assert spans.names == ["GET /cart"]
    assert (spans.end_unix_nano >= spans.start_unix_nano).all()
