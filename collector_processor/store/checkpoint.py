"""Moving the log into the database file between commits, a little at a time.

A log that is left to grow is moved in the middle of a commit, and whoever waits for that waits for all of it.
A log that was moved whole is written anew from its beginning, over blocks that the disk already has for it.
"""

import sqlite3

from collector_processor.clock import NANOS_PER_SECOND, SystemClock
from collector_processor.store.faults import translated

_COMMITS, _NANOS = 64, NANOS_PER_SECOND  # whichever comes first: two to three milliseconds of work


class Checkpoints:
    """When the log was moved last; used by the writer's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._clock = SystemClock()
        self._commits = self._last = 0

    def run_if_due(self, commits: int) -> None:
        """Move what came since the last time if it is time; `commits` is how many there ever were.

        Raises:
            StoreError: if the disk refuses; nothing is lost.
        """
        now, added = self._clock.monotonic_nano(), commits - self._commits
        if not added or (added < _COMMITS and now - self._last < _NANOS):
            return
        self._commits, self._last = commits, now
        with translated():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
