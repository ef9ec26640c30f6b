"""A real OpenTelemetry Collector on both sides of Foreband, with the configurations of otel-config/."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import numpy as np
import pytest
import yaml
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.store.sqlite import open_reader
from tests.grafana.provisioned import filled, panel_named
from tests.house import Moment
from tests.otlp.stock import ExportMetricsServiceRequest, attribute
from tests.ports import free_port
from tests.process import Process, end, wait_until
from tests.servers.built import built
from tests.servers.collector import CONFIGS, Collector, items_of, written

pytestmark = pytest.mark.server

STARTED = ("agent", "gateway", "loadbalancing", "round-trip", "spanmetrics")


@pytest.fixture(scope="session")
def binary() -> str:
    return built("collector")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "foreband", "forward.loop_check=0s", "series.window=1s", "series.grace=0s")
    yield process
    end(process)


class Recorder:
    """The three official exporters, and every request they sent."""

    def __init__(self, address: str, compression: grpc.Compression = grpc.Compression.Gzip) -> None:
        self.requests: list[Any] = []
        options: dict[str, Any] = {"endpoint": f"http://{address}", "compression": compression}
        resource = Resource.create({"service.name": "shop", "service.instance.id": "a-1"})
        self.tracing = TracerProvider(resource=resource)
        self.tracing.add_span_processor(
            SimpleSpanProcessor(recording(OTLPSpanExporter, encode_spans, self.requests)(**options))
        )
        exporter = recording(OTLPMetricExporter, encode_metrics, self.requests)(**options)
        self.metering = MeterProvider([PeriodicExportingMetricReader(exporter, 3_600_000)], resource=resource)
        self.logging = LoggerProvider(resource=resource)
        self.logging.add_log_record_processor(
            SimpleLogRecordProcessor(recording(OTLPLogExporter, encode_logs, self.requests)(**options))
        )

    def send_everything(self) -> None:
        """Send spans with events, links and errors, all instruments with exemplars, and log records."""
        tracer, meter, logger = (
            self.tracing.get_tracer("t", "1"),
            self.metering.get_meter("t", "1"),
            self.logging.get_logger("t"),
        )
        counter, latency = meter.create_counter("orders", "{order}"), meter.create_histogram("latency", "s")
        meter.create_up_down_counter("queue").add(3, {"host": "h"})
        meter.create_gauge("stock").set(7.5)
        for number in range(20):
            attributes: dict[str, Any] = {
                "http.route": f"/{number % 3}",
                "n": number,
                "ok": True,
                "of": ["a", "b"],
                "share": 0.5,
            }
            with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER, attributes=attributes) as span:
                span.add_event("e", {"k": "v"})
                counter.add(number, {"method": "card"})
                latency.record(number / 10, {"route": "/"})
                logger.emit(
                    severity_number=SeverityNumber.ERROR,
                    severity_text="ERROR",
                    body={"text": "é", "n": [1, None, 2.5]},
                    attributes={"number": number},
                    event_name="order.failed",
                    timestamp=time.time_ns(),
                )
                if number % 5 == 0:
                    span.set_status(StatusCode.ERROR, "no")
        for provider in (self.metering, self.tracing, self.logging):
            provider.shutdown()


def recording(kind: Any, encode: Any, requests: list[Any]) -> Any:
    class Recording(kind):  # type: ignore[misc]
        def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
            requests.append(encode(batch))
            return super().export(batch, *args, **kwargs)

    return Recording


def send(address: str, request: Any) -> None:
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)(request.SerializeToString(), timeout=20)


def stored_names(process: Process) -> set[str]:
    """Return `service metric statistic` of every stored series."""
    reader = open_reader(process.store)
    try:
        return {f"{key.service} {key.metric} {key.statistic.value}" for _, key in reader.catalog()}
    finally:
        reader.close()


@pytest.mark.parametrize("name", STARTED)
def test_the_collector_finds_nothing_wrong_with_a_configuration(binary: str, tmp_path: Path, name: str) -> None:
    Collector(binary, CONFIGS / f"{name}.yaml", tmp_path, QUEUE_DIRECTORY=str(tmp_path)).validate()


def test_every_configuration_is_started_by_a_test() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} - {"collector-builder"} == set(STARTED)


@contextmanager
def round_trip(binary: str, directory: Path, process: Process) -> Iterator[tuple[Collector, Path]]:
    """Run a Collector that sends to a Foreband, which sends to it again; what comes back goes to a file."""
    file, enriched = directory / "enriched.jsonl", f"127.0.0.1:{free_port()}"
    settings = {"FOREBAND_ENDPOINT": process.otlp, "ENRICHED_GRPC": enriched, "ENRICHED_FILE": str(file)}
    process.set(f"forward.endpoint=http://{enriched}")
    process.start()
    with Collector(binary, CONFIGS / "round-trip.yaml", directory, **settings) as collector:
        yield collector, file


def test_everything_an_sdk_sends_goes_through_collector_foreband_and_collector_to_a_file(
    binary: str, tmp_path: Path, process: Process
) -> None:
    with round_trip(binary, tmp_path, process) as (collector, file):
        recorder = Recorder(collector.grpc)
        recorder.send_everything()
        sent = items_of(recorder.requests)
        assert len(sent) == 20 + 20 + 4
        assert wait_until(lambda: len(set(items_of(written(file))) & set(sent)) == len(sent)), written(file)
        assert not set(items_of(written(file))) - set(sent)
    assert {"shop orders rate", "shop stock value", "shop latency p95"} <= stored_names(process)
    process.assert_balanced()


def rich_metrics(now: int) -> Any:
    """Build a request with all that a metric can say; the JSON of the file exporter has no -0.0."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add(schema_url="https://opentelemetry.io/schemas/1.26.0")
    group.resource.attributes.append(attribute("service.name", "rich"))
    scope = group.scope_metrics.add()
    scope.scope.name, scope.scope.version = "s", "1"
    times = {"start_time_unix_nano": now - 60_000_000_000, "time_unix_nano": now}
    histogram: Any = scope.metrics.add(name="sizes", unit="By", description="of requests").exponential_histogram
    histogram.aggregation_temporality = 1
    point: Any = histogram.data_points.add(
        **times, count=11, sum=-3.5, scale=3, zero_count=2, zero_threshold=1e-9, min=-9.0, max=70.25
    )
    point.positive.offset, point.negative.offset = -7, 2
    point.positive.bucket_counts.extend([1, 0, 4])
    point.negative.bucket_counts.extend([3, 1])
    point.attributes.append(attribute("route", "/é"))
    for number in (1, 2):
        exemplar = point.exemplars.add(time_unix_nano=now - number, trace_id=bytes(range(16)), span_id=bytes(range(8)))
        exemplar.filtered_attributes.append(attribute("user", number))
    point.exemplars[0].as_double, point.exemplars[1].as_int = 0.1, -(2**63)
    gauge = scope.metrics.add(name="odd").gauge
    for number, value in enumerate([5e-324, 0.0, 1.7976931348623157e308]):
        gauge.data_points.add(time_unix_nano=now - number, as_double=value)
    gauge.data_points.add(time_unix_nano=now - 9, flags=1)
    total: Any = scope.metrics.add(name="total").sum
    total.is_monotonic, total.aggregation_temporality = True, 2
    total.data_points.add(**times, as_int=2**63 - 1)
    summary = scope.metrics.add(name="summary").summary.data_points.add(**times, count=3, sum=6.0)
    summary.quantile_values.add(quantile=0.5, value=2.0)
    return request


