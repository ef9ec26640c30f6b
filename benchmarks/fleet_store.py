"""A store that has known a fleet for days: its series as requests name them, points at rest without verdicts."""

import sqlite3
from pathlib import Path

import numpy as np

from benchmarks.requests import POINTS, Fleet
from collector_processor.clock import DAY, MINUTE
from collector_processor.ledger import Ledger, Signal
from collector_processor.pipeline import Pipeline, PipelineSettings, PipelineState
from collector_processor.pipeline.request import Request
from collector_processor.store import layout
from collector_processor.store.chunks import ENDS_DTYPE
from collector_processor.store.codec import encode_column, seal
from collector_processor.store.connection import transaction
from collector_processor.store.rollup_writer import RollupWriter
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import Float64, Int64

STEP = 5 * MINUTE


def preload(directory: Path, fleet: Fleet, now: int, days: float) -> None:
    """Write `days` of points, one each five minutes, that end at `now`."""
    time = np.arange(now // STEP * STEP - int(days * DAY), now, STEP)
    writer = open_writer(directory, StoreSettings())
    pipeline = Pipeline(PipelineState(writer, PipelineSettings(series_limit=fleet.series)), Ledger())
    for request in range(fleet.requests):
        first = Request.decode(Signal.METRICS, fleet.body(request, int(time[0])))
        pipeline.process([first], int(time[0]))
    for part, at in _parts(time):
        with transaction(writer._connection):  # noqa: SLF001 - points at rest are the store's own business
            _put_part(writer._connection, fleet.series, part, at, fleet.values(at))  # noqa: SLF001
    writer.close()


def _put_part(connection: sqlite3.Connection, series: int, part: int, time: Int64, values: Float64) -> None:
    """Write a part as the store would: series `i` gets the values `(POINTS, n)` of row `i % POINTS`."""
    times_id, _ = layout.ids_of(part)
    connection.execute("INSERT INTO times VALUES (?, ?)", (times_id, seal(encode_column(time), times_id)))
    columns = [encode_column(row) for row in values]
    ids = ((one, layout.chunk_id(part, one)) for one in range(series))
    connection.executemany(
        "INSERT INTO chunk VALUES (?, ?, ?, NULL)",
        ((row_id, times_id, seal(columns[one % POINTS], row_id + times_id)) for one, row_id in ids),
    )
    ends = np.zeros(series, ENDS_DTYPE)
    ends["series"], ends["first"], ends["last"] = np.arange(series), time[0], time[-1]
    ends["last_value"] = values[ends["series"] % POINTS, -1]
    for first in range(0, series, layout.SERIES_PER_SUMMARY):
        summary_id = layout.summary_id(part, first)
        body = seal(ends[first : first + layout.SERIES_PER_SUMMARY].tobytes(), summary_id)
        connection.execute("INSERT INTO summary VALUES (?, ?)", (summary_id, body))
    connection.execute("INSERT INTO part VALUES (?, ?, ?)", (part, series * time.size, STEP))
    rollups = RollupWriter(connection, STEP)
    for one in range(series):
        rollups.put(part, one, time, values[one % POINTS])
    rollups.finish()


def _parts(time: Int64) -> list[tuple[int, Int64]]:
    """Split times as the store would have by now: days that are over, and blocks."""
    newest_day = int(layout.day_part(time[-1:])[0])
    part = np.where(layout.day_part(time) < newest_day, layout.day_part(time), layout.block_part(time))
    return [(int(one), time[part == one]) for one in np.unique(part).tolist()]
