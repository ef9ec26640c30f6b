"""Forgetting series: what the store knows of them beside points, and the count by which readers notice.

Points are not looked at: they end with retention, and only a series without any is forgotten.
"""

import sqlite3
from collections.abc import Sequence
from struct import Struct

from collector_processor.store import records
from collector_processor.store.base import Renewals
from collector_processor.telemetry.points import Int32
from collector_processor.telemetry.series import SeriesKey

_BLOB = "\0renewals"  # a name no caller of `put_blob` can use
_COUNTS = Struct("<qq")
_TABLES = {"series": "id", "model": "series", "episode": "series", "exemplar": "series", "feedback": "series"}
"""The column by which each table names a series."""


def forget(connection: sqlite3.Connection, series: Int32) -> None:
    """Delete all rows about series, open episodes included."""
    ids = [(each,) for each in series.tolist()]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS forgotten (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO forgotten VALUES (?)", ids)
    for table, column in _TABLES.items():
        connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM forgotten)")  # noqa: S608  (ours)
    connection.execute("DELETE FROM forgotten")
    counts = renewals(connection)
    _put(connection, Renewals(counts.forgotten + 1, counts.replaced))


def note_replaced(connection: sqlite3.Connection, series: Sequence[tuple[int, SeriesKey]], last: int) -> None:
    """Count it where new series have ids up to `last`, which was the highest: they are those of forgotten ones."""
    if any(series_id <= last for series_id, _ in series):
        counts = renewals(connection)
        _put(connection, Renewals(counts.forgotten, counts.replaced + 1))


def renewals(connection: sqlite3.Connection) -> Renewals:
    """Return the counts."""
    found = records.blob(connection, _BLOB)
    return Renewals() if found is None else Renewals(*_COUNTS.unpack(found))


def _put(connection: sqlite3.Connection, counts: Renewals) -> None:
    records.put_blob(connection, _BLOB, _COUNTS.pack(counts.forgotten, counts.replaced))
