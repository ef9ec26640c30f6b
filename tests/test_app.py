"""The whole process: real gRPC and HTTP, the official SDK as the client, a real OTLP receiver downstream."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from collector_processor.app import Addresses, Foreband
from collector_processor.config import load_config
from collector_processor.errors import ConfigError, StoreError
from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from tests.grafana.provisioned import metric_names
from tests.otlp.stock import gauge, request_with
from tests.process import wait_until
from tests.sink import Sink

Running = tuple[Foreband, Addresses]


@contextmanager
def running(directory: Path, *overrides: str) -> Iterator[Running]:
    doors = ("receiver.listen", "receiver.http_listen", "grafana.listen")
    listen = [*(f"{door}=127.0.0.1:0" for door in doors), f"store.directory={directory / 'data'}"]
    foreband = Foreband(load_config(overrides=[*listen, *overrides], environ={}), environ={})
    addresses = foreband.start()
    try:
        yield foreband, addresses
    finally:
        foreband.stop()
        for signal in Signal:
            assert foreband.ledger.row(signal).is_balanced


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One Foreband for the tests that only send."""
    with running(tmp_path_factory.mktemp("shared")) as started:
        yield started


def get(addresses: Addresses, path: str) -> Any:
    with urlopen(f"http://{addresses.http}{path}", timeout=10) as response:
        body = response.read()
        return json.loads(body) if "json" in response.headers["Content-Type"] else body.decode()


def listed(addresses: Addresses, search: str, count: int) -> list[dict[str, Any]]:
    """Return `count` series of the catalog as soon as it lists them: it may be a second old."""
    deadline, waiting = time.monotonic() + 20, Event()
    while True:
        rows: list[dict[str, Any]] = get(addresses, f"/api/v1/catalog?search={search}&limit=100")["series"]
        if len(rows) >= count:
            return rows
        assert time.monotonic() < deadline, rows
        waiting.wait(0.05)


def export(
    addresses: Addresses, body: bytes, signal: Signal = Signal.METRICS, metadata: tuple[tuple[str, str], ...] = ()
) -> bytes:
    with grpc.insecure_channel(addresses.otlp) as channel:
        call = channel.unary_unary(EXPORT_METHODS[signal], None, None)
        answer: bytes = call(body, timeout=20, metadata=metadata)
        return answer


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


def now_request(*values: float, name: str = "queue.length", service: str = "shop") -> bytes:
    request = request_with(gauge(*values, name=name), **{"service.name": service})
    for i, point in enumerate(request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points):
        point.start_time_unix_nano, point.time_unix_nano = 0, time.time_ns() - i * 1_000_000_000
    return bytes(request.SerializeToString())


def test_the_official_sdk_and_exporters_are_taken_as_they_are_and_forwarded_whole(tmp_path: Path) -> None:
    sink = Sink()
    resource = Resource.create({"service.name": "shop"})
    try:
        with running(tmp_path, f"forward.endpoint={sink.endpoint}", "forward.loop_check=0s") as (foreband, addresses):
            endpoint = f"http://{addresses.otlp}"
            tracing = TracerProvider(resource=resource)
            tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
            with tracing.get_tracer("t").start_as_current_span("GET /", attributes={"a": 1}):
                pass
            reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint), 3_600_000)
            metering = MeterProvider([reader], resource=resource)
            metering.get_meter("t").create_counter("orders").add(3, {"method": "card"})
            metering.get_meter("t").create_histogram("latency", "s").record(0.2)
            metering.get_meter("t").create_gauge("stock").set(7)
            metering.shutdown()
            tracing.shutdown()
            assert sink.wait_for(lambda requests: len([r for r in requests if r.ByteSize()]) >= 2)
            assert foreband.ledger.row(Signal.TRACES).stored == 1
            assert foreband.ledger.row(Signal.METRICS).stored == 3
            assert listed(addresses, "stock", 1)[0]["service"] == "shop"
        spans = [
            s for r in sink.requests if hasattr(r, "resource_spans") for g in r.resource_spans for s in g.scope_spans
        ]
        assert [s.spans[0].name for s in spans] == ["GET /"]
    finally:
        sink.close()


def test_quantiles_of_any_group_are_asked_of_the_buckets_of_histograms(shared: Running) -> None:
    _, addresses = shared
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"http://{addresses.otlp}"), 3_600_000)
    metering = MeterProvider([reader], resource=Resource.create({"service.name": "till"}))
    seconds = metering.get_meter("t").create_histogram("checkout.duration", "s")
    for value, method in ((7, "card"), (9, "card"), (6, "cash"), (8, "cash")):
        seconds.record(value, {"method": method})
    metering.shutdown()
    question = "histogram_quantile(0.25, sum by (le, service_name) (checkout_duration_bucket))"

    def answer() -> list[tuple[dict[str, str], str]]:
        found = get(addresses, f"/prom/api/v1/query?query={quote(question)}")["data"]["result"]
        return [(sample["metric"], sample["value"][1]) for sample in found]

    assert wait_until(lambda: bool(answer()))
    assert answer() == [({"service_name": "till"}, "6.25")]


def test_what_waits_in_the_outbox_is_sent_after_a_restart(tmp_path: Path) -> None:
    sink = Sink()
    address = sink.endpoint.removeprefix("http://")
    sink.close()
    with running(tmp_path, f"forward.endpoint=http://{address}", "forward.loop_check=0s") as (_, addresses):
        export(addresses, now_request(1.0))
    sink = Sink(address)
    try:
        with running(tmp_path, f"forward.endpoint=http://{address}", "forward.loop_check=0s"):
            assert sink.wait_for(lambda requests: any(r.ByteSize() for r in requests))
    finally:
        sink.close()


