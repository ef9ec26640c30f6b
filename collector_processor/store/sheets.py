"""Sheets, read: points of 128 neighbouring series, sorted, for the time from the head to the end of their block.

A row of the head holds points of any series, so it has to be searched in memory. A sheet is found by its series, and
takes no memory. Those of a group are numbered in order of writing; of equal points the last one's counts.
"""

import sqlite3
from collections.abc import Iterator

import numpy as np

from collector_processor.store import layout, rows
from collector_processor.store.chunks import Ends, decode_ends
from collector_processor.store.codec import decode_column, join, seal, split, unseal
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import Encode, decode_verdicts, encode_verdicts
from collector_processor.telemetry.points import Bool, Float64, Int32, PointBatch

_Row = tuple[int, bytes, bytes | None]


def read_points(connection: sqlite3.Connection, wanted: Int32, start: int, end: int) -> Iterator[Columns]:
    """Yield the points in `[start, end)` of wanted series (ascending), some neighbours at a time, sorted."""
    return _read(connection, wanted, start, end, judged=False)


def read_judged(connection: sqlite3.Connection, wanted: Int32, start: int, end: int) -> Iterator[Columns]:
    """Yield the same as judged rows."""
    return _read(connection, wanted, start, end, judged=True)


def lookup(connection: sqlite3.Connection, points: PointBatch) -> tuple[Bool, Float64]:
    """Tell per row whether a point of that (series, time) is in a sheet, and its value."""
    start, end = int(points.time_unix_nano.min()), int(points.time_unix_nano.max()) + 1
    pieces = list(read_points(connection, np.unique(points.series), start, end))
    return rows.lookup(rows.concat(pieces), points)


def ends(connection: sqlite3.Connection) -> Iterator[Ends]:
    """Yield the ends of all points in sheets, by series."""
    if _has_sheets(connection):
        for row_id, body in connection.execute("SELECT id, body FROM sheet_ends ORDER BY id"):
            yield decode_ends(row_id, body)


def groups(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield the groups that have sheets, ascending; what is written meanwhile may be among them."""
    last = -1
    while True:
        ((found,),) = connection.execute("SELECT min(id) FROM sheet WHERE id > ?", (last,))
        if found is None:
            return
        group = layout.group_of_sheet(found)
        yield group
        _, last = layout.sheet_ids(group)


def begins_before(connection: sqlite3.Connection, group: int, time_unix_nano: int) -> bool:
    """Tell whether a sheet of the group holds a point from before that time."""
    query = "SELECT EXISTS (SELECT 1 FROM sheet WHERE id BETWEEN ? AND ? AND first < ?)"
    ((is_found,),) = connection.execute(query, (*layout.sheet_ids(group), time_unix_nano))
    return bool(is_found)


def whole(connection: sqlite3.Connection, group: int) -> tuple[int, Columns]:
    """Return the last id among the sheets of a group, and all their judged rows, sorted."""
    found = judged(connection, *layout.sheet_ids(group))
    return found[-1][0], sorted_rows(rows.concat([columns for _, columns in found]))


def judged(connection: sqlite3.Connection, first_id: int, last_id: int) -> list[tuple[int, Columns]]:
    """Return the ids of sheets, ascending, with their judged rows."""
    found = connection.execute(
        "SELECT id, points, verdicts FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id", (first_id, last_id)
    )
    return [(row[0], _judged(row)) for row in found]


def sorted_rows(held: Columns) -> Columns:
    """Return rows, in order of writing, by series and time; of equal ones only the last."""
    place = (held[0] - held[0].min(initial=layout.MAX_SERIES)).astype(np.uint16)
    order = np.argsort(place, kind="stable")  # by counting; neighbours whose times ascend are in order then
    return rows.last_wins(rows.take(held, order))


def encode(row_id: int, held: Columns, column: Encode, flags: int | None = None) -> tuple[bytes, bytes | None]:
    """Return points and verdicts of a sheet as they are written in this row; `flags` as for `encode_verdicts`."""
    points = join([column(each) for each in held[:3]])
    verdicts = encode_verdicts(held[2], rows.verdicts_of(held), column, flags)
    key = layout.sheet_key(row_id)
    return seal(points, key), None if verdicts is None else seal(verdicts, key)


def decode_points(row_id: int, sealed: bytes) -> Columns:
    """Return the points of a sheet."""
    series, time, value = split(unseal(sealed, layout.sheet_key(row_id), "sheet"))
    return decode_column(series, np.int32), decode_column(time, np.int64), decode_column(value, np.float64)


def _read(connection: sqlite3.Connection, wanted: Int32, start: int, end: int, *, judged: bool) -> Iterator[Columns]:
    if not _has_sheets(connection):
        return
    verdicts = "verdicts" if judged else "NULL"
    for first, stop in rows.runs(wanted // layout.SERIES_PER_SHEET):
        of_group = wanted[first:stop]
        found = connection.execute(
            f"SELECT id, points, {verdicts} FROM sheet"  # noqa: S608 - one of two constants
            " WHERE id BETWEEN ? AND ? AND first < ? AND last >= ? ORDER BY id",
            (*layout.sheet_ids(int(of_group[0]) // layout.SERIES_PER_SHEET), end, start),
        )
        pieces = []
        for row in found:
            held = _judged(row) if judged else decode_points(row[0], row[1])
            pieces.append(rows.take(held, _is_asked(held, of_group, start, end)))
        if pieces:
            yield sorted_rows(rows.concat(pieces))


def _is_asked(held: Columns, of_group: Int32, start: int, end: int) -> Bool:
    series, time = held[:2]
    asked: Bool = (time >= start) & (time < end)
    if of_group.size < layout.SERIES_PER_SHEET:
        wanted = np.zeros(layout.SERIES_PER_SHEET, np.bool_)
        wanted[of_group % layout.SERIES_PER_SHEET] = True
        asked &= wanted[series % layout.SERIES_PER_SHEET]
    return asked


def _judged(row: _Row) -> Columns:
    row_id, sealed_points, sealed_verdicts = row
    points = rows.points_of(decode_points(row_id, sealed_points))
    body = None if sealed_verdicts is None else unseal(sealed_verdicts, layout.sheet_key(row_id), "sheet")
    return rows.judged_rows(points, decode_verdicts(body, points.value))


def _has_sheets(connection: sqlite3.Connection) -> bool:
    """Tell whether a writer of a version that has them has opened the store."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sheet_ends'").fetchone()[0])
