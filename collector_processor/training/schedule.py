"""Which series is to be fitted next: a pure decision from times and states, with `now` as an argument.

A series is due again after a quarter of its age, at least a minute and at most the refit interval, so that a young one
is refitted often. Refits at the full interval have a place in it, spread over all series and shared by neighbours, so
that a fleet that was fitted at once is not due at once an hour later. A series is left alone while it has no new
points, and paused after failures, so that one that always fails costs little.

Of those due, the fit that is expected to help most comes first:

1. series without a model;
2. series in need: their forecasts disagree, or the calibrated band has kept far less than it promises; worst first;
3. series whose first backtest is pending: it chooses the forecast and starts calibration;
4. the others, by how many of their own intervals they are overdue: a forecast from a history of length L goes wrong
   within a share of L, so an hour more means much to a day-old series and little to a month-old one.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64
from collector_processor.training.request import FitStatus

_MIN_HISTORY = 2 * MINUTE
_CURRENT = 15 * MINUTE
_STILL = 10 * NANOS_PER_SECOND
_MIN_INTERVAL = MINUTE
_AGE_SHARE = 4
_BACKTEST_HISTORY = 2 * DAY
_BACKTEST_INTERVAL = DAY
_MAX_FAILURES = 3
_PAUSE = HOUR
_STALE_AFTER = 15 * MINUTE
_NEIGHBOURS = 256  # fitted as one chunk
_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly however many there are

_ROW = np.dtype(
    [
        ("seen", "<i8"),  # when it was first found fit to be fitted; 0: not yet
        ("newest", "<i8"),  # time of its newest point at the last look
        ("moved", "<i8"),  # when that was first seen
        ("tried", "<i8"),  # when the last fit ended, well or not
        ("fitted_until", "<i8"),  # newest point in the model; 0: no model
        ("backtested", "<i8"),  # when a backtest was last tried
        ("paused_until", "<i8"),
        ("failures", "<i4"),  # in a row
        ("is_busy", "?"),
    ]
)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Durations are nanoseconds, `fit_timeout` seconds; `max_cpu` is a share of one core."""

    workers: int = 1
    max_cpu: float = 0.5
    step: int = 5 * MINUTE
    window: int = 28 * DAY
    refit_interval: int = HOUR
    fit_timeout: float = 30.0


class SeriesOverview(Protocol):
    """What the fast path knows of all series `(S,)`, by dense id; times are Unix nanoseconds, 0: no point."""

    @property
    def first_time(self) -> Int64:
        """Return times of the oldest points kept."""
        ...

    @property
    def last_time(self) -> Int64:
        """Return times of the newest points."""
        ...

    @property
    def is_modelled(self) -> Bool:
        """Return which series get forecasts at all."""
        ...

    @property
    def need(self) -> Float64:
        """Return how badly a better model is needed, 0 where the one there is does well."""
        ...

    @property
    def mark(self) -> npt.NDArray[np.uint8]:
        """Return what each series is marked with, a Reason: what `Schedule.marks` said last, once that has arrived."""
        ...


