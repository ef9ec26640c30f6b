"""The compiled loops over calm points: judged and learned as `Judge` does it with NumPy, to the last bit.

A block of rows goes through three loops:

    look: which points may be calm, and by what they are judged -> edges of their bands -> score and learn

What is not calm is left as it is to the NumPy code, which is the reference: here is no case of its own, and every sum
is taken in the same order. A row touches few fields of its series' records, where NumPy copies whole records and passes
over memory some hundred times. The edges are a loop of their own because it has no branches, so that a processor works
on several rows at once.

Importing this imports numba, so that is done when there is much to judge.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from collector_processor.clock import DAY
from collector_processor.compiled import exact, exact_entry, pasted, source_digest
from collector_processor.detect.calm import Parts, Points
from collector_processor.detect.days import BLOCK
from collector_processor.detect.judge import ROUNDING, SECOND_SHARE
from collector_processor.detect.learn_kernel import add, move_offsets, note, take_in, turn
from collector_processor.detect.level import SLOT
from collector_processor.detect.score import JUST_OUTSIDE
from collector_processor.detect.threshold import COLD_START, NEVER, STD_SHARE
from collector_processor.forecast import band_kernel
from collector_processor.forecast.band_kernel import agree, clipped, drawn, find_edges
from collector_processor.forecast.bands import SMALLEST_TOLERANCE
from collector_processor.telemetry import band
from collector_processor.telemetry.band import FORECASTS, LEVEL, LEVEL_REACH, Reason
from collector_processor.telemetry.points import Bool, Float64, Int32

_BLOCK = 256  # rows: what is known of them stays in the processor's cache from one loop to the next
_F = len(FORECASTS)
_NOT_MODELLED = int(Reason.NOT_MODELLED)
_LONGEST = np.iinfo(np.int64).max


class Block(NamedTuple):
    """Rows that may be calm, as columns `(B,)` and `(F, B)`: which they are, and by what they are judged.

    `forecast` is within the bounds; `offset` how far that is from the `first` of a row, 0 where it is not judged by,
    and `inverse` 1 / tolerance in the band, 0 there; `present` how many it is judged by. `above` and `below` are how
    far from the first the edges are, `steps` the last of Newton's towards them. Where forecasts are
    exact, the band is that value alone.
    """

    row: Int32
    forecast: Float64
    offset: Float64
    inverse: Float64
    present: Float64
    first: Float64
    low: Float64
    high: Float64
    is_active: Bool
    is_exact: Bool
    above: Float64
    below: Float64
    steps: Float64


@pasted
def _level(level: Any, time: Any) -> Any:
    """Return the level at a time, NaN where it is not known."""
    ahead = time - level.slot * SLOT
    return level.level if 0 <= ahead < LEVEL_REACH else np.nan


@pasted
def _put_forecasts(forecast: Float64, b: Any, expected: Float64, i: Any, level: Any) -> Any:
    """Put forecasts of point i, of which `level` is not the model's, into column b; tell whether there is any."""
    is_any = False
    for f in range(_F):
        forecast[f, b] = level if f == LEVEL else expected[f, i]
        is_any |= not math.isnan(forecast[f, b])
    return is_any


@pasted
def _may_be_calm(maxima: Any, tracker: Any, episode: Any, time: Any) -> Any:
    """Tell whether a point may be calm, by what is known of its series."""
    is_next = maxima.newest >= 0 and time // DAY == maxima.newest // DAY
    return is_next and not math.isnan(tracker.offset_lower[0]) and not episode.was_flagged


@pasted
def _is_nothing_held_back(held_back: Any) -> Any:
    is_nothing = True
    for f in range(_F):
        is_nothing &= held_back[f] == 0.0
    return is_nothing


@pasted
def _weigh(
    maxima: Any, held_back: Any, forecast: Float64, offset: Float64, inverse: Float64, b: Any, low: Any, high: Any
) -> Any:
    """Hold the forecasts in column b against their tolerances; return how many count, the first, whole days, exactness.

    None counts where the point is not calm: a forecast is seen for the first time, a distance held back, or one of the
    forecasts exact and another not the same.
    """
    has_mature = False
    for f in range(_F):
        has_mature |= maxima.observed[f] >= DAY
    count, first, shortest, is_calm = 0.0, np.nan, _LONGEST, True
    is_exact, is_same = False, True
    for f in range(_F):
        x = forecast[f, b]
        days, is_seen = maxima.observed[f] // DAY, maxima.first_block[f] != NEVER
        credited = max(float(days), 1.0)
        tolerance = (maxima.reach[f] + STD_SHARE * maxima.std) * (1.0 + COLD_START / (credited * math.sqrt(credited)))
        tolerance += ROUNDING * abs(x)
        is_calm &= held_back[f] == 0.0 and (is_seen or math.isnan(x))
        is_usable = days >= 1 or (is_seen and not has_mature)
        shortest = min(shortest, days) if is_usable else shortest
        x = clipped(x, low, high)
        forecast[f, b], offset[f, b], inverse[f, b] = x, 0.0, 0.0
        if is_usable and math.isfinite(x) and math.isfinite(tolerance):
            first = x if count == 0.0 else first
            offset[f, b], inverse[f, b] = x - first, 1.0 / max(tolerance, SMALLEST_TOLERANCE)
            is_exact |= tolerance < SMALLEST_TOLERANCE
            is_same &= x == first
            count += 1.0
    is_calm &= is_same or not is_exact
    return count if is_calm else 0.0, first, 0 if shortest == _LONGEST else shortest, is_exact


