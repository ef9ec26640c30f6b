"""Slow drift and leaks: what an adaptive threshold gets used to, told of by the days of a series (`days`).

With r the change of a day to the same day of the week before, a series drifts when

* D, the median of the last three r, is larger than 1.5 times the largest |r| of the weeks before, seven of them at
  least: the change of a week is held against those that the series makes by itself, its season of the week left out;
* it came about evenly, not in a step: the median of the three r before those is .2 to .8 of D, and no r of the last
  week differs from the one before by more than .6 of D.

So a leak is told of after five to eight days, in a series that is known for three weeks. The episode ends when D is
within its bar again, or after two weeks: from then on the series' own past holds it.

By simulation, with noise of deviation 1 between points: nothing in 3,200 weeks each of white, heavy-tailed and Poisson
noise, of seasons of day and week, and of even growth; noise that holds for one day or for three in one of 500 and of
130 weeks; random walks in one of 30; one in eight steps of 5 to 10 deviations of a day. A leak of 1, .5, .25 and .1 a
day is found in 100, 100, 93 and 20 % after 6 to 9 days, in noise that holds for a day in 96, 50, 10 and 1 %. None of
the recorded series drifts in 190 series-weeks.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from collector_processor.clock import DAY
from collector_processor.detect import record
from collector_processor.detect.days import WEEK
from collector_processor.forecast.expectation import least_deviation
from collector_processor.telemetry.episode import DRIFT, Drift, Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64
from collector_processor.telemetry.rule import Rules

BEYOND = 1.5
LEAST_SHARE, MOST_SHARE, MOST_AT_ONCE = 0.2, 0.8, 0.6
LEAST_COMPARED = 7
MAX_OPEN = 14 * DAY
FORGOTTEN_AFTER = 3 * DAY
"""An episode of a series without a day for this long is over."""

LEVELLED_OFF = "levelled off"
TIMEOUT = "timeout"

_RECENT = 3
_ROUNDING = 1e-6  # of the value: less is no change
_FORESEEN = 365.0  # days

DTYPE = np.dtype(
    [
        ("start", "<i8"),  # when the newest episode was told of
        ("since", "<i8"),  # when its drift began
        ("last", "<i8"),  # when the newest day of it had ended
        ("reaches", "<i8"),  # when it reaches a bound, 0: nobody knows
        ("bar", "<f8"),  # what D had to exceed
        ("peak", "<f8"),  # D in bars, where it was furthest from 0
        ("actual", "<f8"),  # the day then
        ("change", "<f8"),  # D then
        ("pace", "<f8"),  # a day, as of then
        ("is_open", "?"),
    ]
)


class Drifts:
    """The newest drift of every series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, {})

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, {})

    def look(
        self, series: Int32, time_unix_nano: Int64, day: Float64, weekly: Float64, rules: Rules, is_busy: Bool
    ) -> list[Episode]:
        """Return the episodes that opened, went on or ended with the day `(n,)` that was over by times `(n,)`.

        `weekly` `(n, d)` are the changes of days to the week before, newest last. Nothing opens for series that
        `is_busy` with an episode of another kind.
        """
        rows = self.records[series]
        change, before = _median(weekly[:, -_RECENT:]), _median(weekly[:, -2 * _RECENT : -_RECENT])
        bar = _bar(weekly[:, :-WEEK], day, rules)
        with np.errstate(all="ignore"):
            opens = (np.abs(change) > bar) & (np.sign(change) * rules["direction"] >= 0)
        opens &= _is_even(weekly, change, before) & ~rows["is_open"] & ~is_busy
        known = np.isfinite(change) & np.isfinite(day)
        goes_on = rows["is_open"] & known
        _open(rows, opens, time_unix_nano, bar)
        levelled = goes_on & (change * np.sign(rows["peak"]) <= rows["bar"])
        _follow(rows, opens | (goes_on & ~levelled), time_unix_nano, day, change, before, rules)
        rows["since"] = np.where(opens, _begin(rows), rows["since"])
        overdue = goes_on & ~levelled & (time_unix_nano - rows["start"] >= MAX_OPEN)
        rows["is_open"] &= ~(levelled | overdue)
        self.records[series] = rows
        reasons = np.where(levelled, LEVELLED_OFF, np.where(overdue, TIMEOUT, ""))
        return [_episode(int(series[i]), rows[i], str(reasons[i])) for i in np.flatnonzero(opens | goes_on)]

    def expire(self, now: int) -> list[Episode]:
        """Close the episodes of series of which no day came for long; return those closed."""
        is_open = np.flatnonzero(self.records["is_open"])
        overdue = is_open[now - self.records["last"][is_open] >= FORGOTTEN_AFTER]
        self.records["is_open"][overdue] = False
        return [_episode(int(i), self.records[i], TIMEOUT) for i in overdue]

    def restore(self, episodes: Sequence[Episode]) -> None:
        """Make exactly these episodes the open ones: the store knows best."""
        self.records["is_open"] = False
        for episode in episodes:
            row, drift = self.records[episode.series], episode.drift
            if drift is None:
                continue
            row["is_open"], row["start"], row["last"] = True, episode.start_unix_nano, episode.last_unix_nano
            row["since"], row["pace"], row["reaches"] = (
                drift.since_unix_nano,
                drift.per_day,
                drift.reaches_unix_nano or 0,
            )
            row["actual"], row["change"] = episode.actual, episode.actual - episode.yhat
            row["bar"], row["peak"] = episode.upper - episode.yhat, episode.peak_score


