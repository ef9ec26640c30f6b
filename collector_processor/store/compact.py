"""Housekeeping in slices: head into blocks, blocks into days, old parts away.

Each function is a generator; every step is one short transaction that leaves the store complete. A step may be the last
one ever: what a crash leaves half done is done again, because putting the same rows over themselves changes nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from collector_processor.clock import DAY, SystemClock
from collector_processor.store import chunks, head, layout, rows
from collector_processor.store.chunk_writer import ChunkWriter
from collector_processor.store.connection import transaction
from collector_processor.store.rows import Columns
from collector_processor.telemetry.points import Int64

CLOCK_TRUST = DAY
"""How far the clock may be ahead of the newest point before it is not believed."""

_SLICE_NANO = 5_000_000
_CHUNKS_DELETED_AT_ONCE = 500
_MAX_SHARE_DELETED = 0.1

T = TypeVar("T")


def compact_head(connection: sqlite3.Connection, max_points: int) -> Iterator[None]:
    """Move the oldest rows of the head, up to about that many points, into chunks."""
    last_id, held = head.oldest(connection, max_points)
    yield
    part = _target_parts(connection, held)
    order = np.lexsort((held[1], held[0], part))
    yield
    held, part = rows.take(held, order), part[order]
    yield
    for target, groups in _groups(part, held):
        yield from _in_slices(connection, groups, partial(_merge_into, target))
    with transaction(connection):
        connection.execute("DELETE FROM head WHERE id <= ?", (last_id,))
    yield


def day_to_merge(connection: sqlite3.Connection, newest: int) -> int | None:
    """Return the oldest day that is over and still in blocks."""
    for part in chunks.parts(connection):
        if not layout.is_day(part) and layout.span(layout.day_of(part))[1] + layout.BLOCK <= newest:
            return layout.day_of(part)
    return None


def merge_day(connection: sqlite3.Connection, day: int) -> Iterator[None]:
    """Move the blocks of a day into the day."""
    present = set(chunks.parts(connection))
    blocks = [block for block in layout.blocks_of(day) if block in present]
    series = _series_of_parts(connection, blocks)
    yield from _in_slices(connection, series, lambda writer, one: writer.merge_day(day, one, blocks))
    for block in blocks:
        yield from drop_part(connection, block)


def expired_parts(connection: sqlite3.Connection, *, now: int, newest: int, retention: int) -> list[int]:
    """Return the oldest parts that may go in one run: a tenth of all points, or one part.

    Age is counted from the newest point, and a clock far ahead of it is not believed: a wrong clock deletes nothing.
    """
    if now > newest + CLOCK_TRUST:
        return []
    oldest_kept = min(now, newest) - retention
    points = dict(connection.execute("SELECT id, points FROM part"))
    allowed = _MAX_SHARE_DELETED * sum(points.values())
    expired: list[int] = []
    for part in chunks.parts(connection):
        allowed -= points[part]
        if layout.span(part)[1] > oldest_kept or (expired and allowed < 0):
            break
        expired.append(part)
    return expired


def drop_part(connection: sqlite3.Connection, part: int) -> Iterator[None]:
    """Delete a part."""
    first, last = layout.ids_of(part)
    deleted = 1
    while deleted:
        with transaction(connection):
            deleted = connection.execute(
                "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)",
                (first, last, _CHUNKS_DELETED_AT_ONCE),
            ).rowcount
        yield
    with transaction(connection):
        connection.execute("DELETE FROM times WHERE id BETWEEN ? AND ?", (first, last))
        connection.execute("DELETE FROM summary WHERE id BETWEEN ? AND ?", (first, last))
        connection.execute("DELETE FROM part WHERE id = ?", (part,))
    yield


def _target_parts(connection: sqlite3.Connection, held: Columns) -> Int64:
    """Return the part each row belongs to: its day where that exists, else its block."""
    days = [part for part in chunks.parts(connection) if layout.is_day(part)]
    day = layout.day_part(held[1])
    return np.where(np.isin(day, days), day, layout.block_part(held[1]))


def _groups(part: Int64, held: Columns) -> Iterator[tuple[int, Iterator[Columns]]]:
    """Yield each part with its rows by series; rows are sorted by (part, series, time)."""
    for start, stop in rows.runs(part):
        yield int(part[start]), rows.by_series(rows.take(held, slice(start, stop)))


def _merge_into(part: int, writer: ChunkWriter, newer: Columns) -> None:
    writer.merge(part, newer)


def _in_slices(
    connection: sqlite3.Connection, items: Iterable[T], step: Callable[[ChunkWriter, T], None]
) -> Iterator[None]:
    """Do `step` for all items, as many in one transaction as fit into a slice."""
    clock, rest, is_done = SystemClock(), iter(items), False
    while not is_done:
        deadline = clock.monotonic_nano() + _SLICE_NANO
        with transaction(connection):
            writer = ChunkWriter(connection)
            is_done = True
            for item in rest:
                step(writer, item)
                if clock.monotonic_nano() > deadline:
                    is_done = False
                    break
            writer.finish()
        yield


def _series_of_parts(connection: sqlite3.Connection, parts: list[int]) -> list[int]:
    found: set[int] = set()
    for part in parts:
        ids = connection.execute("SELECT id FROM chunk WHERE id BETWEEN ? AND ?", layout.ids_of(part))
        found.update(layout.series_of(row_id) for (row_id,) in ids)
    return sorted(found)
