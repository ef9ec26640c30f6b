"""A store that has known a fleet for days: its series as requests name them, points at rest without verdicts."""

from pathlib import Path

import numpy as np

from benchmarks.requests import Fleet
from collector_processor.clock import DAY, MINUTE
from collector_processor.ledger import Ledger, Signal
from collector_processor.pipeline import Pipeline, PipelineSettings, Request
from collector_processor.store import layout, rows
from collector_processor.store.chunk_writer import ChunkWriter
from collector_processor.store.connection import transaction
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

STEP = 5 * MINUTE
_SERIES_AT_ONCE = 2_000


def preload(directory: Path, fleet: Fleet, now: int, days: float) -> None:
    """Write `days` of points, one each five minutes, that end at `now`."""
    time = np.arange(now // STEP * STEP - int(days * DAY), now, STEP)
    writer = open_writer(directory, StoreSettings())
    pipeline = Pipeline(writer, PipelineSettings(series_limit=fleet.series), Ledger())
    for request in range(fleet.requests):
        first = Request.decode(Signal.METRICS, fleet.body(request, int(time[0])))
        pipeline.process([first], int(time[0]))
    connection = writer._connection  # noqa: SLF001 - points at rest are the store's own business
    for part, at in _parts(time):
        for first_series in range(0, fleet.series, _SERIES_AT_ONCE):
            series = np.arange(first_series, min(first_series + _SERIES_AT_ONCE, fleet.series))
            values = fleet.values(series, at)
            with transaction(connection):
                chunks = ChunkWriter(connection)
                for one, value in zip(series.tolist(), values, strict=True):
                    points = PointBatch(np.full(at.size, one, np.int32), at, value)
                    chunks.merge(part, rows.judged_rows(points, VerdictBatch.absent(at.size)))
                chunks.finish()
    writer.close()


def _parts(time: Int64) -> list[tuple[int, Int64]]:
    """Split times as the store would have by now: days that are over, and blocks."""
    newest_day = int(layout.day_part(time[-1:])[0])
    part = np.where(layout.day_part(time) < newest_day, layout.day_part(time), layout.block_part(time))
    return [(int(one), time[part == one]) for one in np.unique(part).tolist()]
