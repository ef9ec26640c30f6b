"""What follows a write that failed: nothing is tried on a store that still fails, and ever less often on one that may.

A failed commit costs a rebuild of all state, seconds with many series. So an empty commit goes ahead of the next one,
and after a second failure in a row, which the empty commit did not foresee, a pause.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.errors import StoreError
from collector_processor.store.base import Commit, SeriesWriter

_LONGEST_PAUSE = 10  # seconds


class Setback:
    """The failed commits of late; `text` says why nothing is taken, empty while all is well."""

    def __init__(self) -> None:
        self.text = ""
        self._in_a_row = 0
        self._last = 0

    @contextmanager
    def noted(self, now: int) -> Iterator[None]:
        """Take note of whether the commit in this block fails."""
        try:
            yield
        except StoreError as error:
            self.text, self._last = str(error), now
            self._in_a_row += 1
            raise
        self.text, self._in_a_row = "", 0

    def require_over(self, writer: SeriesWriter, now: int) -> None:
        """Try the store again, if its last commit failed.

        Raises:
            StoreError: if it is too early for that, or nothing can be written.
        """
        if not self.text:
            return
        pause = min((1 << self._in_a_row) // 4, _LONGEST_PAUSE) * NANOS_PER_SECOND  # after 1, 2, 3: 0, 1, 2 s
        waited = now - self._last
        if 0 <= waited < pause:  # a clock that was set back ends it, too
            raise StoreError(self.text, retry_after_seconds=(pause - waited) / NANOS_PER_SECOND)
        writer.commit(Commit())
        self.text = ""
