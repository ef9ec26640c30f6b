"""Opening the database: its settings, schema version and the checks at the door."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

from collector_processor.errors import StoreError
from collector_processor.store.faults import DamagedStoreError, translated
from collector_processor.store.files import DATABASE, disk_space, has_database, open_private

SCHEMA_VERSION = 9
_MIGRATIONS = {
    1: (
        "ALTER TABLE outbox ADD COLUMN destination TEXT NOT NULL DEFAULT 'default'",
        "DROP INDEX outbox_size",
        "CREATE INDEX outbox_queue ON outbox (destination, id, size, items)",
        "CREATE INDEX IF NOT EXISTS chunk_times ON chunk (times)",
    ),
    2: (
        """CREATE TABLE exemplar (series INTEGER NOT NULL, time INTEGER NOT NULL, trace BLOB NOT NULL,
               body BLOB NOT NULL, PRIMARY KEY (series, time, trace)) WITHOUT ROWID""",
        "CREATE INDEX exemplar_time ON exemplar (time)",
    ),
    3: ("CREATE TABLE outbox_log (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",),
    4: (
        """CREATE TABLE feedback (id TEXT PRIMARY KEY, series INTEGER NOT NULL, given INTEGER NOT NULL,
               body BLOB NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX feedback_series ON feedback (series, given)",
    ),
    5: (
        "ALTER TABLE part ADD COLUMN step INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE rollup (id INTEGER PRIMARY KEY, entries BLOB NOT NULL, levels BLOB NOT NULL)",
    ),
    6: (
        """CREATE TABLE incident (id TEXT PRIMARY KEY, start_time INTEGER NOT NULL, end_time INTEGER,
               body BLOB NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX incident_start ON incident (start_time)",
    ),
    7: (
        """CREATE TABLE sheet (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
               size INTEGER NOT NULL, points BLOB NOT NULL, verdicts BLOB)""",
        "CREATE TABLE sheet_ends (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    ),
    8: ("CREATE TABLE taken (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)",),
}
"""What leads from a schema version to the next; each only adds, so that what was there reads as before.

Rows of the tables `outbox` and `receipt`, which ended with versions 3 and 8, are moved when the writer opens
(`outbox_rows.move_rows`, `receipts.move_rows`).
"""

_APPLICATION_ID = 0x46624E64
_BUSY_SECONDS = 5.0
_PAGE_BYTES = 8192
_CACHE_KIB = 16 * 1024
_LOG_BYTES_KEPT = 32 << 20
_PAGES_BEFORE_CHECKPOINT = 4000
_MAX_BYTES_CHECKED_AT_OPEN = 128 << 20


def connect_reader(directory: Path) -> sqlite3.Connection:
    """Open a store for reading only.

    Raises:
        StoreError: if there is none, or it is not readable by this version.
    """
    path = directory / DATABASE
    if not path.exists():
        raise StoreError(f"there is no store in {directory} yet")
    with translated():
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _require_our_schema(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def inspect(directory: Path) -> int | None:
    """Check a store without changing it; return how many commits it knows, None where there is nothing yet.

    Raises:
        StoreError: if it is damaged, or not of this version.
    """
    if not has_database(directory) or _is_half_made(directory / DATABASE):
        return None
    with closing(connect_reader(directory)) as connection, translated():
        if not _has_tables(connection):
            return None
        ((sequence, is_clean),) = connection.execute("SELECT sequence, is_clean FROM store")
        if not is_clean:
            _check_structure(connection, directory / DATABASE)
        ((last_id,),) = connection.execute("SELECT coalesce(max(id), 0) FROM head")
    if last_id > sequence:
        raise DamagedStoreError(f"it counts {sequence} commits and holds number {last_id}")
    return int(sequence)


def connect_writer(directory: Path) -> sqlite3.Connection:
    """Open the store for writing, made first where there is none; the caller holds the lock and has inspected it.

    Raises:
        StoreError: if it cannot be opened.
    """
    path = directory / DATABASE
    with translated():
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _configure(connection)
            _create_schema(connection)
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all of the block, durably, or none of it.

    Raises:
        StoreError: if none of it was written.
    """
    with translated():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk makes SQLite roll back by itself
                connection.execute("ROLLBACK")
            raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Read the block from one state of the store; keep it short, an open one holds up the log."""
    with translated():
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = FAST")  # some systems' SQLite writes zeros over all that is deleted
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_KEPT}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BEFORE_CHECKPOINT}")


def _create_schema(connection: sqlite3.Connection) -> None:
    """Fill an empty database; one transaction, so a crash leaves it empty."""
    if _has_tables(connection):
        return
    schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
    with transaction(connection):
        for statement in schema.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO store VALUES (1, ?, 0, 0, 1)", (str(uuid.uuid4()),))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an older store to this version, a version at a time, each in one transaction; keep a copy as it was."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < SCHEMA_VERSION:
        _back_up(connection, path.with_name(f"{path.name}.version-{version}"))
    for older in range(version, SCHEMA_VERSION):
        with transaction(connection):
            for statement in _MIGRATIONS[older]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {older + 1}")


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the store, whole or not at all, for the older Foreband that somebody may want to go back to."""
    if target.exists():
        return
    ((size,),) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    free, _ = disk_space(target.parent)
    if free < size:
        raise StoreError(
            f"the store is of an older version and is copied before it is changed: {size >> 20} MiB are needed,"
            f" {free >> 20} MiB are free"
        )
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    open_private(part.parent, part.name).close()
    with closing(sqlite3.connect(part)) as copy:
        connection.backup(copy)
    part.replace(target)


def _require_our_schema(connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id == _APPLICATION_ID and version > SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema version {version}, this Foreband reads {SCHEMA_VERSION}:"
            " start the newer Foreband that wrote it"
        )
    is_known = version == SCHEMA_VERSION or version in _MIGRATIONS
    if (application_id != _APPLICATION_ID or not is_known) and _has_tables(connection):
        raise DamagedStoreError("its file is not a Foreband store")


def _is_half_made(path: Path) -> bool:
    """Tell whether making the database was cut short: SQLite rolls its only page back once it is opened for writing."""
    return path.stat().st_size <= _PAGE_BYTES and path.with_name(f"{path.name}-journal").exists()


def _has_tables(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count)


def _check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Check a small database that was not closed; a large one shows damage when it is read."""
    if path.stat().st_size > _MAX_BYTES_CHECKED_AT_OPEN:
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedStoreError("its structure is broken")
