"""Medians of the day for many series on one grid, as `seasonal` takes them of one: there in words, here compiled."""

import math
from collections.abc import Callable

import numpy as np

from collector_processor.compiled import compiled, entry, source_digest
from collector_processor.forecast.kernel.bits import greatest
from collector_processor.telemetry.points import Float64, Int64

_HOUR = 4  # slots
_TINY = 1e-300  # its inverse is finite


def _bind(sources: str) -> Callable[[Float64, Int64, Int64, Float64], None]:
    """Compile `profile_rows` over the digest of the sources it calls into."""

    @entry
    def profile_rows(y: Float64, slot: Int64, windows: Int64, profiles: Float64) -> None:
        """Write median days of each row of `y (B, n)` to `profiles (B, W, slots a day)`; NaN: a slot was never seen.

        `slot (n,)` counts slots of the wall clock since 1970; it ascends, but for an hour that comes twice. NaN is
        missing, infinities are not expected. A window `(W, 2)` is so many days, each slot averaged with so many to both
        sides.
        """
        _ = sources
        slots, days, widest = profiles.shape[2], windows[:, 0].max(), windows[:, 1].max()
        mean, present = np.empty(days * slots), np.empty(days * slots)
        padded, among = np.empty(days * slots + 2 * widest), np.empty(days * slots + 2 * widest)
        around, by_day = np.empty(days * slots), np.empty((days, slots))
        for b in range(len(y)):
            newest, end = _newest(y[b], slot)
            scale = _average_slots(y[b, :end], slot, newest + 1 - days * slots, mean, present)
            for window in range(len(windows)):
                size, smooth = windows[window, 0] * slots, windows[window, 1]
                _pad(mean[-size:], smooth, padded)
                _pad(present[-size:], smooth, among)
                _average_neighbours(padded, among, smooth, around[:size])
                _medians(around[:size], -(newest + 1) % slots, by_day[: windows[window, 0]], profiles[b, window])
                profiles[b, window] *= scale

    return profile_rows


profile_rows = _bind(source_digest(__file__))


@compiled
def _newest(row: Float64, slot: Int64) -> tuple[int, int]:
    """Return the newest slot with a value, and the row's end after its last value."""
    end = len(row)
    while end > 0 and np.isnan(row[end - 1]):
        end -= 1
    newest, i = slot[max(end - 1, 0)], end - 1
    while i >= 0 and slot[i] > newest - _HOUR:  # the clocks may have been put back
        newest = max(newest, newest if np.isnan(row[i]) else slot[i])
        i -= 1
    return newest, end


@compiled
def _average_slots(row: Float64, slot: Int64, first: int, mean: Float64, present: Float64) -> float:
    """Write the mean of every slot, 0 where there is none, and whether there is one.

    They are in units of a power of two, which is returned.
    """
    mean[:] = 0.0
    present[:] = 0.0
    begin = len(row)
    while begin > 0 and slot[begin - 1] >= first - _HOUR:
        begin -= 1
    scale = _power_of_two(row[begin:])
    inverse = 1.0 / scale
    for i in range(begin, len(row)):
        at = slot[i] - first
        if at >= 0 and row[i] == row[i]:
            mean[at] += row[i] * inverse
            present[at] += 1.0
    for j in range(len(mean)):
        mean[j] /= max(present[j], 1.0)
        present[j] = min(present[j], 1.0)
    return scale


@compiled
def _power_of_two(row: Float64) -> float:
    """Return one near the greatest magnitude."""
    most = greatest(row)
    return math.ldexp(1.0, math.frexp(most)[1] - 1) if most > _TINY else 1.0


@compiled
def _pad(x: Float64, smooth: int, padded: Float64) -> None:
    """Copy `x` between `smooth` zeros to both sides."""
    end = smooth + len(x)
    padded[:smooth] = 0.0
    padded[smooth:end] = x
    padded[end : end + smooth] = 0.0


@compiled
def _average_neighbours(mean: Float64, present: Float64, smooth: int, around: Float64) -> None:
    """Write the mean of the present ones within `smooth` to both sides, NaN without any; both ends are padded."""
    for j in range(len(around)):
        total, count = 0.0, 0.0
        for k in range(2 * smooth + 1):
            total += mean[j + k]
            count += present[j + k]
        around[j] = total / count if count > 0.0 else np.nan


@compiled
def _medians(around: Float64, start: int, by_day: Float64, profile: Float64) -> None:
    """Write the median of every slot of the day over the days `by_day (days, slots)` has room for, NaN without any.

    A day begins at `start`. All slots are sorted side by side, by exchanging days.
    """
    days, slots = by_day.shape
    for day in range(days):
        for place in range(slots):
            value = around[day * slots + (place + start if place + start < slots else place + start - slots)]
            by_day[day, place] = np.inf if np.isnan(value) else value
    for last in range(days - 1, 0, -1):
        for day in range(last):
            for place in range(slots):
                one, other = by_day[day, place], by_day[day + 1, place]
                by_day[day, place] = min(other, one)
                by_day[day + 1, place] = max(one, other)
    for place in range(slots):
        count = 0
        for day in range(days):
            count += by_day[day, place] < np.inf
        middle = 0.5 * by_day[(count - 1) // 2, place] + 0.5 * by_day[count // 2, place] if count > 0 else np.nan
        profile[place] = middle
