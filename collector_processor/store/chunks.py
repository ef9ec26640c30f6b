"""Points at rest, read: chunks, the times they share, and the ends of each chunk."""

import json
import sqlite3
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from collector_processor.store import layout, rows
from collector_processor.store.codec import decode_column, unseal
from collector_processor.store.faults import DamagedStoreError
from collector_processor.store.finite import Piece
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import decode_verdicts
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch

ENDS_DTYPE = np.dtype([("series", "<i4"), ("first", "<i8"), ("last", "<i8"), ("last_value", "<f8")])
Ends = npt.NDArray[np.void]
"""One row of ENDS_DTYPE per chunk, ascending by series."""

_NO_TIMES, _NO_PLACE = -1, -1
_Row = tuple[int, int, bytes, bytes | None]


def parts(connection: sqlite3.Connection) -> list[int]:
    """Return all parts in order of time, blocks before their day."""
    return sorted((part for (part,) in connection.execute("SELECT id FROM part")), key=layout.by_time)


def rolled_up(connection: sqlite3.Connection, step: int) -> set[int]:
    """Return the parts that have rollups over `step`."""
    return {part for (part,) in connection.execute("SELECT id FROM part WHERE step = ?", (step,))}


def read_judged(connection: sqlite3.Connection, part: int, wanted: Int32, start: int, end: int) -> Iterator[Columns]:
    """Yield the judged rows in `[start, end)` of each wanted series (ascending) that a part holds."""
    found = _fetch(connection, part, _touching(connection, part, wanted, start, end), judged=True)
    times = read_times(connection, {row[1] for row in found})
    for row in found:
        time = times[row[1]]
        first, stop = np.searchsorted(time, [start, end])
        if first < stop:
            yield rows.take(_judged(row, time), slice(first, stop))


def read_points(connection: sqlite3.Connection, part: int, wanted: Int32, start: int, end: int) -> Iterator[Piece]:
    """Yield the points in `[start, end)` of each wanted series (ascending) that a part holds."""
    found = _fetch(connection, part, _touching(connection, part, wanted, start, end), judged=False)
    cuts = {}
    for times_id, time in read_times(connection, {row[1] for row in found}).items():
        first, stop = np.searchsorted(time, [start, end]).tolist()
        cuts[times_id] = slice(first, stop), time.size, time[first:stop]
    for row in found:
        cut, size, time = cuts[row[1]]
        value = _value(row)
        _require_size(row, value, size)
        if time.size:
            yield layout.series_of(row[0]), time, value[cut]


def read_one(
    connection: sqlite3.Connection, part: int, series: int, known: dict[int, Int64]
) -> tuple[int, Columns] | None:
    """Return the id of a chunk's times and all its judged rows; `known` are times read before, and grows."""
    row_id = layout.chunk_id(part, series)
    row = connection.execute("SELECT id, times, value, verdicts FROM chunk WHERE id = ?", (row_id,)).fetchone()
    if row is None:
        return None
    if row[1] not in known:
        known |= read_times(connection, {row[1]})
    return row[1], _judged(row, known[row[1]])


def lookup(connection: sqlite3.Connection, part: int, points: PointBatch) -> tuple[Bool, Float64]:
    """Tell per row whether a part holds a point of that (series, time), and its value."""
    chunks = {layout.series_of(row[0]): row for row in _fetch(connection, part, np.unique(points.series), judged=False)}
    series = points.series.tolist()
    times_id = np.array([chunks[one][1] if one in chunks else _NO_TIMES for one in series], np.int64)
    place = np.full(len(points), _NO_PLACE)
    for shared, time in read_times(connection, {row[1] for row in chunks.values()}).items():
        (asked,) = np.nonzero(times_id == shared)
        at = np.minimum(np.searchsorted(time, points.time_unix_nano[asked]), time.size - 1)
        place[asked] = np.where(time[at] == points.time_unix_nano[asked], at, _NO_PLACE)
    stored = np.full(len(points), np.nan)
    (found,) = np.nonzero(place != _NO_PLACE)
    stored[found] = [_value(chunks[series[row]])[place[row]] for row in found.tolist()]
    return place != _NO_PLACE, stored


def read_times(connection: sqlite3.Connection, times_ids: set[int]) -> dict[int, Int64]:
    """Return shared time columns by id."""
    found = connection.execute(
        "SELECT id, body FROM times WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(times_ids)),)
    )
    times = {row_id: decode_column(unseal(body, row_id, "times"), np.int64) for row_id, body in found}
    if missing := set(times_ids) - times.keys():
        raise DamagedStoreError(f"times {min(missing)} are missing")
    return times


def ends(connection: sqlite3.Connection) -> Iterator[Ends]:
    """Yield the ends of all chunks in order of time."""
    for part in parts(connection):
        found = connection.execute("SELECT id, body FROM summary WHERE id BETWEEN ? AND ?", layout.ids_of(part))
        for row_id, body in found:
            yield decode_ends(row_id, body)


def decode_ends(row_id: int, body: bytes) -> Ends:
    """Return the rows of one summary."""
    return np.frombuffer(unseal(body, row_id, "summary"), ENDS_DTYPE)


def _touching(connection: sqlite3.Connection, part: int, wanted: Int32, start: int, end: int) -> Int32:
    """Leave out series whose chunk ends before or begins after a range that is only some of the part."""
    first, last = layout.span(part)
    if not wanted.size or (start <= first and last <= end):
        return wanted
    ids = layout.summary_id(part, int(wanted[0])), layout.summary_id(part, int(wanted[-1]))
    found = connection.execute("SELECT id, body FROM summary WHERE id BETWEEN ? AND ? ORDER BY id", ids).fetchall()
    summaries = [decode_ends(row_id, body) for row_id, body in found]
    held = [ends["series"][(ends["first"] < end) & (ends["last"] >= start)] for ends in summaries]
    return np.intersect1d(wanted, np.concatenate(held), assume_unique=True) if held else wanted[:0]


def _fetch(connection: sqlite3.Connection, part: int, wanted: Int32, *, judged: bool) -> list[_Row]:
    """Return the chunk rows of wanted series, ascending."""
    base = layout.chunk_id(part, 0)
    verdicts = "verdicts" if judged else "NULL"
    return connection.execute(
        f"SELECT id, times, value, {verdicts} FROM chunk"  # noqa: S608 - one of two constants
        " WHERE id IN (SELECT ? + value FROM json_each(?)) ORDER BY id",
        (base, json.dumps(wanted.tolist())),
    ).fetchall()


def _judged(row: _Row, time: Int64) -> Columns:
    row_id, times_id, _, sealed = row
    value = _value(row)
    _require_size(row, value, time.size)
    points = PointBatch(np.full(time.size, layout.series_of(row_id), np.int32), time, value)
    body = None if sealed is None else unseal(sealed, row_id + times_id, "verdicts")
    return rows.judged_rows(points, decode_verdicts(body, value))


def _require_size(row: _Row, value: Float64, size: int) -> None:
    if value.size != size:
        raise DamagedStoreError(f"chunk {row[0]} has {value.size} values for {size} times")


def _value(row: _Row) -> Float64:
    return decode_column(unseal(row[2], row[0] + row[1], "chunk"), np.float64)
