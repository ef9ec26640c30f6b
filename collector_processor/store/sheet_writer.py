"""Sheets, written; each function inside a transaction of housekeeping.

Small sheets of a group become one as soon as that is a full one: a point is written twice in all, and whoever reads a
series meets few sheets.
"""

import sqlite3

import numpy as np

from collector_processor.store import chunks, layout, rows, sheets
from collector_processor.store.chunks import ENDS_DTYPE, Ends
from collector_processor.store.codec import seal
from collector_processor.store.rows import Columns

FULL = 8_192
"""Points of a sheet that no more are added to."""


def add(connection: sqlite3.Connection, group: int, held: Columns) -> None:
    """Write rows of a group, sorted, over what its sheets hold."""
    first_id, last_id = layout.sheet_ids(group)
    ends = [_ends(held)]
    if row := connection.execute("SELECT body FROM sheet_ends WHERE id = ?", (group,)).fetchone():
        ends.insert(0, chunks.decode_ends(group, row[0]))
    ((newest,),) = connection.execute("SELECT max(id) FROM sheet WHERE id BETWEEN ? AND ?", (first_id, last_id))
    small = _small(connection, group)
    if small and sum(small.values()) + held[0].size >= FULL:
        held = sheets.sorted_rows(rows.concat([*_taken(connection, min(small), newest), held]))
    _put(connection, first_id if newest is None else newest + 1, held)
    _put_ends(connection, group, ends)


def replace(connection: sqlite3.Connection, group: int, last_id: int, held: Columns) -> None:
    """Write rows of a group, sorted, in place of its sheets up to `last_id`."""
    first_id, newest_id = layout.sheet_ids(group)
    connection.execute("DELETE FROM sheet WHERE id BETWEEN ? AND ?", (first_id, last_id))
    later = sheets.judged(connection, last_id, newest_id)
    ends = [_ends(columns) for _, columns in later]
    if held[0].size:
        _put(connection, last_id, held)
        ends.insert(0, _ends(held))
    if ends:
        _put_ends(connection, group, ends)
    else:
        connection.execute("DELETE FROM sheet_ends WHERE id = ?", (group,))


def _small(connection: sqlite3.Connection, group: int) -> dict[int, int]:
    """Return the sizes of the newest sheets of a group by id, back to the first that is full."""
    found = connection.execute(
        "SELECT id, size FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id DESC", layout.sheet_ids(group)
    )
    small = {}
    for row_id, size in found:
        if size >= FULL:
            break
        small[row_id] = size
    return small


def _taken(connection: sqlite3.Connection, first_id: int, last_id: int) -> list[Columns]:
    """Remove and return sheets."""
    held = [columns for _, columns in sheets.judged(connection, first_id, last_id)]
    connection.execute("DELETE FROM sheet WHERE id BETWEEN ? AND ?", (first_id, last_id))
    return held


def _put(connection: sqlite3.Connection, row_id: int, held: Columns) -> None:
    time = held[1]
    connection.execute(
        "INSERT INTO sheet (id, first, last, size, points, verdicts) VALUES (?, ?, ?, ?, ?, ?)",
        (row_id, int(time.min()), int(time.max()), time.size, *sheets.encode(row_id, held)),
    )


def _ends(held: Columns) -> Ends:
    """Return the ends of sorted rows."""
    series, time, value = held[:3]
    starts = np.flatnonzero(np.append([True], series[1:] != series[:-1]))
    lasts = np.append(starts[1:], series.size) - 1
    ends = np.empty(starts.size, ENDS_DTYPE)
    ends["series"], ends["first"] = series[starts], time[starts]
    ends["last"], ends["last_value"] = time[lasts], value[lasts]
    return ends


def _put_ends(connection: sqlite3.Connection, group: int, pieces: list[Ends]) -> None:
    """Write the ends of a group's sheets, which come in order of writing."""
    joined = np.concatenate(pieces)
    place = joined["series"] - group * layout.SERIES_PER_SHEET
    order = np.lexsort((joined["last"], place))  # stable: of equal last times the one written last counts
    joined, place = joined[order], place[order]
    starts = np.flatnonzero(np.append([True], place[1:] != place[:-1]))
    merged = joined[np.append(starts[1:], place.size) - 1]
    merged["first"] = np.minimum.reduceat(joined["first"], starts)
    connection.execute(
        "INSERT OR REPLACE INTO sheet_ends (id, body) VALUES (?, ?)", (group, seal(merged.tobytes(), group))
    )
