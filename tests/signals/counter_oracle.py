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
    usual: float = 0.0
    held: tuple[float, float] = (0.0, 0.0)

    def restart(self) -> None:
        """Forget what is not saved: what is held was saved with its commit."""
        self.usual = 0.0
        if self.seen:
            self.seen = Seen(None, self.seen.time, self.seen.value)

    def rate(self, start: float | None, time: float, value: float) -> float | None:
        """Return a rate where the interval, with those held before it, is at least half the usual one."""
        step = self.step(start, time, value)
        if step is None:
            self.held = (0.0, 0.0)
            return None
        usual = self.usual or step[1]
        self.usual = usual + (min(step[1], 2 * usual) - usual) / 4
        grown, took = self.held[0] + step[0], self.held[1] + step[1]
        is_short = took < usual / 2
        self.held = (grown, took) if is_short else (0.0, 0.0)
        return None if is_short else grown / took

    def step(self, start: float | None, time: float, value: float) -> tuple[float, float] | None:
        """Return how much it grew in how many seconds."""
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
                return (value, time - start) if last.time <= start < time else None
        if value < last.value:
            self.seen.fell_from = last.value
            return None
        if last.fell_from is not None and value >= last.fell_from:
            return None
        self.seen.fell_from = last.fell_from
        return value - last.value, time - last.time
