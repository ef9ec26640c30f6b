"""How fast counters and gauges move over a window: rate, increase, delta and their kin, by Prometheus' rules.

`rate`, `increase` and `delta` are extrapolated from the samples of a window to its edges as Prometheus 2 does it: up to
an edge that is closer than 1.1 times the usual distance of samples, else by half that distance, and for a counter
never to before it was zero.
"""

import numpy as np

from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.promql.samples import Windows

_EXTRAPOLATED_DISTANCES = 1.1


def rate(windows: Windows) -> tuple[Float64, Bool]:
    """Return the increase per second of counters."""
    grown = _increase(windows)
    factor = _factor(windows, grown, is_counter=True) / (windows.length / 1e9)
    return grown * factor, _has_more_than(windows, 1)


def increase(windows: Windows) -> tuple[Float64, Bool]:
    """Return by how much counters grew, starts from zero added."""
    grown = _increase(windows)
    return grown * _factor(windows, grown, is_counter=True), _has_more_than(windows, 1)


def delta(windows: Windows) -> tuple[Float64, Bool]:
    """Return by how much gauges changed."""
    grown = _difference(windows)
    return grown * _factor(windows, grown, is_counter=False), _has_more_than(windows, 1)


def irate(windows: Windows) -> tuple[Float64, Bool]:
    """Return the increase per second between the last two samples."""
    last, before = windows.value(windows.stop - 1), windows.value(windows.stop - 2)
    grown = np.where(last < before, last, last - before)
    seconds = _seconds(windows.time(windows.stop - 2), windows.time(windows.stop - 1))
    return grown / seconds, _has_more_than(windows, 1)


def idelta(windows: Windows) -> tuple[Float64, Bool]:
    """Return the difference of the last two samples."""
    last, before = windows.value(windows.stop - 1), windows.value(windows.stop - 2)
    return last - before, _has_more_than(windows, 1)


def resets(windows: Windows) -> tuple[Float64, Bool]:
    """Count how often a value is smaller than the one before."""
    value = windows.samples.value
    return _counted(windows, value[1:] < value[:-1])


def changes(windows: Windows) -> tuple[Float64, Bool]:
    """Count how often a value differs from the one before; NaN equals NaN."""
    value = windows.samples.value
    return _counted(windows, (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1])))


def _counted(windows: Windows, event: Bool) -> tuple[Float64, Bool]:
    """Count events between neighbours within each window."""
    before = np.concatenate([[0], [0], np.cumsum(event)])
    has_some = windows.count > 0
    count = np.where(has_some, before[windows.stop] - before[np.minimum(windows.first + 1, before.size - 1)], 0)
    return count.astype(np.float64), has_some


def _difference(windows: Windows) -> Float64:
    return windows.value(windows.stop - 1) - windows.value(windows.first)


def _increase(windows: Windows) -> Float64:
    grown = _difference(windows)
    if (drops := _drops(windows)).any():
        grown = grown + windows.reduced(np.add, drops, windows.first + 1) * _has_more_than(windows, 1)
    return grown


def _drops(windows: Windows) -> Float64:
    """Return per sample what the counter had reached before it started again there, else zero."""
    value = windows.samples.value
    before = np.append(np.nan, value[:-1])[: value.size]
    return np.where(value < before, before, 0.0)


def _has_more_than(windows: Windows, count: int) -> Bool:
    return np.asarray(windows.count > count)


def _factor(windows: Windows, grown: Float64, *, is_counter: bool) -> Float64:
    """Return how many times as much as its samples cover a window holds, step by step as Prometheus reckons it."""
    first, last = windows.time(windows.first), windows.time(windows.stop - 1)
    to_start, to_end = _seconds(windows.times - windows.length, first), _seconds(last, windows.times)
    sampled = _seconds(first, last)
    distance = sampled / np.maximum(windows.count - 1, 1)
    if is_counter:
        value = windows.value(windows.first)
        to_zero = np.where((grown > 0) & (value >= 0), sampled * (value / grown), np.inf)
        to_start = np.minimum(to_start, to_zero)
    near = distance * _EXTRAPOLATED_DISTANCES
    covered = sampled + np.where(to_start < near, to_start, distance / 2)
    covered += np.where(to_end < near, to_end, distance / 2)
    return np.asarray(covered / sampled)


def _seconds(since: Int64, until: Int64) -> Float64:
    """Return what lies between times, rounded once."""
    return np.asarray((until - since) / 1e9)
