"""What every request handler works with: one reader of its own, the shared outlook, a time and a budget."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from collector_processor.clock import Clock
from collector_processor.errors import ForebandError, RetryableError, StoreError
from collector_processor.store.base import SeriesReader
from grafana_datasource.budget import Budget
from grafana_datasource.outlook import KnownFleet, Outlook, Outlooks
from grafana_datasource.query import Limits

if TYPE_CHECKING:
    from grafana_datasource.figures import Figures


@dataclass(frozen=True, slots=True)
class Session:
    """One request's access to the store; used by one thread, closed when the request ends."""

    reader: SeriesReader
    outlook: Outlook
    now: int
    budget: Budget
    figures: "Sequence[Figures]" = ()

    @property
    def limits(self) -> Limits:
        """Return what the request may cost."""
        return self.budget.limits


class Backend:
    """Lends sessions, a bounded number at a time, over readers that stay open between requests."""

    def __init__(
        self,
        open_reader: Callable[[], SeriesReader],
        clock: Clock,
        limits: Limits,
        *,
        concurrent: int,
        queue_seconds: float,
        refresh_seconds: float,
        has_memory: Callable[[], bool],
        figures: "Sequence[Figures]",
        known_fleet: KnownFleet | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self._open_reader = open_reader
        self._outlooks = Outlooks(clock, refresh_seconds, known_fleet)
        self._gate = BoundedSemaphore(concurrent)
        self._queue_seconds = queue_seconds
        self._has_memory = has_memory
        self._figures = figures
        self._idle: deque[SeriesReader] = deque()

    @contextmanager
    def session(self, seconds: float | None = None) -> Iterator[Session]:
        """Wait for a free place, then lend a session; `seconds` shorten the time it has.

        Raises:
            RetryableError: if no place became free in time, or memory is short.
            StoreError: if the store cannot be read.
        """
        if not self._has_memory():
            raise RetryableError("short of memory, try again later", retry_after_seconds=10.0)
        if not self._gate.acquire(timeout=self._queue_seconds):
            raise RetryableError("too many queries at once, try again shortly", retry_after_seconds=5.0)
        try:
            with self._reader() as reader:
                budget = Budget.start(self.limits, self.clock, seconds)
                outlook = self._outlooks.current(reader)
                yield Session(reader, outlook, self.clock.now_unix_nano(), budget, self._figures)
        finally:
            self._gate.release()

    def warm(self) -> None:
        """Read what all questions need once, so that the first does not wait for it; what fails is told to who asks."""
        with suppress(ForebandError), self.session():
            pass

    def close(self) -> None:
        """Close the readers nobody uses."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _reader(self) -> Iterator[SeriesReader]:
        """Lend the reader used last, which has the newest points in memory; drop one that failed."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._open_reader()
        try:
            yield reader
        except StoreError:
            reader.close()
            raise
        except BaseException:
            self._idle.append(reader)
            raise
        self._idle.append(reader)
