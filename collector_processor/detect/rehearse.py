"""What other settings would have flagged, from scores that were given: nothing is forecast or learned again.

A score says how far a value was from its forecast in half-widths of the band there was. A threshold that is larger by
a factor makes the band wider by it, so a point would have been flagged where |score| exceeds that factor. Left out is
what an alarm more or less would have changed for the tolerances of the three days after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY
from collector_processor.detect.episodes import GOES_ON_WITHIN, MAX_OPEN, QUIET_POINTS, QUIET_TIME
from collector_processor.detect.holding import RELEASE
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.rule import Rules

LARGEST_FACTOR = 3.0
_STEP = 1.02
_WEEK = 7 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Ascending times `(n,)` of one series' scored points, their scores, values and forecasts."""

    time_unix_nano: Int64
    score: Float64
    value: Float64
    yhat: Float64

    @property
    def weeks(self) -> float:
        """Return how long it is."""
        return float(self.time_unix_nano[-1] - self.time_unix_nano[0]) / _WEEK if self.time_unix_nano.size else 0.0


def flagged_by(past: Past, factor: float, rule: np.void, since: int) -> Bool:
    """Tell which points `(n,)` would be flagged with a threshold larger by `factor`, by a rule, from `since` on."""
    limits = rule["limits"]
    least = np.maximum(limits["least"], limits["least_share"] * np.abs(past.yhat))
    flagged: Bool = (np.abs(past.score) > factor) & (past.time_unix_nano >= since)
    flagged &= (np.sign(past.score) * rule["direction"] >= 0) & (np.abs(past.value - past.yhat) > least)
    return flagged


def episodes_of(past: Past, flagged: Bool, threshold: float) -> Int64:
    """Return start and end `(e, 2)` of the episodes that flags `(n,)` make; `threshold` tells usual values.

    A value is taken for usual within `RELEASE` tolerances; the band is a threshold of them. Onsets within two hours of
    an end go on with the same episode.
    """
    time, usual = past.time_unix_nano, np.abs(past.score) <= RELEASE / threshold
    onsets = np.flatnonzero(flagged & ~np.concatenate([[False], flagged[:-1]]))
    recovered = _recoveries(time, usual)
    spans: list[list[int]] = []
    for onset in onsets.tolist():
        start = int(time[onset])
        if spans and start < spans[-1][1]:
            continue  # it is open
        place = np.searchsorted(recovered[:, 0], onset)
        end = int(recovered[place, 1]) if place < len(recovered) else int(time[-1])
        end = min(end, start + MAX_OPEN)
        if spans and start - spans[-1][1] <= GOES_ON_WITHIN and start - spans[-1][0] < DAY:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return np.array(spans, np.int64).reshape(-1, 2)


def budget_factor(pasts: Sequence[Past], budget: float, rules: Rules, since: Sequence[int]) -> float:
    """Return the smallest factor of the threshold, from 1 on, with at most `budget` episodes a series-week.

    `rules` `(s,)` and `since` when each series counts belong to `pasts`. Three times the threshold is returned where
    nothing keeps to the budget, 1 where there is nothing to count.
    """
    weeks = sum(past.weeks for past in pasts)
    if weeks <= 0.0:
        return 1.0
    factor = 1.0
    while factor < LARGEST_FACTOR:
        flags = [flagged_by(past, factor, rule, start) for past, rule, start in zip(pasts, rules, since, strict=True)]
        found = sum(len(episodes_of(past, flagged, factor)) for past, flagged in zip(pasts, flags, strict=True))
        if found <= budget * weeks:
            return factor
        factor *= _STEP
    return LARGEST_FACTOR


def _recoveries(time: Int64, usual: Bool) -> Int64:
    """Return `(r, 2)`: the row where a run of usual values begins that is long enough to close, and its time."""
    begins = np.flatnonzero(usual & ~np.concatenate([[False], usual[:-1]]))
    ends = np.flatnonzero(usual & ~np.concatenate([usual[1:], [False]]))
    long = (ends - begins + 1 >= QUIET_POINTS) & (time[ends] - time[begins] >= QUIET_TIME)
    return np.stack([begins[long], time[begins[long]]], axis=1)
