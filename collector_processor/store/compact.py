"""Housekeeping in slices: head into sheets, sheets into blocks, blocks into days, old parts away.

Each function is a generator; every step is one short transaction that leaves the store complete. A step may be the last
one ever: what a crash leaves half done is done again, because putting the same rows over themselves changes nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

import numpy as np

from collector_processor.clock import DAY, SystemClock
from collector_processor.store import chunks, head_rows, layout, rollup, rows, sheet_writer, sheets
from collector_processor.store.chunk_writer import ChunkWriter
from collector_processor.store.connection import snapshot, transaction
from collector_processor.store.rows import Columns
from collector_processor.store.sheet_writer import Write
from collector_processor.telemetry.points import Int32, Int64

CLOCK_TRUST = DAY
"""How far the clock may be ahead of the newest point before it is not believed."""

_SLICE_NANO = 2_000_000
_ROWS_SORTED_AT_ONCE = 4_000
_POINTS_WRITTEN_AT_ONCE = 100_000
_CHUNKS_DELETED_AT_ONCE = 500
_MAX_SHARE_DELETED = 0.1

T = TypeVar("T")


def sort_head(connection: sqlite3.Connection, max_points: int) -> Iterator[None]:
    """Move the oldest rows of the head, up to about that many points, into sheets."""
    last_id, held = yield from head_rows.oldest(connection, max_points)
    for portion in _slices(_additions(held)):
        with transaction(connection):
            for write in portion:
                write(connection)
        yield
    del held
    for ids in _slices(head_rows.ids(connection, last_id)):
        with transaction(connection):
            for row_id in ids:
                head_rows.delete(connection, row_id)
        yield


def settle(connection: sqlite3.Connection, end: int, step: int) -> Iterator[None]:
    """Move points from before `end`, where a block begins, out of sheets into chunks."""
    for group in sheets.groups(connection):
        if sheets.begins_before(connection, group, end):
            yield from _settle_group(connection, group, end, step)
        yield


def day_to_merge(connection: sqlite3.Connection, newest: int) -> int | None:
    """Return the oldest day that is over and still in blocks."""
    for part in chunks.parts(connection):
        if not layout.is_day(part) and layout.span(layout.day_of(part))[1] + layout.BLOCK <= newest:
            return layout.day_of(part)
    return None


def merge_day(connection: sqlite3.Connection, day: int, step: int) -> Iterator[None]:
    """Move the blocks of a day into the day."""
    present = set(chunks.parts(connection))
    blocks = [block for block in layout.blocks_of(day) if block in present]
    series = _series_of_parts(connection, blocks)
    yield from _write_chunks(connection, series, lambda writer, one: writer.merge_day(day, one, blocks), step)
    for block in blocks:
        yield from drop_part(connection, block)


def part_to_roll_up(connection: sqlite3.Connection, step: int) -> int | None:
    """Return the newest part without rollups over `step`: one of an older version, or from before the step changed."""
    if not step:
        return None
    found = connection.execute("SELECT id FROM part WHERE step <> ?", (step,)).fetchall()
    return max((part for (part,) in found), key=layout.by_time, default=None)


def roll_up(connection: sqlite3.Connection, part: int, step: int) -> Iterator[None]:
    """Make the rollups of a part from its chunks; until the last is there it has none."""
    with transaction(connection):
        connection.execute("UPDATE part SET step = 0 WHERE id = ?", (part,))
        connection.execute("DELETE FROM rollup WHERE id BETWEEN ? AND ?", layout.ids_of(part))
    yield
    series = np.array(_series_of_parts(connection, [part]), np.int32)
    for first, stop in rows.runs(series // layout.SERIES_PER_ROLLUP):
        with transaction(connection):
            pieces = list(chunks.read_points(connection, part, series[first:stop], *layout.span(part)))
            made = rollup.roll_up(pieces, part, step)
            made.write(connection, layout.rollup_id(part, int(series[first])))
        yield
    with transaction(connection):
        connection.execute("UPDATE part SET step = ? WHERE id = ?", (step, part))
    yield


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
        connection.execute("DELETE FROM rollup WHERE id BETWEEN ? AND ?", (first, last))
        connection.execute("DELETE FROM part WHERE id = ?", (part,))
    yield


def _additions(held: Columns) -> Iterator[Write]:
    """Yield what writes rows of the head into sheets; of a group with many, a sheet at a time as they came."""
    for places in _neighbours(held[0]):
        for first in range(0, places.size, sheet_writer.FULL):
            chosen = places[first : first + sheet_writer.FULL]
            yield from sheet_writer.additions(sheets.sorted_rows(rows.take(held, chosen)))


def _neighbours(series: Int32) -> Iterator[Int64]:
    """Yield where the rows of whole groups are, some thousand at a time."""
    end = int(series.max(initial=-1)) + 1
    groups = end * _ROWS_SORTED_AT_ONCE // (max(series.size, 1) * layout.SERIES_PER_SHEET) + 1
    portion = (series // (groups * layout.SERIES_PER_SHEET)).astype(np.uint16)
    order = np.argsort(portion, kind="stable")  # of small numbers by counting
    for first, stop in rows.runs(portion[order]):
        yield order[first:stop]


def _settle_group(connection: sqlite3.Connection, group: int, end: int, step: int) -> Iterator[None]:
    last_id, held = sheets.whole(connection, group)
    is_over = held[1] < end
    portion, rest = rows.take(held, is_over), rows.take(held, ~is_over)
    part = _target_parts(connection, portion)
    order = np.argsort(part, kind="stable")
    portion, part = rows.take(portion, order), part[order]
    yield
    for target, groups in _groups(part, portion):
        yield from _write_chunks(connection, groups, partial(_merge_into, target), step)
    with transaction(connection):
        sheet_writer.replace(connection, group, last_id, rest)


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


def _write_chunks(
    connection: sqlite3.Connection, items: Iterable[T], work: Callable[[ChunkWriter, T], None], step: int
) -> Iterator[None]:
    """Do `work` for all items, and write what it came to after every some thousand points; rollups are over `step`."""
    writer = ChunkWriter(connection, step)
    for portion in _slices(items):
        with snapshot(connection):
            for item in portion:
                work(writer, item)
        yield
        if writer.points >= _POINTS_WRITTEN_AT_ONCE:
            with transaction(connection):
                writer.finish()
            writer = ChunkWriter(connection, step)
            yield
    with transaction(connection):
        writer.finish()
    yield


def _slices(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Yield items, as many at a time as are worked off within a slice."""
    rest = iter(items)
    for first in rest:
        yield _until(SystemClock().monotonic_nano() + _SLICE_NANO, chain([first], rest))


def _until(deadline: int, items: Iterable[T]) -> Iterator[T]:
    """Yield one, and more until then."""
    clock = SystemClock()
    for item in items:
        yield item
        if clock.monotonic_nano() > deadline:
            return


def _series_of_parts(connection: sqlite3.Connection, parts: list[int]) -> list[int]:
    found: set[int] = set()
    for part in parts:
        ids = connection.execute("SELECT id FROM chunk WHERE id BETWEEN ? AND ?", layout.ids_of(part))
        found.update(layout.series_of(row_id) for (row_id,) in ids)
    return sorted(found)
