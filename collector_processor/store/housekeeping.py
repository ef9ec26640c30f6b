"""When the store's housekeeping is due, and doing it in the time given."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from collector_processor.clock import HOUR, NANOS_PER_SECOND, SystemClock
from collector_processor.errors import StoreError
from collector_processor.store import compact, exemplars, incidents, layout, records, rollup
from collector_processor.store.connection import snapshot, transaction
from collector_processor.store.faults import translated
from collector_processor.store.head import Head, Recent
from collector_processor.store.settings import StoreSettings

_HEAD_POINTS = 250_000
_HEAD_POINTS_PER_SERIES = 12
_HEAD_POINTS_RELIEVED = 2_000_000
_POINTS_BETWEEN_CHECKPOINTS = 100_000
_RETENTION_INTERVAL = HOUR
_END = object()


class Housekeeping:
    """Work in progress: at most one job, continued slice by slice."""

    def __init__(self, connection: sqlite3.Connection, head: Head, settings: StoreSettings) -> None:
        self._connection = connection
        self._head = head
        self._settings = settings
        self._rollup_step = settings.rollup_step if rollup.divides(settings.rollup_step) else 0
        self._job: Iterator[None] | None = None
        self._last_retention: int | None = None
        self._head_points = 0
        self._worth_compacting = _HEAD_POINTS
        self._points_in_log = 0

    def run(self, now: int, newest: int, budget_seconds: float) -> bool:
        """Work one slice, and more while there is time; return whether more is waiting."""
        clock = SystemClock()
        deadline = clock.monotonic_nano() + int(budget_seconds * NANOS_PER_SECOND)
        is_first = True
        while is_first or clock.monotonic_nano() < deadline:
            self._job = self._job or self._next_job(now, newest)
            if self._job is None:
                return False
            self._step()
            is_first = False
        return True

    def relieve(self, points_added: int) -> None:
        """Note a commit; where nobody calls `run` often enough, compact a slice to bound the head in memory.

        The commit stands whatever happens here, so failures wait for the next `run`.
        """
        self._head_points += points_added
        self._points_in_log += points_added
        if self._head_points > _HEAD_POINTS_RELIEVED:
            with suppress(StoreError):
                self._job = self._job or self._compaction()
                self._step()

    def _step(self) -> None:
        """Do one slice; a failed job is given up, and begun again by a later call."""
        job, self._job = self._job, None
        if job is None:
            return
        with translated():
            if next(job, _END) is not _END:
                self._job = job

    def _next_job(self, now: int, newest: int) -> Iterator[None] | None:
        with snapshot(self._connection):
            recent = self._head.at(self._connection)
            day = compact.day_to_merge(self._connection, newest)
            bare = compact.part_to_roll_up(self._connection, self._rollup_step)
        self._head_points = len(recent)
        if self._is_compaction_due(recent, newest):
            return self._compaction()
        if day is not None:
            return compact.merge_day(self._connection, day, self._rollup_step)
        if self._is_retention_due(now):
            self._last_retention = now
            return self._retention(now, newest)
        if bare is not None:
            return compact.roll_up(self._connection, bare, self._rollup_step)
        if self._points_in_log >= _POINTS_BETWEEN_CHECKPOINTS:
            return self._checkpoint()
        return None

    def _is_compaction_due(self, recent: Recent, newest: int) -> bool:
        if not self._head_points:
            return False
        if newest - recent.first_row_newest >= layout.BLOCK:
            return True
        if self._head_points < self._worth_compacting:
            return False
        self._worth_compacting = _points_per_compaction(recent)  # only grows until then: not asked for at each slice
        return self._head_points >= self._worth_compacting

    def _is_retention_due(self, now: int) -> bool:
        last = self._last_retention
        return last is None or not 0 <= now - last < _RETENTION_INTERVAL

    def _compaction(self) -> Iterator[None]:
        enough = _points_per_compaction(self._head.at(self._connection))
        for _ in compact.compact_head(self._connection, enough, self._rollup_step):
            self._head.at(self._connection)  # a little now rather than all that came meanwhile in the end
            yield
        self._head_points, self._worth_compacting = len(self._head.at(self._connection)), _HEAD_POINTS
        yield from self._checkpoint()

    def _retention(self, now: int, newest: int) -> Iterator[None]:
        expired = compact.expired_parts(
            self._connection, now=now, newest=newest, retention=self._settings.retention_nano
        )
        for part in expired:
            yield from compact.drop_part(self._connection, part)
        with transaction(self._connection):
            records.bound_receipts(self._connection)
            if now <= newest + compact.CLOCK_TRUST:
                kept_from = min(now, newest) - self._settings.retention_nano
                records.forget_episodes(self._connection, kept_from)
                incidents.forget(self._connection, kept_from)
                exemplars.forget(self._connection, kept_from)
        yield

    def _checkpoint(self) -> Iterator[None]:
        """Move the log into the file here rather than in the middle of a commit."""
        self._points_in_log = 0
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        yield


def _points_per_compaction(recent: Recent) -> int:
    """Return how many points are worth rewriting the chunks of their series."""
    return max(_HEAD_POINTS, _HEAD_POINTS_PER_SERIES * recent.series_count())
