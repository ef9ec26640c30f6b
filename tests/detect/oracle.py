"""The block maxima and 72-hour rule for one series and one forecast, written down the slow and obvious way."""

from itertools import combinations, pairwise
from math import log
from statistics import median

from collector_processor.clock import DAY, HOUR


def once_in_eleven_days(maxima: list[float]) -> float:
    """Return the level of Gumbel's law through daily maxima: all pairs compared, no shortcut."""
    pairs = [abs(one - other) for one, other in combinations(maxima, 2)]
    scale = sum(pairs) / len(pairs) / 2.0 / log(2.0)
    return median(maxima) + 2.0 * (1.0 + 2.0 / len(maxima)) * scale


def reach(history: list[tuple[int, float]], last: int) -> float:
    """Return T of a series whose newest point is at `last`, from all (time, a) of one forecast, ascending."""
    first = history[0][0]
    recent = max((a for time, a in history if time // HOUR >= last // HOUR - 72), default=0.0)
    first_block = first // DAY + (1 if first % DAY >= HOUR else 0)
    by_day: dict[int, float] = {}
    for time, a in history:
        if first_block <= time // DAY < last // DAY:
            by_day[time // DAY] = max(a, by_day.get(time // DAY, 0.0))
    maxima = [by_day[day] for day in sorted(by_day)][-42:]
    return max(recent, once_in_eleven_days(maxima)) if len(maxima) >= 3 else recent


def observed(history: list[tuple[int, float]]) -> int:
    return sum(min(later - earlier, 6 * HOUR) for (earlier, _), (later, _) in pairwise(history))
