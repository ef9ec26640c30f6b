"""How much CPU fits may use over time: a share of one core, saved up for a minute.

What was not used within the last minute may be used at once, so a young fleet is not slowed down; whoever is behind for
longer waits. Over any stretch of time t, fits that begin within it use at most `share * (t + a minute)` seconds, and
what the last of them takes more.
"""

from collector_processor.clock import MINUTE, NANOS_PER_SECOND

_SAVED_UP = MINUTE


class CpuAllowance:
    """Times are monotonic nanoseconds."""

    def __init__(self, share: float, now: int) -> None:
        self.used_seconds = 0.0
        self._share = share
        self._nanos = share * _SAVED_UP
        self._at = now

    def has_any(self, now: int) -> bool:
        """Whether another fit may begin."""
        self._nanos = min(self._nanos + self._share * (now - self._at), self._share * _SAVED_UP)
        self._at = now
        return self._nanos > 0.0

    def use(self, seconds: float) -> None:
        """Note what fits have used."""
        self.used_seconds += seconds
        self._nanos -= seconds * NANOS_PER_SECOND
