"""The head at rest: points as they came, one row per commit, until they are sorted into sheets."""

import sqlite3
from collections.abc import Generator

import numpy as np

from collector_processor.store import rows, verdict_rows
from collector_processor.store.codec import seal, unseal
from collector_processor.store.rows import Columns
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

_BYTES_PER_POINT = 4 + 8 + 8
_POINTS_AT_ONCE = 10_000


def append(connection: sqlite3.Connection, sequence: int, points: PointBatch, verdicts: VerdictBatch | None) -> None:
    """Write one commit's points as row `sequence`."""
    body = points.series.tobytes() + points.time_unix_nano.tobytes() + points.value.tobytes()
    packed = None if verdicts is None else verdict_rows.pack(points.value, verdicts)
    connection.execute(
        "INSERT INTO head (id, points, verdicts) VALUES (?, ?, ?)",
        (sequence, seal(body, sequence), None if packed is None else seal(packed, sequence)),
    )


def oldest(connection: sqlite3.Connection, max_points: int) -> Generator[None, None, tuple[int, Columns]]:
    """Read the oldest rows that hold at least `max_points`, or all, in steps; return the last one's id, and them."""
    (newest,) = connection.execute("SELECT max(id) FROM head").fetchone()
    found: list[Columns] = []
    last_id = points = 0
    while points < max_points and last_id < (newest or 0):
        page = _page(connection, last_id)
        found += page.values()
        last_id, points = max(page), points + sum(columns[0].size for columns in page.values())
        yield
    columns, joined = [list(pieces) for pieces in zip(*found, strict=True)], []
    found.clear()
    for pieces in columns:
        joined.append(np.concatenate(pieces))
        pieces.clear()  # or all would be held twice
        yield
    return last_id, tuple(joined) or rows.concat([])


def ids(connection: sqlite3.Connection, last_id: int) -> list[int]:
    """Return the ids of rows up to `last_id`, ascending."""
    return [row_id for (row_id,) in connection.execute("SELECT id FROM head WHERE id <= ? ORDER BY id", (last_id,))]


def delete(connection: sqlite3.Connection, row_id: int) -> None:
    """Delete a row."""
    connection.execute("DELETE FROM head WHERE id = ?", (row_id,))


def _page(connection: sqlite3.Connection, after: int) -> dict[int, Columns]:
    """Return the next rows, by id, that hold some thousand points."""
    page: dict[int, Columns] = {}
    points = 0
    for row in connection.execute("SELECT id, points, verdicts FROM head WHERE id > ? ORDER BY id", (after,)):
        page[row[0]] = _judged(*row)
        points += page[row[0]][0].size
        if points >= _POINTS_AT_ONCE:
            break
    return page


def points_after(connection: sqlite3.Connection, row_id: int) -> list[tuple[int, Columns]]:
    """Return the ids of later rows, ascending, with their points."""
    found = connection.execute("SELECT id, points FROM head WHERE id > ? ORDER BY id", (row_id,))
    return [(one, _points(one, sealed)) for one, sealed in found]


def judged_after(connection: sqlite3.Connection, row_id: int) -> list[tuple[int, Columns]]:
    """Return the ids of later rows, ascending, with their points and verdicts, as judged rows."""
    found = connection.execute("SELECT id, points, verdicts FROM head WHERE id > ? ORDER BY id", (row_id,))
    return [(row[0], _judged(*row)) for row in found]


def _points(sequence: int, sealed: bytes) -> Columns:
    body = unseal(sealed, sequence, "head row")
    n = len(body) // _BYTES_PER_POINT
    return (
        np.frombuffer(body, np.int32, n),
        np.frombuffer(body, np.int64, n, offset=4 * n),
        np.frombuffer(body, np.float64, n, offset=12 * n),
    )


def _judged(sequence: int, sealed_points: bytes, sealed_verdicts: bytes | None) -> Columns:
    points = rows.points_of(_points(sequence, sealed_points))
    if sealed_verdicts is None:
        return rows.judged_rows(points, VerdictBatch.absent(len(points)))
    packed = unseal(sealed_verdicts, sequence, "head row")
    return rows.judged_rows(points, verdict_rows.unpack(packed, len(points)))
