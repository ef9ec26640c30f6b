"""What goes on and on is said at once, and then only now and again."""

import time
from collections.abc import Hashable
from threading import Lock


class Seldom:
    """Tells when something may be said of a matter: at first, and then once in so many seconds; to any thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._again: dict[Hashable, float] = {}

    def is_due(self, matter: Hashable) -> bool:
        """Whether it may be said now; if so, it counts as said."""
        now = time.monotonic()
        with self._lock:
            is_due = now >= self._again.get(matter, now)
            if is_due:
                self._again[matter] = now + self._seconds
            return is_due
