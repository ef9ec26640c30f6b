"""Many series in one line: pooled figures, and how far they would move with other series of the same kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.evaluation.events import Counts, delays_in_steps
from collector_processor.evaluation.forecast_error import ForecastError
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64, Int64

_DRAWS = 2000
_SEED = 7
_WELL_COVERED = 0.97
Interval = tuple[float, float]
"""95 % of the bootstrap's draws lie between."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Pooled over series; NaN where there is nothing to divide by."""

    series: int
    events: int
    series_weeks: float
    recall: float
    precision: float
    f1: float
    false_alarms_per_series_week: float
    intervals: dict[str, Interval]
    minutes_to_detect: tuple[float, float]
    steps_to_detect: tuple[float, float]
    fragments: float
    share_of_normal_time_in_alarm: float


@dataclass(frozen=True, slots=True)
class ForecastQuality:
    """Geometric means of ratios to the value 24 hours earlier; per level of INTERVAL_WIDTHS what follows."""

    mae_ratio_hour: float
    mae_ratio_day: float
    pinball_ratio: float
    median_coverage: tuple[float, ...]
    coverage_error: tuple[float, ...]
    well_covered: float


def detection(counts: Sequence[Counts]) -> Detection:
    """Pool the counts of one detector; times to detect are (median, 90 % quantile)."""
    table = np.array([(c.events, c.found, c.false_alarms, c.weeks) for c in counts], np.float64)
    recall, precision, f1, rate = _rates(table.sum(axis=0)[np.newaxis])[:, 0].tolist()
    found, normal = sum(c.found for c in counts), sum(c.normal for c in counts)
    return Detection(
        series=len(counts),
        events=sum(c.events for c in counts),
        series_weeks=float(table[:, 3].sum()),
        recall=recall,
        precision=precision,
        f1=f1,
        false_alarms_per_series_week=rate,
        intervals=_bootstrap(table),
        minutes_to_detect=_median_and_p90(counts, lambda c: c.delay / MINUTE),
        steps_to_detect=_median_and_p90(counts, delays_in_steps),
        fragments=_share(sum(c.fragments for c in counts), found),
        share_of_normal_time_in_alarm=_share(sum(c.normal_in_alarm for c in counts), normal),
    )


def forecast_quality(errors: Sequence[ForecastError]) -> ForecastQuality:
    """Pool over series; one without a figure does not count for that figure."""
    coverage = np.array([e.coverage for e in errors])
    coverage = coverage[np.isfinite(coverage).all(axis=1)]
    if not len(coverage):
        coverage = np.full((1, len(INTERVAL_WIDTHS)), np.nan)
    off = np.abs(coverage - np.array(INTERVAL_WIDTHS)).mean(axis=0)
    return ForecastQuality(
        mae_ratio_hour=_geometric_mean([e.hour_ahead for e in errors]),
        mae_ratio_day=_geometric_mean([e.day_ahead for e in errors]),
        pinball_ratio=_geometric_mean([e.pinball for e in errors]),
        median_coverage=tuple(np.median(coverage, axis=0).tolist()),
        coverage_error=tuple(off.tolist()),
        well_covered=float((coverage[:, -1] >= _WELL_COVERED).mean()),
    )


def _rates(totals: Float64) -> Float64:
    """Return recall, precision, F1 and false alarms per series-week `(4, n)` of totals `(n, 4)`."""
    events, found, false_alarms, weeks = totals.T
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = found / events, found / (found + false_alarms)
        return np.stack([recall, precision, 2.0 * found / (events + found + false_alarms), false_alarms / weeks])


def _bootstrap(table: Float64) -> dict[str, Interval]:
    rng = np.random.default_rng(_SEED)
    drawn: Int64 = rng.integers(0, len(table), (_DRAWS, len(table)))
    names = ("recall", "precision", "f1", "false_alarms_per_series_week")
    return {name: _middle(rate) for name, rate in zip(names, _rates(table[drawn].sum(axis=1)), strict=True)}


def _middle(drawn: Float64) -> Interval:
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, (0.025, 0.975)) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def _median_and_p90(counts: Sequence[Counts], delay: Callable[[Counts], Float64]) -> tuple[float, float]:
    delays = np.concatenate([delay(c) for c in counts])
    return (float(np.median(delays)), float(np.quantile(delays, 0.9))) if delays.size else (np.nan, np.nan)


def _geometric_mean(ratios: Sequence[float]) -> float:
    known = np.array([r for r in ratios if np.isfinite(r)])
    return float(np.exp(np.log(known).mean())) if known.size else np.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan
