"""What an open episode is held against: what was expected at its onset, so that no anomaly explains itself away.

A value is usual again inside the alert band that the forecasts make at `RELEASE`, which is narrower than the one that
had to be left, so that a value at the edge does not come and go. The level of the last three hours would follow
whatever lasts, so while an episode is open it is held where it was at the onset, and moved on by what the model's
forecasts have moved since: the season goes on, what happens now does not count.

A series has settled elsewhere when the median of its last three hours is itself unusual, on the side of the episode.

Measured on recorded series with exactly labelled events: with the edge at .6 / .8 / 1.0 half of the episodes end .5 / 1
/ 1 steps before their label does, one in four 2 / 2.25 / 3 steps before, and one in ten lasts 2.2 / 1 / 1 times its
length. Any one forecast, with the level as it is, lets go 4 steps before in one of four.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.detect import record
from collector_processor.forecast.bands import alert_band
from collector_processor.forecast.expectation import Limits, least_deviation
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

RELEASE = 0.8
"""In tolerances; an onset takes 1.1 or more."""

DTYPE = np.dtype(
    [
        ("level", "<f8"),  # at the onset of the newest episode; NaN: none was known
        ("modelled", "<f8"),  # what the model expected then; NaN: nothing
        ("now", "<f8"),  # the level, moved on to the newest point
    ]
)
INITIAL = {"level": np.nan, "modelled": np.nan, "now": np.nan}
_MODELLED = [i for i in range(len(FORECASTS)) if i != LEVEL]


@dataclass(frozen=True, slots=True)
class Now:
    """Points `(n,)` of series in an episode, with what they were judged by `(n, F)`, and the median of three hours."""

    value: Float64
    yhat: Float64
    median: Float64
    forecasts: Float64
    tolerance: Float64
    limits: Limits


@dataclass(frozen=True, slots=True)
class Held:
    """Which values `(n,)` are usual again; `before` and `after` where a series has settled elsewhere, else NaN."""

    is_usual: Bool
    before: Float64
    after: Float64

    @classmethod
    def none(cls, n: int) -> "Held":
        """Return `n` rows of series without an episode."""
        return cls(np.zeros(n, np.bool_), np.full(n, np.nan), np.full(n, np.nan))

    def put(self, at: Int64, rows: "Held") -> None:
        """Fill rows of one that is still being made."""
        self.is_usual[at], self.before[at], self.after[at] = rows.is_usual, rows.before, rows.after


class Holding:
    """What every series' newest episode began with; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, INITIAL)

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, INITIAL)

    def begin(self, series: Int32, forecasts: Float64) -> None:
        """Hold on to forecasts `(n, F)` at the onsets of series."""
        self.records["level"][series] = self.records["now"][series] = forecasts[:, LEVEL]
        self.records["modelled"][series] = _modelled(forecasts)

    def level(self, series: Int32, forecasts: Float64) -> Float64:
        """Return the level `(n,)` that series in an episode are judged by, beside forecasts `(n, F)` of now."""
        rows = self.records[series]
        level: Float64 = rows["level"] + np.nan_to_num(_modelled(forecasts) - rows["modelled"])
        self.records["now"][series] = level
        return level


def look(now: Now) -> Held:
    """Hold the points of series in an episode against what was expected at its onset."""
    modelled = _modelled(now.forecasts)
    band = alert_band(now.forecasts, now.tolerance, np.full(now.value.size, RELEASE))
    before = np.where(np.isnan(modelled), now.forecasts[:, LEVEL], modelled)
    with np.errstate(invalid="ignore"):
        is_usual = (now.value >= band.lower) & (now.value <= band.upper)
        centre = np.clip(now.yhat, band.lower, band.upper)
        is_usual |= np.abs(now.value - centre) <= least_deviation(centre, now.limits)
        side = np.sign(now.value - before)
        is_settled = np.where(side > 0.0, now.median > band.upper, now.median < band.lower) & ~is_usual
    return Held(is_usual, np.where(is_settled, before, np.nan), np.where(is_settled, now.median, np.nan))


def _modelled(forecasts: Float64) -> Float64:
    """Return the median `(n,)` of what the model's forecasts expect, NaN where there are none."""
    ordered = np.sort(forecasts[:, _MODELLED], axis=1)  # NaN last
    count, row = np.isfinite(ordered).sum(axis=1), np.arange(len(ordered))
    low, high = ordered[row, np.maximum(count - 1, 0) // 2], ordered[row, count // 2 % len(_MODELLED)]
    return np.where(count > 0, 0.5 * low + 0.5 * high, np.nan)
