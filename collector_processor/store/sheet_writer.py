"""Sheets, written; each function inside a transaction of housekeeping.

Small sheets of a group become one as soon as that is a full one: a point is written twice in all, first as it is and
then compressed, and whoever reads a series meets few sheets.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.store import chunks, layout, rows, sheets
from collector_processor.store.chunks import ENDS_DTYPE, Ends
from collector_processor.store.codec import encode_block, encode_raw, seal
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import flags_of

FULL = 8_192
"""Points of a sheet that no more are added to."""

Write = Callable[[sqlite3.Connection], None]


def additions(held: Columns) -> Iterator[Write]:
    """Yield what writes sorted rows of some groups over what their sheets hold: the ends of all, then group by group.

    Between the two, ends are those of points that are still in the head.
    """
    yield partial(_put_ends, new=_ends(held))
    flags = flags_of(held[2], rows.verdicts_of(held))
    for run in rows.runs(held[0] // layout.SERIES_PER_SHEET):
        yield partial(_add, held=rows.take(held, slice(*run)), flags=flags)


def replace(connection: sqlite3.Connection, group: int, last_id: int, held: Columns) -> None:
    """Write rows of a group, sorted, in place of its sheets up to `last_id`."""
    first_id, newest_id = layout.sheet_ids(group)
    connection.execute("DELETE FROM sheet WHERE id BETWEEN ? AND ?", (first_id, last_id))
    connection.execute("DELETE FROM sheet_ends WHERE id = ?", (group,))
    later = [columns for _, columns in sheets.judged(connection, last_id, newest_id)]
    if held[0].size:
        _put(connection, last_id, held)
        _put_ends(connection, _ends(held))
    for columns in later:
        _put_ends(connection, _ends(columns))


def _add(connection: sqlite3.Connection, held: Columns, flags: int) -> None:
    """Write sorted rows of one group, which have these flags."""
    first_id, last_id = layout.sheet_ids(int(held[0][0]) // layout.SERIES_PER_SHEET)
    ((newest,),) = connection.execute("SELECT max(id) FROM sheet WHERE id BETWEEN ? AND ?", (first_id, last_id))
    row_id = first_id if newest is None else newest + 1
    small = _small(connection, first_id, last_id)
    if small and sum(small.values()) + held[0].size >= FULL:
        taken = _taken(connection, min(small), last_id)
        _put(connection, row_id, sheets.sorted_rows(rows.concat([*taken, held])))
    else:
        _put(connection, row_id, held, flags)


def _small(connection: sqlite3.Connection, first_id: int, last_id: int) -> dict[int, int]:
    """Return the sizes of the newest sheets of a group by id, back to the first that is full."""
    found = connection.execute(
        "SELECT id, size FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id DESC", (first_id, last_id)
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


def _put(connection: sqlite3.Connection, row_id: int, held: Columns, flags: int | None = None) -> None:
    time = held[1]
    column = encode_block if time.size >= FULL else encode_raw
    connection.execute(
        "INSERT INTO sheet (id, first, last, size, points, verdicts) VALUES (?, ?, ?, ?, ?, ?)",
        (row_id, int(time.min()), int(time.max()), time.size, *sheets.encode(row_id, held, column, flags)),
    )


def _ends(held: Columns) -> Ends:
    """Return the ends of sorted rows."""
    series, time, value = held[:3]
    starts = _starts(series)
    lasts = np.append(starts[1:], series.size) - 1
    ends = np.empty(starts.size, ENDS_DTYPE)
    ends["series"], ends["first"] = series[starts], time[starts]
    ends["last"], ends["last_value"] = time[lasts], value[lasts]
    return ends


def _put_ends(connection: sqlite3.Connection, new: Ends) -> None:
    """Write the ends of points that were written after those whose ends are there."""
    groups = np.unique(new["series"] // layout.SERIES_PER_SHEET).tolist()
    found = connection.execute(
        "SELECT id, body FROM sheet_ends WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(groups),)
    )
    ends = _merged(np.concatenate([*(chunks.decode_ends(group, body) for group, body in found), new]))
    group = ends["series"] // layout.SERIES_PER_SHEET
    connection.executemany(
        "INSERT OR REPLACE INTO sheet_ends (id, body) VALUES (?, ?)",
        [(int(group[run[0]]), seal(ends[slice(*run)].tobytes(), int(group[run[0]]))) for run in rows.runs(group)],
    )


def _merged(ends: Ends) -> Ends:
    """Return one row a series of ends that come in order of writing."""
    ends = ends[np.lexsort((ends["last"], ends["series"]))]  # stable: of equal last times the one written last counts
    starts = _starts(ends["series"])
    merged: Ends = ends[np.append(starts[1:], ends.size) - 1]
    if starts.size:
        merged["first"] = np.minimum.reduceat(ends["first"], starts)
    return merged


def _starts(series: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return where each series begins."""
    return np.flatnonzero(np.append([True], series[1:] != series[:-1]))
