"""The embedded store: one SQLite file, one writer, any number of readers beside it.

    commit ──► head      one row per commit: raw columns, searched in memory
                 ▼       (six points a series later)
               sheet     the same by series, 128 neighbours in one row, found by key
                 ▼       (when the block is over)
               block     one chunk per (2 h, series): compressed values and verdicts;
                 │       times once for all series that share them
                 ▼       (a day later)
               day       one chunk per (day, series) ──► dropped whole when past retention

    part     what blocks and days exist          rollup   means over the forecast's step, per 128 series of a part
                                                 event    spans and logs of open windows
    summary  first and last point per chunk      outbox_log   how far the files below are committed
    series, episode, incident, model, taken, blob          store    identity, number of commits, clean shutdown

    acknowledged (file)  number of commits, written after each: a database that knows fewer has lost some
    *.outbox (files)     requests to forward, appended and on the disk before their commit; bounded
    *.sent (files)       how far each destination has come
    lock (file)          held by the writer
    ballast (file)       disk space that a start on a full disk needs

Reading lays block, day, sheets and head over each other in this order, so the last write of a (series, time) wins
from the moment it is committed. Rows are written in order of time: pages fill up, and retention is a range delete.
"""

from contextlib import ExitStack, suppress
from pathlib import Path

from collector_processor.errors import StoreError
from collector_processor.store import (
    answers,
    exemplars,
    forgetting,
    head_rows,
    incidents,
    layout,
    models,
    outbox_rows,
    receipts,
    records,
)
from collector_processor.store.base import Commit
from collector_processor.store.checkpoint import Checkpoints
from collector_processor.store.connection import connect_reader, connect_writer, inspect, transaction
from collector_processor.store.faults import DamagedStoreError, translated
from collector_processor.store.files import AcknowledgedMark, DirectoryLock, OpenFiles, create_database, prepare
from collector_processor.store.head import Head
from collector_processor.store.housekeeping import Housekeeping
from collector_processor.store.outbox import Outbox
from collector_processor.store.reader import KnownSeries, SqliteReader
from collector_processor.store.reserve import Reserve
from collector_processor.store.settings import StoreSettings


def open_reader(directory: Path, known: KnownSeries | None = None, head: Head | None = None) -> SqliteReader:
    """Open a store for reading, in any process, whether its writer runs or not.

    Keys that are `known` here need not be read and held a second time, nor what readers that share a `head` have read.

    Raises:
        StoreError: if there is no store, or it cannot be read.
    """
    connection = connect_reader(directory)
    try:
        return SqliteReader(connection, head=head) if known is None else SqliteReader(connection, known, head)
    except BaseException:
        connection.close()
        raise


def open_writer(directory: Path, settings: StoreSettings) -> "SqliteWriter":
    """Open or create a store as its one writer.

    Raises:
        StoreError: if another writer has it, or it is damaged, newer, or has lost commits. Nothing was changed then.
    """
    prepare(directory)
    with ExitStack() as opened:
        lock = DirectoryLock(directory)
        opened.callback(lock.release)
        reserve = Reserve(directory, settings)
        reserve.make_room()
        mark = AcknowledgedMark(directory)
        opened.callback(mark.close)
        known = inspect(directory)
        if mark.read() > (known or 0) and not settings.accept_loss:
            raise _lost(mark.read() - (known or 0))
        create_database(directory)
        writer = SqliteWriter(directory, settings, lock, mark, reserve)
        opened.pop_all()
    return writer