class Schedule:
    """What was done to each series and when."""

    def __init__(self, refit_interval: int) -> None:
        self._refit_interval = refit_interval
        self._rows = np.zeros(0, _ROW)
        self.backlog_seconds = 0.0
        """How long the most overdue series had been due at the last look."""
        self._is_stale = np.zeros(0, np.bool_)

    def restore(self, series: int, fitted_at: int, fitted_until: int, backtested: int) -> None:
        """Take what a stored model says: when it was made, its newest point, its backtest (0: none)."""
        self._grow(series + 1)
        row = self._rows[series]
        row["seen"] = row["tried"] = fitted_at
        row["fitted_until"], row["backtested"] = fitted_until, backtested

    def renew(self, series: int, now: int) -> None:
        """Make a series that has a model due at once, with a backtest: its model is of other settings."""
        row = self._rows[series]
        row["tried"] = now - self._refit_interval
        row["fitted_until"] = row["backtested"] = 1

    def forget(self, series: int) -> None:
        """Know nothing of what was done to a series any more: its id may come to stand for another."""
        self._rows[series] = np.zeros(1, _ROW)[0]

    def due(self, overview: SeriesOverview, now: int) -> Int32:
        """Return the series to fit, most urgent first, without those being fitted."""
        self._grow(overview.last_time.size)
        rows = self._rows[: overview.last_time.size]
        self._believe(now)
        age = overview.last_time - overview.first_time
        is_fitted = rows["fitted_until"] > 0
        is_pending = is_fitted & (rows["backtested"] == 0) & (age >= _BACKTEST_HISTORY)
        is_fit = overview.is_modelled & (age >= _MIN_HISTORY)
        is_fit &= (overview.last_time > rows["fitted_until"]) | is_pending
        is_fit &= ~self._is_back_filled(overview.last_time, now)
        rows["seen"][is_fit & (rows["seen"] == 0)] = now
        interval = self._interval(age, rows["failures"])
        due_at = np.where(is_pending, rows["tried"], self._due_at(rows, interval))
        is_due = is_fit & (due_at <= now)
        self._is_stale = is_due & is_fitted & (now - due_at > np.maximum(interval, _STALE_AFTER))
        due = np.flatnonzero(is_due & (rows["paused_until"] <= now) & ~rows["is_busy"])
        self.backlog_seconds = float((now - due_at[due]).max(initial=0) / NANOS_PER_SECOND)
        is_in_need = is_fitted & (overview.need > 0.0)
        rank = np.select([~is_fitted, is_in_need, is_pending], [0, 1, 2], 3)[due]
        overdue = (now - due_at[due]) / interval[due]
        urgency = np.where(rank == 1, overview.need[due], overdue)
        return due[np.lexsort((-urgency, rank))].astype(np.int32)

    def marks(self) -> npt.NDArray[np.uint8]:
        """Return, of the series at the last look `(S,)`, what keeps each from being sound: a Reason.

        FIT_FAILED until the next good fit, STALE_MODEL while a refit is overdue by more than an interval, else NONE.
        """
        failures = self._rows["failures"][: self._is_stale.size]
        marks = np.where(self._is_stale, Reason.STALE_MODEL, Reason.NONE)
        return np.where(failures > 0, Reason.FIT_FAILED, marks).astype(np.uint8)

    def wants_backtest(self, series: int, age: int, now: int) -> bool:
        """Whether it is time to find out again which forecast is better; not at first, and not after a failure."""
        row = self._rows[series]
        is_sound = row["fitted_until"] > 0 and row["failures"] == 0
        return bool(is_sound and age >= _BACKTEST_HISTORY and now - row["backtested"] >= _BACKTEST_INTERVAL)

    def has_failed(self, series: int) -> bool:
        """Whether its last fit failed: it should then be tried alone."""
        return bool(self._rows["failures"][series])

    def begin(self, series: int) -> None:
        """Note that a series is being fitted."""
        self._grow(series + 1)
        self._rows["is_busy"][series] = True

    def end(self, series: int, status: FitStatus, now: int, *, fitted_until: int, was_backtest: bool) -> None:
        """Note how a fit ended; `fitted_until` counts only where it succeeded."""
        row = self._rows[series]
        row["is_busy"] = False
        row["tried"] = now
        if was_backtest:
            row["backtested"] = now  # a failed one too: it is tried again tomorrow, plain fits go on
        if status is FitStatus.FITTED:
            row["fitted_until"] = fitted_until
        row["failures"] = row["failures"] + 1 if status.is_failure else 0
        if row["failures"] >= _MAX_FAILURES:
            row["paused_until"] = now + _PAUSE

    def paused(self, now: int) -> int:
        """Return how many series are paused."""
        return int(np.count_nonzero(self._rows["paused_until"] > now))

    def _believe(self, now: int) -> None:
        """Leave nothing in the future: a clock that was ahead would keep everybody waiting for its time to come."""
        for name in ("seen", "moved", "tried", "backtested"):
            np.minimum(self._rows[name], now, out=self._rows[name])
        np.minimum(self._rows["paused_until"], now + _PAUSE, out=self._rows["paused_until"])

    def _is_back_filled(self, last_time: Int64, now: int) -> Bool:
        """Tell which series lie in the past and are still moving."""
        rows = self._rows[: last_time.size]
        has_moved = last_time != rows["newest"]
        rows["moved"][has_moved] = now
        rows["newest"] = last_time
        result: Bool = (last_time < now - _CURRENT) & (rows["moved"] > now - _STILL)
        return result

    def _due_at(self, rows: npt.NDArray[np.void], interval: Int64) -> Int64:
        """Return when each series is to be fitted next: an interval after the last fit, or at its place before that."""
        latest = rows["tried"] + interval
        neighbourhood = np.arange(rows.size) // _NEIGHBOURS
        place = (neighbourhood * _GOLDEN % 1.0 * self._refit_interval).astype(np.int64)
        early = np.where(interval == self._refit_interval, (latest - place) % self._refit_interval, 0)
        due_at: Int64 = np.where(rows["tried"] > 0, latest - early, rows["seen"])
        return due_at

    def _interval(self, age: Int64, failures: Int32) -> Int64:
        usual = np.clip(age // _AGE_SHARE, _MIN_INTERVAL, self._refit_interval)
        return np.where(failures > 0, _MIN_INTERVAL, usual)

    def _grow(self, size: int) -> None:
        if size > self._rows.size:
            more = np.zeros(max(size, 2 * self._rows.size) - self._rows.size, _ROW)
            self._rows = np.concatenate([self._rows, more])
