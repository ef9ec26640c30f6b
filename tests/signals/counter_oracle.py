"""The rules for cumulative counters once more: one series, one point at a time, in words instead of arrays."""

from dataclasses import dataclass

SILENCE = 300.0
TOLERANCE = 0.05


@dataclass
class Seen:
    """The point followed last, and what the counter fell from (None: it didn't)."""

    start: float | None
    time: float
    value: float
    fell_from: float | None = None


@dataclass
class CounterOracle:
    """Times in seconds; `start` None is unknown."""

    seen: Seen | None = None

    def restart(self) -> None:
        if self.seen:
            self.seen = Seen(None, self.seen.time, self.seen.value)

    def rate(self, start: float | None, time: float, value: float) -> float | None:
        last = self.seen
        if last is None:
            self.seen = Seen(start, time, value)
            return None
        if time <= last.time:
            return None
        is_older = start is not None and last.start is not None and start < last.start - TOLERANCE
        if is_older and time - last.time <= SILENCE:
            return None
        self.seen = Seen(start, time, value)
        if is_older:
            return None
        if start is not None:
            has_restarted = start > last.time if last.start is None else start > last.start + TOLERANCE
            if has_restarted:
                return value / (time - start) if last.time <= start < time else None
        if value < last.value:
            self.seen.fell_from = last.value
            return None
        if last.fell_from is not None and value >= last.fell_from:
            return None
        self.seen.fell_from = last.fell_from
        return (value - last.value) / (time - last.time)
