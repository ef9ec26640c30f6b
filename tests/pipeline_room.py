"""A pipeline on a real store, fed with requests made by the stock protobuf classes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.ledger import Ledger, Signal
from collector_processor.otlp.status import Answer
from collector_processor.pipeline import Pipeline, PipelineSettings, PipelineState, SeriesDesk
from collector_processor.pipeline.request import Request
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_writer
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import PointBatch
from tests.otlp.stock import ExportTraceServiceRequest, Metric, attribute, request_with

NOW = 1_800_000_000 // 60 * 60 * 1_000_000_000
SECOND = 1_000_000_000


class Room:
    """One pipeline, its state, its desk, its store and its ledger."""

    def __init__(self, writer: SqliteWriter, settings: PipelineSettings) -> None:
        self.writer = writer
        self.ledger = Ledger()
        self.state = PipelineState(writer, settings)
        self.state.reload(NOW)
        self.pipeline = Pipeline(self.state, self.ledger)
        self.desk = SeriesDesk(self.state)

    def send(self, signal: Signal, *bodies: bytes, now: int = NOW) -> list[Answer]:
        answers = self.pipeline.process([Request.decode(signal, body) for body in bodies], now)
        assert self.ledger.row(signal).is_balanced
        return answers

    def metrics(self, *messages: Any, now: int = NOW) -> list[Answer]:
        return self.send(Signal.METRICS, *(m.SerializeToString() for m in messages), now=now)

    def spans(self, *messages: Any, now: int = NOW) -> list[Answer]:
        return self.send(Signal.TRACES, *(m.SerializeToString() for m in messages), now=now)

    def names(self) -> dict[str, int]:
        """Return `metric/statistic[/attribute values]` of every series, and its id."""
        return {
            "/".join([key.metric, key.statistic.value, *(str(v) for _, v in key.attributes)]): series
            for series, key in self.writer.catalog()
        }

    def points(self, name: str) -> list[tuple[float, float]]:
        """Return (seconds from NOW, value) of all points of a series."""
        stored = self.read(name)
        return [
            ((t - NOW) / SECOND, v) for t, v in zip(stored.time_unix_nano.tolist(), stored.value.tolist(), strict=True)
        ]

    def read(self, name: str) -> PointBatch:
        return self.writer.read_points(np.array([self.names()[name]], np.int32), 0, 2**62)

    def judged(self, name: str) -> Any:
        return self.writer.read_judged(np.array([self.names()[name]], np.int32), 0, 2**62).verdicts

    def teach(self, name: str, level: float, spread: float = 1.0, version: int = 1) -> None:
        """Publish a flat seasonal model of a series with three days of calibration behind it."""
        series = self.names()[name]
        self.publish([flat_model(series, level, version, spread / 2)], [(series, calm_seed(spread))])

    def publish(self, records: list[ModelRecord], seeds: list[tuple[int, Seed]]) -> None:
        self.desk.publish(self.desk.fleet.with_models(records), records, seeds)


def flat_model(series: int, level: float, version: int = 1, std: float = 1.0) -> ModelRecord:
    parameters = pack(None, [FittedSeasonal(np.full(SLOTS, level))] * 2, std)
    return ModelRecord(series, version, NOW, NOW - 7 * DAY, NOW, "seasonal", "a test", parameters)


def calm_seed(spread: float) -> Seed:
    """Return a calibration from three days in which residuals stayed within `spread`."""
    time = NOW - 3 * DAY - HOUR + MINUTE * np.arange((3 * DAY) // MINUTE)
    residual = spread * np.sin(np.arange(time.size))
    return seed_from_residuals(
        time,
        np.stack([residual if name == "seasonal" else np.full(time.size, np.nan) for name in FORECASTS], axis=1),
        spread / 2,
    )


@contextmanager
def opened(
    directory: Path,
    settings: PipelineSettings | None = None,
    open_store: Callable[[Path, StoreSettings], SqliteWriter] = open_writer,
) -> Iterator[Room]:
    """Open a room on a directory; the pipeline's state is saved only if it was asked to."""
    writer = open_store(directory, StoreSettings(reserve_bytes=0))
    try:
        yield Room(writer, settings or PipelineSettings())
    finally:
        writer.close()


def gauge_request(name: str, *points: tuple[float, float], **attributes: Any) -> Any:
    """Build a request with a gauge; points are (seconds from NOW, value)."""
    metric = Metric(name=name)
    metric.gauge.SetInParent()
    for seconds, value in points:
        point = metric.gauge.data_points.add(time_unix_nano=NOW + round(seconds * SECOND), as_double=value)
        point.attributes.extend(attribute(k, v) for k, v in attributes.items())
    return request_with(metric, **{"service.name": "shop"})


def counter_request(name: str, *points: tuple[float, float], start: float = -3600) -> Any:
    """Build a request with a cumulative monotonic sum."""
    metric: Any = Metric(name=name)
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    for seconds, value in points:
        metric.sum.data_points.add(
            start_time_unix_nano=NOW + round(start * SECOND),
            time_unix_nano=NOW + round(seconds * SECOND),
            as_double=value,
        )
    return request_with(metric, **{"service.name": "shop"})


def span_request(*ends: float, seconds: float = 0.1, name: str = "GET /", is_error: bool = False) -> Any:
    """Build a request with server spans that end at these seconds from NOW."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(attribute("service.name", "shop"))
    spans = group.scope_spans.add().spans
    for i, end in enumerate(ends):
        span: Any = spans.add(name=name, kind=2, trace_id=bytes(15) + bytes([i % 256]), span_id=bytes(8))
        span.start_time_unix_nano = NOW + round((end - seconds) * SECOND)
        span.end_time_unix_nano = NOW + round(end * SECOND)
        span.status.code = 2 if is_error else 0
    return request
