"""A store with a fitted model, as the trainer leaves it."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from collector_processor.training.request import FitRequest
from collector_processor.training.task import fit_chunk
from tests.forecast.shapes import NOW, daily, times

KEY = SeriesKey(
    resource=(("service.name", "shop"),),
    scope=Scope("tests", "", ()),
    metric="queue.depth",
    unit="1",
    kind=Kind.GAUGE,
    statistic=Statistic.VALUE,
    attributes=(),
)
YOUNG = replace(KEY, metric="queue.age")
TIME = times(5 * 288, 5 * MINUTE)


def fill(directory: Path) -> None:
    """Store five days of KEY and an hour of YOUNG, and fit both."""
    points = PointBatch(
        np.repeat(np.array([0, 1], np.int32), [TIME.size, 12]),
        np.concatenate([TIME, TIME[-12:]]),
        np.concatenate([daily(TIME), np.ones(12)]),
    )
    with closing(open_writer(directory, StoreSettings(reserve_bytes=0))) as writer:
        writer.commit(Commit(series=[(0, KEY), (1, YOUNG)], points=points))
        request = FitRequest(directory, 0, NOW - 28 * DAY, NOW, needs_backtest=True)
        outcomes = fit_chunk((request, replace(request, series=1)))
        writer.commit(Commit(models=[outcome.record(i + 1, NOW) for i, outcome in enumerate(outcomes)]))
