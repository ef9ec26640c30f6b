"""Trends within a window: a straight line by least squares, and double exponential smoothing."""

import numpy as np

from collector_processor.telemetry.points import Bool, Float64
from grafana_datasource.promql.samples import Unrolled, Windows
from grafana_datasource.query import FailedQueryError


def slope(windows: Windows) -> tuple[Float64, Bool]:
    """Return the slope per second of the line through the samples."""
    return windows.each(lambda part: _line(part, _first_seconds(part))[0]), _enough(windows)


def predicted(windows: Windows, ahead: Float64) -> tuple[Float64, Bool]:
    """Return where the line will be `ahead` seconds `(n,)` after each step."""
    steps = windows.seconds_of(windows.steps)

    def compute(part: Unrolled) -> Float64:
        gradient, value = _line(part, steps[part.step])
        return value + gradient * ahead[part.step]

    return windows.each(compute), _enough(windows)


def smoothed(windows: Windows, level: Float64, trend: Float64) -> tuple[Float64, Bool]:
    """Return the last value after double exponential smoothing with factors in (0, 1), `(n,)` each.

    Raises:
        FailedQueryError: for a factor outside.
    """
    for name, factor in (("smoothing", level), ("trend", trend)):
        if not ((factor > 0) & (factor < 1)).all():
            raise FailedQueryError(f"invalid {name} factor. Expected: 0 < factor < 1, got: {factor[0]:g}")

    def compute(part: Unrolled) -> Float64:
        return _smoothed(part, level[part.step], trend[part.step])

    return windows.each(compute), _enough(windows)


def _line(part: Unrolled, origin: Float64) -> tuple[Float64, Float64]:
    """Return slope and value at `origin` (seconds) per window; exact where all values are equal."""
    value, seconds = part.value, part.windows.seconds(part.row)
    middle = part.sum(seconds) / part.count
    x = seconds - part.spread(middle)
    mean = part.sum(value) / part.count
    gradient = part.sum(x * (value - part.spread(mean))) / part.sum(x * x)
    first = value[part.start]
    is_flat = np.logical_and.reduceat(value == part.spread(first), part.start)
    gradient = np.where(is_flat, np.where(np.isinf(first), np.nan, 0.0), gradient)
    at_origin = np.where(is_flat & np.isfinite(first), first, mean + gradient * (origin - middle))
    return gradient, at_origin


def _smoothed(part: Unrolled, level: Float64, trend: Float64) -> Float64:
    value = np.append(part.value, np.nan)
    before, now = np.zeros(part.count.size), value[part.start]
    slope_now = value[part.start + 1] - now
    for i in range(1, int(part.count.max())):
        goes_on = i < part.count
        if i > 1:
            slope_now = np.where(goes_on, trend * (now - before) + (1 - trend) * slope_now, slope_now)
        after = level * value[np.minimum(part.start + i, value.size - 1)] + (1 - level) * (now + slope_now)
        before, now = np.where(goes_on, now, before), np.where(goes_on, after, now)
    return now


def _first_seconds(part: Unrolled) -> Float64:
    return part.windows.seconds(part.row[part.start])


def _enough(windows: Windows) -> Bool:
    return np.asarray(windows.count > 1)
