"""Functions that make one number of all samples in a window: averages, extremes, quantiles and the like."""

import numpy as np

from collector_processor.telemetry.points import Bool, Float64
from grafana_datasource.promql.quantiles import quantile_of_sorted
from grafana_datasource.promql.samples import Unrolled, Windows


def count(windows: Windows) -> tuple[Float64, Bool]:
    """Return how many samples there are."""
    return windows.count.astype(np.float64), _some(windows)


def present(windows: Windows) -> tuple[Float64, Bool]:
    """Return 1 where there is a sample."""
    return np.ones(windows.count.shape), _some(windows)


def first(windows: Windows) -> tuple[Float64, Bool]:
    """Return the oldest value."""
    return windows.value(windows.first), _some(windows)


def last(windows: Windows) -> tuple[Float64, Bool]:
    """Return the newest value."""
    return windows.value(windows.stop - 1), _some(windows)


def total(windows: Windows) -> tuple[Float64, Bool]:
    """Return the sum."""
    return windows.reduced(np.add, windows.samples.value), _some(windows)


def smallest(windows: Windows) -> tuple[Float64, Bool]:
    """Return the minimum; NaN only where all values are."""
    return windows.reduced(np.fmin, windows.samples.value), _some(windows)


def largest(windows: Windows) -> tuple[Float64, Bool]:
    """Return the maximum; NaN only where all values are."""
    return windows.reduced(np.fmax, windows.samples.value), _some(windows)


def average(windows: Windows) -> tuple[Float64, Bool]:
    """Return the arithmetic mean, also where the sum of finite values is too large for a float."""
    value, size = windows.samples.value, np.maximum(windows.count, 1)
    mean = windows.reduced(np.add, value) / size
    if np.isinf(mean).any() and np.isfinite(value).any():
        scale = float(size.max())
        mean = np.where(np.isinf(mean), windows.reduced(np.add, value / scale) * (scale / size), mean)
    return mean, _some(windows)


def variance(windows: Windows) -> tuple[Float64, Bool]:
    """Return the population variance; exactly 0 where all values are equal."""

    def compute(part: Unrolled) -> Float64:
        value = part.value
        shifted = value - part.spread(value[part.start])
        away = shifted - part.spread(part.sum(shifted) / part.count)
        return part.sum(away * away) / part.count

    return windows.each(compute), _some(windows)


def deviation(windows: Windows) -> tuple[Float64, Bool]:
    """Return the population standard deviation."""
    values, found = variance(windows)
    return np.sqrt(values), found


def quantile(windows: Windows, rank: Float64) -> tuple[Float64, Bool]:
    """Return the quantile at `rank` `(n,)`, between neighbours by linear interpolation."""

    def compute(part: Unrolled) -> Float64:
        return quantile_of_sorted(_sorted(part, part.value), part.start, part.count, rank[part.step])

    return windows.each(compute), _some(windows)


def median_deviation(windows: Windows) -> tuple[Float64, Bool]:
    """Return the median absolute deviation from the median."""

    def compute(part: Unrolled) -> Float64:
        half = np.full(part.count.size, 0.5)
        middle = quantile_of_sorted(_sorted(part, part.value), part.start, part.count, half)
        away = np.abs(part.value - part.spread(middle))
        return quantile_of_sorted(_sorted(part, away), part.start, part.count, half)

    return windows.each(compute), _some(windows)


def time_of_first(windows: Windows) -> tuple[Float64, Bool]:
    """Return when the oldest sample was, in Unix seconds."""
    return windows.unix_seconds(windows.first), _some(windows)


def time_of_last(windows: Windows) -> tuple[Float64, Bool]:
    """Return when the newest sample was, in Unix seconds."""
    return windows.unix_seconds(windows.stop - 1), _some(windows)


def time_of_largest(windows: Windows) -> tuple[Float64, Bool]:
    """Return when the maximum was last, in Unix seconds."""
    return _time_of(windows, np.fmax), _some(windows)


def time_of_smallest(windows: Windows) -> tuple[Float64, Bool]:
    """Return when the minimum was last, in Unix seconds."""
    return _time_of(windows, np.fmin), _some(windows)


def _time_of(windows: Windows, extreme: np.ufunc) -> Float64:
    """Return the time of the newest sample that is the extreme of its window; of NaNs alone, of the newest."""

    def compute(part: Unrolled) -> Float64:
        value = part.value
        found = part.spread(extreme.reduceat(value, part.start))
        newest = np.maximum.reduceat(np.where((value == found) | np.isnan(found), part.row, -1), part.start)
        return windows.unix_seconds(newest)

    return windows.each(compute)


def _sorted(part: Unrolled, value: Float64) -> Float64:
    """Sort each window's values, NaN first."""
    window = np.repeat(np.arange(part.count.size), part.count)
    return value[np.lexsort((value, ~np.isnan(value), window))]


def _some(windows: Windows) -> Bool:
    return np.asarray(windows.count > 0)