@exact
def _look(points: Points, parts: Parts, begin: int, block: Block, is_left: Bool) -> int:
    """Put the rows from `begin` on that may be calm into a block; return how many.

    Those of which nothing is expected are learned at once, and not left: their verdicts stay absent.
    """
    all_series, time, value, expected, _, held = points
    maxima, _, _, tracker, level, status, episode, _, rules, factor = parts
    row, forecast, offset, inverse, counts, firsts, lows, highs, is_active, is_exact, _, _, _ = block
    b = 0
    for i in range(begin, min(begin + _BLOCK, all_series.size)):
        series = all_series[i]
        is_usual = held[i] == 0 and math.isfinite(value[i]) and time[i] > maxima[series].newest
        if not is_usual or episode[series].is_open:
            continue
        rule, state = rules[series], status[series]
        if not _put_forecasts(forecast, b, expected, i, _level(level[series], time[i])):
            if _is_nothing_held_back(state.held_back):
                is_left[i] = False
                note(state, np.nan)
                add(level[series], value[i])
            continue
        if not _may_be_calm(maxima[series], tracker[series], episode[series], time[i]):
            continue
        low, high = rule.limits.low, rule.limits.high
        if not rule.has_bounds:  # they give way
            low, high = min(low, value[i]), max(high, value[i])
        count, first, days, is_exact[b] = _weigh(
            maxima[series], state.held_back, forecast, offset, inverse, b, low, high
        )
        threshold = rule.threshold * factor[series]
        threshold = threshold * SECOND_SHARE if state.is_strained else threshold
        if count == 0.0 or not agree(offset, inverse, b, count, threshold):
            continue
        for f in range(_F):
            inverse[f, b] /= threshold
        row[b], counts[b], firsts[b], lows[b], highs[b] = i, count, first, low, high
        is_active[b] = days >= 1 and state.mark != _NOT_MODELLED
        b += 1
    return b


@pasted
def _score(value: Any, yhat: Any, lower: Any, upper: Any) -> Any:
    residual = value - yhat
    score = 0.0 if residual == 0.0 else residual / (upper - yhat if residual > 0.0 else yhat - lower)
    score = max(score, JUST_OUTSIDE) if value > upper else score
    return min(score, -JUST_OUTSIDE) if value < lower else score


@exact
def _learn(points: Points, parts: Parts, block: Block, size: int, verdicts: Float64, is_left: Bool) -> None:
    """Score `size` rows; learn those within their bands, which are not left."""
    all_series, time, values, _, winner, _ = points
    maxima, rings, is_turned, tracker, level, status, _, _, rules, _ = parts
    row, forecast, _, _, _, first, lows, highs, is_active, is_exact, above, below, _ = block
    for b in range(size):
        i = row[b]
        series, value = all_series[i], values[i]
        low, high = lows[b], highs[b]
        lower, upper = (first[b], first[b]) if is_exact[b] else (first[b] - below[b], first[b] + above[b])
        yhat = drawn(forecast, b, winner[i], lower, upper)
        limits = rules[series].limits
        least = max(limits.least, limits.least_share * abs(yhat))
        lower, upper = clipped(min(lower, yhat - least), low, high), clipped(max(upper, yhat + least), low, high)
        yhat = clipped(yhat, low, high)
        score = _score(value, yhat, lower, upper)
        is_flagged = is_active[b] and abs(score) > 1.0
        if is_flagged or not math.isfinite(score) or not math.isfinite(upper - lower):
            continue
        is_left[i] = False
        verdicts[0, i], verdicts[1, i], verdicts[2, i], verdicts[3, i] = yhat, lower, upper, score
        note(status[series], score)
        move_offsets(tracker[series], value - yhat, maxima[series])
        add(level[series], value)
        is_turned[series] |= turn(maxima[series], rings[series], time[i])
        take_in(maxima[series], forecast, b, time[i], value)


def _bind(
    sources: str,
) -> tuple[Callable[[Points, Parts], bool], Callable[[Points, Parts, Float64, Bool], None]]:
    """Compile `is_due` and `judge` over the digest of the sources that their constants are of."""

    @exact_entry
    def is_due(points: Points, parts: Parts) -> bool:
        """Tell whether a slot of a level, or three hours of a day, of any series ended before its point."""
        _ = sources
        series, time, _, _, _, _ = points
        _, _, _, _, level, _, _, days, _, _ = parts
        for i in range(series.size):
            if time[i] // SLOT > level[series[i]].slot or time[i] // BLOCK > days[series[i]].block:
                return True
        return False

    @exact_entry
    def judge(points: Points, parts: Parts, verdicts: Float64, is_left: Bool) -> None:
        """Judge and learn the calm points: `verdicts` `(4, n)`, yhat, lower, upper and score; others stay left."""
        _ = sources
        n, columns = _BLOCK, np.empty((6, _BLOCK))
        block = Block(
            np.empty(n, np.int32),
            np.empty((_F, n)),
            np.empty((_F, n)),
            np.empty((_F, n)),
            columns[0],
            columns[1],
            columns[2],
            columns[3],
            np.empty(n, np.bool_),
            np.empty(n, np.bool_),
            columns[4],
            columns[5],
            np.empty((2, n)),
        )
        for begin in range(0, points.series.size, _BLOCK):
            size = _look(points, parts, begin, block, is_left)
            find_edges(block.offset, block.inverse, block.present, block.above, block.below, block.steps, size)
            _learn(points, parts, block, size, verdicts, is_left)

    return is_due, judge


is_due, judge = _bind("".join(map(source_digest, (__file__, band_kernel.__file__, band.__file__))))