class SqliteWriter(SqliteReader):
    """The SeriesWriter of a directory; made by `open_writer`."""

    def __init__(
        self, directory: Path, settings: StoreSettings, lock: DirectoryLock, mark: AcknowledgedMark, reserve: Reserve
    ) -> None:
        connection = connect_writer(directory)
        try:
            super().__init__(connection)
            self._settings, self._lock, self._mark, self._reserve = settings, lock, mark, reserve
            self._sequence, self._newest = self._resume()
            self._has_room_for = 0  # the commit that was asked about last, so that it is not asked about twice
            with transaction(connection):
                self._discarded_bands = records.discard_foreign_bands(connection)
            self._outbox = Outbox(directory, outbox_rows.ends(connection), settings)
            outbox_rows.move_rows(connection, self._outbox)
            receipts.move_rows(connection)
            self._housekeeping = Housekeeping(connection, self._head, settings)
            self._checkpoints = Checkpoints(connection)
            self._files = OpenFiles(directory)
        except BaseException:
            connection.close()
            raise

    @property
    def discarded_bands(self) -> int:
        """See `SeriesWriter.discarded_bands`."""
        return self._discarded_bands

    @property
    def outbox(self) -> Outbox:
        """See `SeriesWriter.outbox`."""
        return self._outbox

    def commit(self, commit: Commit) -> None:
        """See `SeriesWriter.commit`."""
        _require_storable(commit)
        sequence = self._sequence + 1
        if self._has_room_for != sequence:
            self.require_room()
        newest = max(self._newest, int(commit.points.time_unix_nano.max(initial=0)))
        with self._outbox.appended(commit.outbox) as ends, transaction(self._connection):
            self._write_points(commit, sequence)
            self._write_records(commit, sequence)
            if ends:
                outbox_rows.put_ends(self._connection, ends)
            self._connection.execute("UPDATE store SET sequence = ?, newest = ?", (sequence, newest))
        self._sequence, self._newest = sequence, newest
        with suppress(OSError):  # the commit is durable; without its mark only the check at the next start is weaker
            self._mark.write(sequence)
        self._housekeeping.relieve(len(commit.points))

    def shortage(self) -> str:
        """See `SeriesWriter.shortage`."""
        return self._files.objection() or self._reserve.shortage()

    def require_room(self) -> None:
        """See `SeriesWriter.require_room`."""
        if text := self.shortage():
            raise StoreError(text, retry_after_seconds=10.0)
        self._has_room_for = self._sequence + 1

    def maintain(self, now_unix_nano: int, budget_seconds: float) -> bool:
        """See `SeriesWriter.maintain`."""
        self._checkpoints.run_if_due(self._sequence)
        return self._housekeeping.run(now_unix_nano, self._newest, budget_seconds)

    def close(self) -> None:
        """Close cleanly and let another writer in."""
        try:
            with suppress(StoreError), transaction(self._connection):  # a full disk must not keep it open
                self._connection.execute("UPDATE store SET is_clean = 1")
            self._outbox.close()
            super().close()
        finally:
            self._mark.close()
            self._lock.release()

    def _resume(self) -> tuple[int, int]:
        """Return the number of the last commit and the newest time; from here on a crash shows."""
        with translated():
            ((known, newest),) = self._connection.execute("SELECT sequence, newest FROM store")
        sequence = max(known, self._mark.read())  # numbers of lost commits are not used again: readers may hold them
        with transaction(self._connection):
            self._connection.execute("UPDATE store SET sequence = ?, is_clean = 0", (sequence,))
        self._mark.write(sequence)
        return sequence, newest

    def _write_points(self, commit: Commit, sequence: int) -> None:
        if commit.series:
            forgetting.note_replaced(self._connection, commit.series, records.last_series(self._connection))
        records.put_series(self._connection, commit.series)
        if len(commit.points):
            head_rows.append(self._connection, sequence, commit.points, commit.verdicts)

    def _write_records(self, commit: Commit, sequence: int) -> None:
        if len(commit.events):
            records.put_events(self._connection, commit.events, sequence)
        if commit.forget_events_before is not None:
            records.forget_events(self._connection, commit.forget_events_before)
        if commit.receipts:
            receipts.put(self._connection, commit.receipts)
        for first, bands in commit.bands.items():
            records.put_bands(self._connection, first, bands)
        self._write_findings(commit)
        for name, data in commit.blobs.items():
            records.put_blob(self._connection, name, data)
        if commit.forgotten.size:
            forgetting.forget(self._connection, commit.forgotten)

    def _write_findings(self, commit: Commit) -> None:
        """Write what most commits have none of."""
        if commit.exemplars:
            exemplars.put(self._connection, commit.exemplars)
        if commit.feedback:
            answers.put(self._connection, commit.feedback)
        if commit.episodes:
            records.put_episodes(self._connection, commit.episodes)
        if commit.incidents:
            incidents.put(self._connection, commit.incidents)
        if commit.models:
            models.put_models(self._connection, commit.models)


def _require_storable(commit: Commit) -> None:
    points = commit.points
    if commit.verdicts is not None and len(commit.verdicts) != len(points):
        raise ValueError(f"{len(commit.verdicts)} verdicts for {len(points)} points")
    if len(points) and (points.time_unix_nano.min() < 0 or points.series.min() < 0):
        raise ValueError("times and series ids are not negative")
    if len(points) and points.series.max() >= layout.MAX_SERIES:
        raise ValueError(f"series ids are below {layout.MAX_SERIES}")


def _lost(commits: int) -> DamagedStoreError:
    return DamagedStoreError(
        f"{commits} acknowledged commits are missing; `store.accept_loss: true` starts with what is left"
    )
