"""The one place that reads the clock; everywhere else `now` is an argument."""

import time
from typing import Protocol

NANOS_PER_SECOND = 1_000_000_000
MINUTE = 60 * NANOS_PER_SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """Wall time and monotonic time, both in nanoseconds."""

    def now_unix_nano(self) -> int:
        """Return wall time as Unix nanoseconds (UTC)."""
        ...

    def monotonic_nano(self) -> int:
        """Return a time that never jumps, for waiting and measuring."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_unix_nano(self) -> int:
        """Return wall time as Unix nanoseconds (UTC)."""
        return time.time_ns()

    def monotonic_nano(self) -> int:
        """Return a time that never jumps, for waiting and measuring."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that moves only when told: for replays and tests."""

    def __init__(self, now_unix_nano: int) -> None:
        self._now = now_unix_nano

    def now_unix_nano(self) -> int:
        """Return the time last set."""
        return self._now

    def monotonic_nano(self) -> int:
        """Return the time last set: it never runs backwards either."""
        return self._now

    def advance(self, nanoseconds: int) -> None:
        """Move forward by `nanoseconds`.

        Raises:
            ValueError: if it would move backwards.
        """
        if nanoseconds < 0:
            raise ValueError(f"a clock moves forward, not by {nanoseconds} ns")
        self._now += nanoseconds