def test_exponential_histograms_and_exemplars_come_back_byte_for_byte(
    binary: str, tmp_path: Path, process: Process
) -> None:
    request = rich_metrics(time.time_ns())
    with round_trip(binary, tmp_path, process) as (collector, file):
        send(collector.grpc, request)
        assert wait_until(lambda: set(items_of(written(file))) >= set(items_of([request]))), items_of(written(file))
    assert set(items_of(written(file))) == set(items_of([request]))
    process.assert_balanced()


def test_a_collectors_queue_keeps_everything_while_foreband_is_killed_and_restarted(
    binary: str, tmp_path: Path, process: Process
) -> None:
    process.start()
    settings = {"NEXT_ENDPOINT": process.otlp, "QUEUE_DIRECTORY": str(tmp_path / "queue")}
    now, count = time.time_ns(), 60
    with Collector(binary, CONFIGS / "agent.yaml", tmp_path, **settings) as collector:
        for number in range(count):
            if number == count // 3:
                process.kill()
            if number == 2 * count // 3:
                process.run()
            send(collector.grpc, Moment(now, "shop").gauge("queue", (number - count, float(number))))
        assert wait_until(lambda: process.is_ready() and len(stored_values(process)) == count)
    assert stored_values(process) == [float(number) for number in range(count)]


def stored_values(process: Process) -> list[float]:
    reader = open_reader(process.store)
    try:
        ids = np.array([series for series, key in reader.catalog() if key.metric == "queue"], np.int32)
        values: list[float] = reader.read_points(ids, 0, 2**62).value.tolist()
        return values
    finally:
        reader.close()


