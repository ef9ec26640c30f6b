"""The models a series would have had: when a refit is due by the product's schedule, and what its training makes.

A fit takes no time here: its model judges from the next point on. Refits of a series do not depend on what the detector
said, so those of a day are fitted together on one grid; batch and one by one agree to 1e-9 sigma.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY
from collector_processor.detect.seed import Seed
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool, Float64, Int64, PointBatch
from collector_processor.training.request import FitOutcome, FitRequest, FitStatus
from collector_processor.training.schedule import Schedule, TrainingSettings
from collector_processor.training.task import fit_points

_NOWHERE = Path()
"""The points are handed over; nothing is read from a store."""


@dataclass(frozen=True, slots=True)
class Refit:
    """A model that is known as soon as the first `after` points have arrived, the last of them at `time_unix_nano`."""

    after: int
    time_unix_nano: int
    record: ModelRecord
    seed: Seed | None


@dataclass(frozen=True, slots=True)
class _Due:
    after: int
    is_first: bool
    needs_backtest: bool
    day: int


@dataclass(frozen=True, slots=True)
class _Overview:
    first_time: Int64
    last_time: Int64
    is_modelled: Bool
    need: Float64
    mark: npt.NDArray[np.uint8]


def refits_of(points: PointBatch, settings: TrainingSettings, prophet: ProphetSettings) -> Iterator[Refit]:
    """Yield the refits of one series whose points, all of one id, ascend by time; nothing looks ahead."""
    if not len(points):
        return
    drawn = FitRequest(_NOWHERE, int(points.series[0]), 0, 0, settings=prophet)
    due = _due(points.time_unix_nano, settings)
    for _, batch in groupby(due, key=lambda d: (d.is_first, d.needs_backtest and d.after, d.day)):
        together = list(batch)
        requests = [_request(d, drawn, points.time_unix_nano, settings) for d in together]
        for d, outcome in zip(together, fit_points(requests, points), strict=True):
            if outcome.status is FitStatus.FITTED:
                yield _refit(d, outcome, points.time_unix_nano)
                drawn = replace(drawn, forecaster=outcome.forecaster, backtest=outcome.backtest)


def _due(time: Int64, settings: TrainingSettings) -> Iterator[_Due]:
    """Ask the schedule after every point, as if a fit took no time."""
    schedule, is_first = Schedule(settings.refit_interval), True
    overview = _Overview(time[:1], time[:1], np.ones(1, np.bool_), np.zeros(1), np.zeros(1, np.uint8))
    for i, now in enumerate(time.tolist()):
        if not schedule.due(replace(overview, last_time=time[i : i + 1]), now).size:
            continue
        needs_backtest = schedule.wants_backtest(0, now - int(time[0]), now)
        yield _Due(i + 1, is_first, needs_backtest, now // DAY)
        schedule.begin(0)
        schedule.end(0, FitStatus.FITTED, now, fitted_until=now, was_backtest=needs_backtest)
        is_first = False


def _request(due: _Due, drawn: FitRequest, time: Int64, settings: TrainingSettings) -> FitRequest:
    end = int(time[due.after - 1]) + 1
    return replace(
        drawn,
        start_unix_nano=end - settings.window,
        end_unix_nano=end,
        step=settings.step,
        is_first=due.is_first,
        needs_backtest=due.needs_backtest,
        needs_seed=due.needs_backtest and drawn.backtest is None,
    )


def _refit(due: _Due, outcome: FitOutcome, time: Int64) -> Refit:
    now = int(time[due.after - 1])
    return Refit(due.after, now, outcome.record(due.after, now), outcome.seed)
