"""Foreband watched by its own tools: OpenTelemetry SDK instruments, read at `/metrics` and exported over OTLP.

Totals are observed when somebody reads them; durations are recorded once per batch, never per point. OTLP export is on
when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its metrics variant) is set; the SDK and the exporter read every other `OTEL_*`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from collector_processor.ledger import Ledger, Signal

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_Rows = Callable[[], Iterable[tuple[float, dict[str, str]]]]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is observed when somebody reads the metrics; each gives `(number, attributes)` rows."""

    ledger: Ledger
    series_states: _Rows
    fit_backlog_age: _Rows
    noticed: _Rows
    discarded: _Rows
    forgotten: _Rows
    reload_success: _Rows
    reload_time: _Rows
    reload_waiting: _Rows
    fits: _Rows
    declined: _Rows
    fit_cpu: _Rows
    forwarded: _Rows
    forward_retries: _Rows
    forward_waiting: _Rows
    forward_held: _Rows
    anomalies: _Rows
    incidents: _Rows
    coverage: _Rows
    detection_power: _Rows
    time_to_detect: _Rows
    notified: _Rows
    memory: _Rows
    store_bytes: _Rows


class SelfTelemetry:
    """The instruments, one registry and the readers of one Foreband process."""

    def __init__(self, watched: Watched, *, version: str, instance_id: str, environ: Mapping[str, str]) -> None:
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)]
        if exports_over_otlp(environ):
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        self._provider = MeterProvider(
            metric_readers=readers,
            resource=Resource.create(
                {"service.name": "foreband", "service.version": version, "service.instance.id": instance_id}
            ),
            views=[View(instrument_name="*.duration", aggregation=ExplicitBucketHistogramAggregation(_SECONDS))],
        )
        meter = self._provider.get_meter("foreband", version)
        self._score = meter.create_histogram("foreband.score.duration", "s", "time to judge one batch of points")
        self._commit = meter.create_histogram("foreband.commit.duration", "s", "time to make one batch durable")
        _observe_ledger(meter.create_observable_counter, watched.ledger)
        for name, unit, text, rows in (
            ("foreband.series", "{series}", "series by state", watched.series_states),
            ("foreband.fit.backlog.age", "s", "how long the most overdue fit has been due", watched.fit_backlog_age),
            ("foreband.forward.waiting", "{request}", "requests in the outbox", watched.forward_waiting),
            ("foreband.forward.held", "1", "1: nothing is sent there, it leads into a loop", watched.forward_held),
            ("foreband.band.coverage", "{share}", "measured coverage of the calibrated band", watched.coverage),
            ("foreband.detection.power", "{share}", "canaries found, by kind and size", watched.detection_power),
            ("foreband.time_to_detect", "s", "median time until a canary was found", watched.time_to_detect),
            ("foreband.process.memory", "By", "resident memory of this process", watched.memory),
            ("foreband.store.size", "By", "bytes on disk, by part of the store", watched.store_bytes),
            ("foreband.config.reload.success", "1", "1: the last attempt to read it succeeded", watched.reload_success),
            ("foreband.config.reload.timestamp", "s", "when it last succeeded, Unix time", watched.reload_time),
            ("foreband.config.waiting", "{setting}", "1: read again, waits for a restart", watched.reload_waiting),
            ("foreband.episodes.open", "{episode}", "episodes open now", watched.anomalies),
            ("foreband.incidents.open", "{incident}", "incidents open now", watched.incidents),
        ):
            meter.create_observable_gauge(name, [_callback(rows)], unit, text)
        for name, unit, text, rows in (
            ("foreband.noticed", "{item}", "what was taken and yet is odd, by kind", watched.noticed),
            ("foreband.state.discarded", "{piece}", "saved state that could not be read, by kind", watched.discarded),
            ("foreband.series.forgotten", "{series}", "series that had no point any more", watched.forgotten),
            ("foreband.fits", "{fit}", "fits by outcome", watched.fits),
            ("foreband.fits.declined", "{fit}", "fits left to the prophet library, by reason", watched.declined),
            ("foreband.fit.cpu", "s", "CPU seconds of the fit processes", watched.fit_cpu),
            ("foreband.notified", "{alert}", "alerts and answers heard of, by source and outcome", watched.notified),
            ("foreband.forwarded", "{item}", "items forwarded or dropped, by outcome", watched.forwarded),
            ("foreband.forward.retries", "{request}", "requests sent again", watched.forward_retries),
        ):
            meter.create_observable_counter(name, [_callback(rows)], unit, text)

    def record_batch(self, score_seconds: float, commit_seconds: float) -> None:
        """Record how long one batch took to judge and to commit."""
        self._score.record(score_seconds)
        self._commit.record(commit_seconds)

    def prometheus_text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def stop(self) -> None:
        """Flush and stop the exporters."""
        self._provider.shutdown()


def exports_over_otlp(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a place to send Foreband's own metrics to."""
    names = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(environ.get(name) for name in names) and environ.get("OTEL_METRICS_EXPORTER") != "none"


def _callback(rows: _Rows) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: [Observation(number, attributes) for number, attributes in rows()]


def _observe_ledger(create: Callable[..., object], ledger: Ledger) -> None:
    """Show the ledger; what is observed first looks at it for all, so that it balances under load too."""
    seen = {s: ledger.row(s) for s in Signal}

    def received() -> Iterable[tuple[float, dict[str, str]]]:
        seen.update((s, ledger.row(s)) for s in Signal)
        return [(row.received, {"signal": s.value}) for s, row in seen.items()]

    def stored() -> Iterable[tuple[float, dict[str, str]]]:
        return [(row.stored, {"signal": s.value}) for s, row in seen.items()]

    def by_reason(column: str) -> _Rows:
        return lambda: [
            (count, {"signal": s.value, "reason": reason})
            for s, row in seen.items()
            for reason, count in getattr(row, column).items()
        ]

    create("foreband.received", [_callback(received)], "{item}", "items received")
    create("foreband.stored", [_callback(stored)], "{item}", "items durable before they were acknowledged")
    create("foreband.rejected", [_callback(by_reason("rejected"))], "{item}", "items never taken, by reason")
    create("foreband.refused", [_callback(by_reason("refused"))], "{item}", "items the sender keeps and retries")