def test_a_downstream_that_is_this_process_is_refused_at_start(tmp_path: Path) -> None:
    config = load_config(
        overrides=[
            f"store.directory={tmp_path / 'data'}",
            "receiver.listen=127.0.0.1:46317",
            "forward.endpoint=http://localhost:46317",
        ],
        environ={},
    )
    with pytest.raises(ConfigError, match="loop"):
        Foreband(config, environ={}).start()
    assert not (tmp_path / "data").exists()


def test_a_request_that_carries_our_own_instance_id_is_refused_as_a_loop(shared: Running) -> None:
    foreband, addresses = shared
    own = (("foreband-instance", foreband.instance_id),)
    assert code_of(lambda: export(addresses, now_request(1.0), metadata=own)) is grpc.StatusCode.FAILED_PRECONDITION


def test_malformed_bytes_are_an_invalid_argument_and_empty_ones_are_fine(shared: Running) -> None:
    _, addresses = shared
    for signal in Signal:
        assert code_of(lambda s=signal: export(addresses, b"\xff" * 4, s)) is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[misc]
        assert export(addresses, b"", signal) == b""


def test_a_partly_bad_batch_stores_the_good_and_says_what_it_rejected(shared: Running) -> None:
    _, addresses = shared
    request = request_with(gauge(1.0, 2.0, 3.0, name="partly"), **{"service.name": "shop"})
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    for i, point in enumerate(points):
        point.start_time_unix_nano, point.time_unix_nano = 0, time.time_ns() - i * 10**9
    points[1].time_unix_nano = 0
    answer = ExportMetricsServiceResponse.FromString(export(addresses, request.SerializeToString()))
    assert answer.partial_success.rejected_data_points == 1
    assert "time is 0" in answer.partial_success.error_message


def test_no_json_answer_holds_a_nan_even_when_the_series_does(shared: Running) -> None:
    _, addresses = shared
    export(addresses, now_request(float("nan"), float("inf"), name="odd", service="odd"))

    def refuse(token: str) -> Any:
        raise AssertionError(token)

    (row,) = listed(addresses, "odd", 1)
    with urlopen(f"http://{addresses.http}/api/v1/series/{row['id']}/forecast", timeout=10) as response:
        json.loads(response.read(), parse_constant=refuse)


def test_the_prometheus_api_answers_save_and_test(shared: Running) -> None:
    _, addresses = shared
    answer = get(addresses, "/prom/api/v1/query?query=1%2B1&time=4")
    assert answer["data"] == {"resultType": "scalar", "result": [4, "2"]}


def test_the_ledger_and_the_states_are_at_metrics(shared: Running) -> None:
    _, addresses = shared
    export(addresses, now_request(1.0, name="counted"))
    text = get(addresses, "/metrics")
    for name in (
        "foreband_received_total",
        "foreband_stored_total",
        "foreband_series",
        "foreband_fit_backlog",
    ):
        assert name in text, text[:2000]


def test_what_dashboards_and_rules_ask_for_is_served_by_a_running_process(shared: Running) -> None:
    _, addresses = shared
    tracing = TracerProvider(resource=Resource.create({"service.name": "asked"}))
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://{addresses.otlp}")))
    with tracing.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER):
        pass
    tracing.shutdown()
    assert wait_until(lambda: metric_names() <= set(get(addresses, "/prom/api/v1/label/__name__/values")["data"]))


def test_health_is_told_over_grpc_and_http(shared: Running) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    _, addresses = shared
    with grpc.insecure_channel(addresses.otlp) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert get(addresses, "/readyz")["status"] == "ready"


def test_a_second_foreband_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(StoreError, match="data"), running(tmp_path):
        pass


def test_a_taken_port_is_said_and_leaves_the_store_closed(tmp_path: Path) -> None:
    sink = Sink()
    taken = sink.endpoint.removeprefix("http://")
    try:
        with pytest.raises(ConfigError, match=taken), running(tmp_path, f"receiver.listen={taken}"):
            pass
        with running(tmp_path):
            pass
    finally:
        sink.close()


def test_stopping_and_starting_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as (_, addresses):
        export(addresses, now_request(1.0, 2.0, 3.0))
    with running(tmp_path) as (_, addresses):
        (row,) = listed(addresses, "", 1)
        rows = get(addresses, f"/api/v1/series/{row['id']}/forecast")
        assert sorted(r["actual"] for r in rows if r["actual"] is not None) == [1.0, 2.0, 3.0]


def test_logging_to_json_and_plain_keeps_one_line_per_record(capsys: pytest.CaptureFixture[str]) -> None:
    import io

    from collector_processor.config import LogConfig
    from collector_processor.logs import set_up_logging

    before = logging.getLogger().handlers[:]
    try:
        for style in ("plain", "json"):
            stream = io.StringIO()
            set_up_logging(LogConfig(format=style), stream)
            logging.getLogger("x").info("two\nlines")
            assert len(stream.getvalue().splitlines()) == 1
    finally:
        logging.getLogger().handlers[:] = before
    assert capsys.readouterr().err == ""


def test_what_a_library_warns_of_is_a_line_of_the_log_like_any_other() -> None:
    program = """
import warnings
from collector_processor.config import LogConfig
from collector_processor.logs import set_up_logging
set_up_logging(LogConfig(format="json"))
warnings.warn("two\\nlines")
"""
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr
    (line,) = map(json.loads, said.splitlines())
    assert line["severity"] == "warning"
    assert "two\nlines" in line["message"]
