"""A store for the questions of Grafana: a fleet of counters and judged gauges, and a store of names only."""

from pathlib import Path

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.forecast.design import DEFAULT_DESIGN
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SeasonalForecaster
from collector_processor.store import layout, rows
from collector_processor.store.base import Commit
from collector_processor.store.chunk_writer import ChunkWriter
from collector_processor.store.connection import transaction
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_writer
from collector_processor.telemetry.band import BandStates, Reason, unknown_bands
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.verdict import VerdictBatch
from grafana_datasource.directory import Directory

NOW = 1_789_000_020_000_000_000 // MINUTE * MINUTE
COUNTERS = 1_000
_SERVICES = 100
_MINUTES_IN_HEAD = 10
_SERIES_AT_ONCE = 1_000
_ODD_ONES = 97
"""Every so many-th gauge is above its band at the end."""


def minutes(length: int) -> Int64:
    """Return whole minutes up to `NOW`."""
    return np.arange(NOW - length, NOW + 1, MINUTE, dtype=np.int64)


def key_of(series: int) -> SeriesKey:
    """Return what a series is: the first are cumulative counters, the rest gauges."""
    resource = (("service.name", f"service-{series % _SERVICES}"),)
    attributes = (("pod", f"pod-{series}"), ("zone", f"zone-{series % 3}"))
    if series < COUNTERS:
        kind, statistic = Kind.COUNTER_CUMULATIVE, Statistic.TOTAL
        return SeriesKey(resource, Scope(), "http.requests", "1", kind, statistic, attributes)
    return SeriesKey(resource, Scope(), "cpu.usage", "1", Kind.GAUGE, Statistic.VALUE, attributes)


def labels_of(series: int) -> dict[str, str]:
    """Return the labels under which a series is served."""
    return dict(Directory().with_series([(0, key_of(series))]).entries[0].labels)


def counter(series: Int64, time: Int64) -> Float64:
    """Return values `(k, n)` of counters; each starts again every few hours."""
    elapsed = (time // MINUTE)[np.newaxis, :] + 37 * series[:, np.newaxis]
    return (elapsed % (200 + series[:, np.newaxis])) * (60.0 + series[:, np.newaxis])


def write_fleet(directory: Path, series: int, days: float) -> None:
    """Write points with verdicts, models and bands: older ones at rest, the last minutes as they came."""
    writer = open_writer(directory, StoreSettings(retention_nano=60 * DAY))
    writer.commit(Commit(series=[(i, key_of(i)) for i in range(series)]))
    time = minutes(int(days * DAY))
    at_rest, fresh = time[:-_MINUTES_IN_HEAD], time[-_MINUTES_IN_HEAD:]
    for part, at in _parts(at_rest):
        for first in range(0, series, _SERIES_AT_ONCE):
            _rest(writer, part, np.arange(first, min(first + _SERIES_AT_ONCE, series)), at)
    for moment in fresh:
        points, verdicts = _judged(np.arange(series), np.array([moment]))
        writer.commit(Commit(points=points, verdicts=verdicts))
    writer.commit(Commit(models=_models(series), bands={0: _bands(series)}))
    writer.close()


def write_names(directory: Path, series: int) -> None:
    """Write series of a thousand metrics without points."""
    writer = open_writer(directory, StoreSettings(retention_nano=60 * DAY))
    keys = [
        SeriesKey(
            (("service.name", f"service-{i % _SERVICES}"), ("k8s.namespace.name", f"team-{i % 17}")),
            Scope(),
            f"metric.{i % 1000}",
            "1",
            Kind.GAUGE,
            Statistic.VALUE,
            (("pod", f"pod-{i // 10}"), ("zone", f"zone-{i % 3}")),
        )
        for i in range(series)
    ]
    writer.commit(Commit(series=list(enumerate(keys))))
    writer.close()


def _judged(series: Int64, time: Int64) -> tuple[PointBatch, VerdictBatch]:
    """Return points of all series at all times, series by series, the gauges judged."""
    ids = np.repeat(series, time.size)
    at = np.tile(time, series.size)
    yhat = 50 + 20 * np.sin(2 * np.pi * (at % DAY) / DAY + ids)
    noise = np.sin(ids * 12.9898 + (at // MINUTE) * 78.233) * 2
    odd = np.where((ids % _ODD_ONES == 0) & (at > NOW - 30 * MINUTE), 40.0, 0.0)
    is_counter = ids < COUNTERS
    value = np.where(is_counter, counter(series, time).ravel(), np.round(yhat + noise + odd, 3))
    center = np.where(is_counter, np.nan, yhat)
    score = (value - center) / 5.0
    flag = np.nan_to_num(np.where(np.abs(score) > 1, np.sign(score), 0.0)).astype(np.int8)
    points = PointBatch(ids.astype(np.int32), at, value)
    return points, VerdictBatch(
        center, center - 5.0, center + 5.0, score, np.where(is_counter, 0, flag).astype(np.int8)
    )


def _rest(writer: SqliteWriter, part: int, series: Int64, time: Int64) -> None:
    """Put points where compaction would have put them by now."""
    connection = writer._connection  # noqa: SLF001 - points at rest are the store's own business
    whole = rows.judged_rows(*_judged(series, time))
    with transaction(connection):
        chunks = ChunkWriter(connection)
        for i in range(series.size):
            chunks.merge(part, rows.take(whole, slice(i * time.size, (i + 1) * time.size)))
        chunks.finish()


def _parts(time: Int64) -> list[tuple[int, Int64]]:
    """Split times as the store would have by now: days that are over, and blocks."""
    newest_day = int(layout.day_part(time[-1:])[0])
    part = np.where(layout.day_part(time) < newest_day, layout.day_part(time), layout.block_part(time))
    return [(int(one), time[part == one]) for one in np.unique(part).tolist()]


def _models(series: int) -> list[ModelRecord]:
    """Return one model for all gauges: that it fits none of them costs the same time."""
    time = np.arange(NOW - 3 * DAY, NOW, 5 * MINUTE, dtype=np.int64)
    value = 50 + 20 * np.sin(2 * np.pi * (time % DAY) / DAY)
    size = DEFAULT_DESIGN.part("daily").evaluate(time[:1]).shape[1]
    prophet = FittedProphet(
        start_unix_nano=int(time[0]),
        span_nano=int(time[-1] - time[0]),
        k=0.1,
        m=50.0,
        delta=np.full(1, 1e-6),
        changepoint=np.zeros(1),
        beta={"daily": np.full(size, 0.5)},
        y_scale=1.0,
        y_offset=0.0,
        sigma_obs=2.0,
    )
    parameters = pack(prophet, [SeasonalForecaster().fit(time, value)] * 2, 14.0)
    return [
        ModelRecord(
            i, 1, NOW - 20 * MINUTE, int(time[0]), NOW - 20 * MINUTE, "prophet", "it missed by less", parameters
        )
        for i in range(COUNTERS, series)
    ]


def _bands(series: int) -> BandStates:
    bands = unknown_bands(series)
    bands["tolerance"], bands["threshold"] = 5.0, 1.0
    bands["offset_lower"], bands["offset_upper"] = (-3.0, -4.0, -5.0), (3.0, 4.0, 5.0)
    bands["state"], bands["reason"], bands["scored"] = 1, Reason.NONE, 4000
    return bands
