"""When the store's housekeeping is due, and doing it in the time given."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from collector_processor.clock import HOUR, MINUTE, NANOS_PER_SECOND, SystemClock
from collector_processor.errors import StoreError
from collector_processor.store import compact, exemplars, incidents, layout, records, rollup
from collector_processor.store.connection import snapshot, transaction
from collector_processor.store.faults import translated
from collector_processor.store.head import Head, Recent
from collector_processor.store.settings import StoreSettings

_HEAD_POINTS = 250_000
_HEAD_POINTS_PER_SERIES = 6
_RELIEF_NANOS_PER_POINT = 4_000  # several times what moving one takes
_LATENESS = 15 * MINUTE
_RETENTION_INTERVAL = HOUR
_END = object()


class Housekeeping:
    """Work in progress: at most one job, continued slice by slice, and moving the head, which goes before it."""

    def __init__(self, connection: sqlite3.Connection, head: Head, settings: StoreSettings) -> None:
        self._connection = connection
        self._head = head
        self._settings = settings
        self._rollup_step = settings.rollup_step if rollup.divides(settings.rollup_step) else 0
        self._job: Iterator[None] | None = None
        self._sorting: Iterator[None] | None = None
        self._sorted_until = self._settled_until = 0
        self._last_retention: int | None = None
        self._head_points = 0
        self._worth_sorting = _HEAD_POINTS

    def run(self, now: int, newest: int, budget_seconds: float) -> bool:
        """Work one slice, and more while there is time; return whether more is waiting."""
        clock = SystemClock()
        deadline = clock.monotonic_nano() + int(budget_seconds * NANOS_PER_SECOND)
        is_first = True
        while is_first or clock.monotonic_nano() < deadline:
            self._sorting = self._sorting or self._next_sorting(newest)
            if self._sorting is None:
                self._job = self._job or self._next_job(now, newest)
            if not self._step():
                return False
            is_first = False
        return True

    def relieve(self, points_added: int) -> None:
        """Note a commit; where the head is far beyond what `run` leaves, sort a slice, and more for a large commit.

        So it stays bounded however seldom `run` is called. The commit stands whatever happens here, so failures wait
        for the next `run`.
        """
        self._head_points += points_added
        clock = SystemClock()
        deadline = clock.monotonic_nano() + points_added * _RELIEF_NANOS_PER_POINT
        with suppress(StoreError):
            while self._head_points > 2 * self._worth_sorting:
                self._sorting = self._sorting or self._sort()
                self._step()
                if clock.monotonic_nano() > deadline:
                    return

    def _step(self) -> bool:
        """Do one slice, if there is any; a failed job is given up, and begun again by a later call."""
        if self._sorting is not None:
            work, self._sorting = self._sorting, None
            self._sorting = _advanced(work)
        elif self._job is not None:
            work, self._job = self._job, None
            self._job = _advanced(work)
        else:
            return False
        return True

    def _next_sorting(self, newest: int) -> Iterator[None] | None:
        with snapshot(self._connection):
            recent = self._head.at(self._connection)
        self._head_points = len(recent)
        over = layout.block_begin(newest - _LATENESS)
        if self._sorted_until != over and self._head_points and recent.first_row_newest < over:
            return self._sort_all(recent, over)
        self._sorted_until = over
        return self._sort() if self._is_worth_sorting(recent) else None

    def _is_worth_sorting(self, recent: Recent) -> bool:
        if self._head_points < self._worth_sorting:
            return False
        self._worth_sorting = _points_per_sorting(recent)  # only grows until then: not asked for at each slice
        return self._head_points >= self._worth_sorting

    def _next_job(self, now: int, newest: int) -> Iterator[None] | None:
        if self._settled_until != self._sorted_until:
            return self._settling(self._sorted_until)
        with snapshot(self._connection):
            day = compact.day_to_merge(self._connection, newest)
            bare = compact.part_to_roll_up(self._connection, self._rollup_step)
        if day is not None:
            return compact.merge_day(self._connection, day, self._rollup_step)
        if self._is_retention_due(now):
            self._last_retention = now
            return self._retention(now, newest)
        if bare is not None:
            return compact.roll_up(self._connection, bare, self._rollup_step)
        return None

    def _is_retention_due(self, now: int) -> bool:
        last = self._last_retention
        return last is None or not 0 <= now - last < _RETENTION_INTERVAL

    def _sort(self) -> Iterator[None]:
        enough = _points_per_sorting(self._head.at(self._connection))
        for _ in compact.sort_head(self._connection, enough):
            self._head_points = len(self._head.at(self._connection))  # reads a little now rather than much in the end
            yield
        self._worth_sorting = _HEAD_POINTS

    def _sort_all(self, recent: Recent, over: int) -> Iterator[None]:
        """Leave nothing in the head of what is there now: late points that come meanwhile are not waited for."""
        last_row = recent.rows[1]
        while recent and recent.rows[0] <= last_row:
            yield from self._sort()
            recent = self._head.at(self._connection)
        self._sorted_until = over

    def _settling(self, until: int) -> Iterator[None]:
        yield from compact.settle(self._connection, until, self._rollup_step)
        self._settled_until = until

    def _retention(self, now: int, newest: int) -> Iterator[None]:
        expired = compact.expired_parts(
            self._connection, now=now, newest=newest, retention=self._settings.retention_nano
        )
        for part in expired:
            yield from compact.drop_part(self._connection, part)
        with transaction(self._connection):
            if now <= newest + compact.CLOCK_TRUST:
                kept_from = min(now, newest) - self._settings.retention_nano
                records.forget_episodes(self._connection, kept_from)
                incidents.forget(self._connection, kept_from)
                exemplars.forget(self._connection, kept_from)
        yield


def _advanced(work: Iterator[None]) -> Iterator[None] | None:
    """Do one slice; None where it was the last."""
    with translated():
        return None if next(work, _END) is _END else work


def _points_per_sorting(recent: Recent) -> int:
    """Return how many points make sheets of a size worth writing."""
    return max(_HEAD_POINTS, _HEAD_POINTS_PER_SERIES * recent.series_count())