def _bar(compared: Float64, day: Float64, rules: Rules) -> Float64:
    """Return what a change `(n,)` has to exceed; infinite where there is too little to compare it with."""
    largest = np.nan_to_num(np.abs(compared)).max(axis=1)
    least = np.maximum(least_deviation(day, rules["limits"]), _ROUNDING * np.abs(day))
    is_enough = np.isfinite(compared).sum(axis=1) >= LEAST_COMPARED
    return np.where(is_enough, np.maximum(BEYOND * largest, least), np.inf)


def _is_even(weekly: Float64, change: Float64, before: Float64) -> Bool:
    """Tell which changes `(n,)` came about bit by bit."""
    at_once = np.nan_to_num(np.abs(np.diff(weekly[:, -WEEK - 1 :], axis=1))).max(axis=1)
    with np.errstate(all="ignore"):
        share = before / change
        is_even: Bool = (share >= LEAST_SHARE) & (share <= MOST_SHARE) & (at_once <= MOST_AT_ONCE * np.abs(change))
    return is_even


def _open(rows: record.Records, opens: Bool, time: Int64, bar: Float64) -> None:
    rows["is_open"] |= opens
    rows["start"] = np.where(opens, time, rows["start"])
    rows["bar"] = np.where(opens, bar, rows["bar"])
    rows["peak"] = np.where(opens, 0.0, rows["peak"])


def _follow(
    rows: record.Records, goes_on: Bool, time: Int64, day: Float64, change: Float64, before: Float64, rules: Rules
) -> None:
    """Take the newest day; D grows by the pace until that has lasted for a week, and is a week of it from then on."""
    with np.errstate(all="ignore"):
        size, side = change / rows["bar"], np.sign(change)
    furthest = goes_on & (np.abs(size) > np.abs(rows["peak"]))
    fresh = {
        "peak": size,
        "actual": day,
        "change": change,
        "pace": side * np.fmax(side * (change - before) / _RECENT, side * change / WEEK),
    }
    for name, value in fresh.items():
        rows[name] = np.where(furthest, value, rows[name])
    rows["last"] = np.where(goes_on, time, rows["last"])
    rows["reaches"] = np.where(furthest, _reached(rows, rules), rows["reaches"])


def _reached(rows: record.Records, rules: Rules) -> Int64:
    """Return when the bound ahead is reached at this pace, 0 where there is none or none within a year."""
    bound = np.where(rows["pace"] > 0.0, rules["limits"]["high"], rules["limits"]["low"])
    with np.errstate(all="ignore"):
        ahead = (bound - rows["actual"]) / rows["pace"]
    is_near = (ahead >= 0.0) & (ahead <= _FORESEEN)
    return np.where(is_near, rows["last"] + (np.where(is_near, ahead, 0.0) * DAY).astype(np.int64), 0)


def _begin(rows: record.Records) -> Int64:
    """Return when drifts began that were just told of: D was there yesterday."""
    with np.errstate(all="ignore"):
        days = np.nan_to_num(np.ceil(rows["change"] / rows["pace"]) + 1.0)
    return np.asarray(rows["last"] - days.astype(np.int64) * DAY, np.int64)


def _median(columns: Float64) -> Float64:
    """Return the median `(n,)` of three, NaN where one is."""
    return np.asarray(np.sort(columns, axis=1)[:, _RECENT // 2] + 0.0 * columns.sum(axis=1), np.float64)


def _episode(series: int, row: np.void, close_reason: str) -> Episode:
    start, last, before = int(row["start"]), int(row["last"]), float(row["actual"] - row["change"])
    return Episode(
        episode_id=blake2b(f"{DRIFT}:{series}:{start}".encode(), digest_size=8).hexdigest(),
        series=series,
        start_unix_nano=start,
        end_unix_nano=last if close_reason else None,
        last_unix_nano=last,
        direction=1 if row["peak"] > 0.0 else -1,
        peak_score=float(row["peak"]),
        actual=float(row["actual"]),
        yhat=before,
        lower=before - float(row["bar"]),
        upper=before + float(row["bar"]),
        close_reason=close_reason,
        kind=DRIFT,
        worsened_unix_nano=start,
        drift=Drift(float(row["pace"]), int(row["since"]), int(row["reaches"]) or None),
    )
