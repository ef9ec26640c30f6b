"""The calibrated band: an online quantile tracker per series, whose 80, 95 and 99 % mean what they say.

After each scored point with residual r = x - yhat and tail probability a = (1 - interval_width) / 2,

    upper += eta (1[r > upper] - a)        lower -= eta (1[r < lower] - a)

so whatever the distribution, the long-run share of points outside tends to a on each side (Angelopoulos, Candes and
Tibshirani, "Conformal PID control for time series prediction", 2023, the P part). eta is 5 % of the 95 % quantile of
|residual|, or 10 % of the offset it moves where that is more: heavy tails, whose 99 % offset is many times the usual
residual, are otherwise reached only after thousands of points. While an episode is open the second rule is off: a
long anomaly may move the band by even steps, but must not inflate it. It is far too jumpy to alert on.

The offsets need not lie on both sides of 0: a forecast that is always too low has a band above itself.
"""

import numpy as np

from collector_processor.detect import record
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Bool, Float64, Int32

STEP_SHARE = 0.05
STEP_QUANTILE = 0.95
OFFSET_SHARE = 0.1

_L = len(INTERVAL_WIDTHS)
TAIL = ((1.0 - np.array(INTERVAL_WIDTHS)) / 2.0)[:, np.newaxis]

DTYPE = np.dtype(
    [
        ("offset_lower", "<f8", (_L,)),  # NaN: no residual seen yet
        ("offset_upper", "<f8", (_L,)),
        ("step", "<f8"),  # eta; 0: unknown, taken from the tolerance
        ("inside", "<u4", (_L,)),
        ("scored", "<u4"),
        ("forecast", "<i4"),  # the offsets belong to residuals of this forecast, -1: of none in particular
    ]
)
INITIAL = {"offset_lower": np.nan, "offset_upper": np.nan, "forecast": -1}


class QuantileTracker:
    """The calibrated offsets of all series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, INITIAL)

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, INITIAL)

    def learn(self, series: Int32, residual: Float64, reach: Float64, is_episode_open: Bool) -> None:
        """Count residuals `(n,)` as inside or outside, then move the offsets.

        `reach` `(n,)` is how far the series usually strays; it sizes the step of a series without seed. A series
        without offsets starts with its first residual on both sides, which is not counted.
        """
        rows = self.records.take(series)
        lower, upper = np.ascontiguousarray(rows["offset_lower"].T), np.ascontiguousarray(rows["offset_upper"].T)
        known = ~np.isnan(lower[0])
        if not known.all():
            lower, upper = np.where(known, lower, -np.abs(residual)), np.where(known, upper, np.abs(residual))
        above, below = residual > upper, residual < lower
        rows["inside"] += (known & ~above & ~below).T
        rows["scored"] += known
        step = np.where(rows["step"] > 0.0, rows["step"], STEP_SHARE * reach)
        growth = np.where(is_episode_open, 0.0, OFFSET_SHARE)
        down, up = np.maximum(step, growth * np.abs(lower)), np.maximum(step, growth * np.abs(upper))
        lower, upper = _ordered(lower - down * (below - TAIL), upper + up * (above - TAIL))
        rows["offset_lower"], rows["offset_upper"] = lower.T, upper.T
        self.records.put(series, rows)

    def adopt(self, series: Int32, forecast: Int32, seeds: record.Records) -> None:
        """Take the offsets of seeds `(n,)` where there are none yet or they belong to another `forecast` `(n,)`.

        The step is always taken. Coverage so far stays: it is a fact about what was drawn.
        """
        rows = self.records[series]
        taken = (rows["forecast"] != forecast) & ~np.isnan(seeds["offset_lower"]).any(axis=1)
        for name in ("offset_lower", "offset_upper"):
            rows[name][taken] = seeds[name][taken]
        rows["forecast"][taken] = forecast[taken]
        rows["step"] = seeds["step"]
        self.records[series] = rows


def seeded(residual: Float64) -> record.Records:
    """Return the one record that starts from quantiles of out-of-sample residuals `(n,)`; NaN is missing."""
    records = record.filled(DTYPE, 1, INITIAL)
    r = residual[np.isfinite(residual)]
    if r.size:
        lower, upper = _ordered(np.quantile(r, TAIL), np.quantile(r, 1.0 - TAIL))
        records["offset_lower"], records["offset_upper"] = lower.T, upper.T
        records["step"] = STEP_SHARE * np.quantile(np.abs(r), STEP_QUANTILE)
    return records


def _ordered(lower: Float64, upper: Float64) -> tuple[Float64, Float64]:
    """Keep, of `(L, n)` that are changed, a wider level around a narrower one, and the two sides from crossing."""
    crossed = lower[0] > upper[0]
    if crossed.any():
        middle = 0.5 * (lower[0] + upper[0])
        lower = np.where(crossed, np.minimum(lower, middle), lower)
        upper = np.where(crossed, np.maximum(upper, middle), upper)
    for level in range(1, len(lower)):
        np.minimum(lower[level], lower[level - 1], out=lower[level])
        np.maximum(upper[level], upper[level - 1], out=upper[level])
    return lower, upper