def test_an_agents_queue_on_disk_outlives_the_agent(binary: str, tmp_path: Path, process: Process) -> None:
    settings = {"NEXT_ENDPOINT": process.otlp, "QUEUE_DIRECTORY": str(tmp_path / "queue")}
    with Collector(binary, CONFIGS / "agent.yaml", tmp_path, **settings) as collector:
        send(collector.grpc, Moment(time.time_ns(), "shop").gauge("queue", (-1, 1.0)))
    process.start()
    with Collector(binary, CONFIGS / "agent.yaml", tmp_path, **settings):
        assert wait_until(lambda: stored_values(process) == [1.0])


def test_an_agent_sends_through_a_gateway(binary: str, tmp_path: Path, process: Process) -> None:
    process.start()
    with (
        Collector(binary, CONFIGS / "gateway.yaml", tmp_path, FOREBAND_ENDPOINT=process.otlp) as gateway,
        Collector(
            binary, CONFIGS / "agent.yaml", tmp_path, NEXT_ENDPOINT=gateway.grpc, QUEUE_DIRECTORY=str(tmp_path / "q")
        ) as agent,
    ):
        Recorder(agent.grpc).send_everything()
        wanted = {"shop orders rate", "shop traces.span.calls rate", "shop logs.records rate"}
        assert wait_until(lambda: wanted <= stored_names(process)), stored_names(process)
    process.assert_balanced()


def test_all_of_a_service_goes_to_one_of_several_forebands(binary: str, tmp_path: Path) -> None:
    several = [Process(tmp_path / f"foreband-{number}", "forward.loop_check=0s") for number in (1, 2)]
    services = [f"service-{number}" for number in range(12)]
    addresses = json.dumps([process.otlp for process in several])
    with ExitStack() as started:
        for process in several:
            started.callback(end, process)
            process.start()
        with Collector(
            binary, CONFIGS / "loadbalancing.yaml", tmp_path, FOREBANDS=addresses, FOREBAND_FOR_LOGS=several[0].otlp
        ) as collector:
            for seconds in (-2, -1):
                for service in services:
                    moment = Moment(time.time_ns(), service)
                    send(collector.grpc, moment.gauge("queue", (seconds, 1.0)))
            wanted = 2 * len(services)
            assert wait_until(lambda: sum(len(stored_values(process)) for process in several) == wanted)
        split = [{name.split()[0] for name in stored_names(process)} for process in several]
        assert split[0] | split[1] == set(services)
        assert not split[0] & split[1]
        assert all(split)
        for process in several:
            process.assert_balanced()


def test_span_metrics_of_a_collector_are_used_as_they_are(binary: str, tmp_path: Path, process: Process) -> None:
    process.start()
    settings = {"FOREBAND_ENDPOINT": process.otlp, "FLUSH_INTERVAL": "1s"}
    with Collector(binary, CONFIGS / "spanmetrics.yaml", tmp_path, **settings) as collector:
        tracing = Recorder(collector.grpc).tracing

        def services() -> list[dict[str, Any]]:
            """Call the service once more, and return services whose requests and durations are known by now."""
            with tracing.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER):
                pass
            rows = process.get("/api/v1/red")
            return [row for row in rows if None not in {row[name] for name in ("requests", "p50", "p95", "p99")}]

        assert wait_until(services), stored_names(process)
        tracing.shutdown()
    names = stored_names(process)
    assert {"shop traces.span.metrics.calls rate", "shop traces.span.metrics.duration p95"} <= names
    (row,) = process.get("/api/v1/red")
    assert (row["service"], row["operations"]) == ("shop", 1)
    for title in ("Requests a second", "Share of requests that failed"):
        (target,) = panel_named("foreband-services", title)["targets"]
        (sample,) = process.get(f"/prom/api/v1/query?query={quote(filled(target['expr']))}")["data"]["result"]
        assert sample["metric"] == {"service_name": "shop"}, title
    process.assert_balanced()


def test_a_way_back_that_leads_to_foreband_again_is_found_through_the_collector(
    binary: str, tmp_path: Path, process: Process
) -> None:
    config = yaml.safe_load((CONFIGS / "round-trip.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        pipeline["exporters"] = ["otlp/foreband"]
    wrong, enriched = tmp_path / "wrong.yaml", f"127.0.0.1:{free_port()}"
    wrong.write_text(yaml.safe_dump(config))
    process.set("forward.loop_check=1m", f"forward.endpoint=http://{enriched}")
    process.start()
    settings = {"FOREBAND_ENDPOINT": process.otlp, "ENRICHED_GRPC": enriched}
    with Collector(binary, wrong, tmp_path, **settings) as collector:
        send(collector.grpc, Moment(time.time_ns(), "shop").gauge("queue", (-1, 1.0)))
        assert wait_until(lambda: process.metrics()["foreband_forward_held", ""] == 1.0)
    assert "a loop" in process.log()
