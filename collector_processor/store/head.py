"""The head in memory: each connection keeps the columns of its rows, and adds only rows it has not seen.

Other rows of the store are found by key; the head has to be searched. What compaction removed from its front is noticed
by the smallest id.
"""

import sqlite3
from dataclasses import dataclass

import numpy as np

from collector_processor.store import rows
from collector_processor.store.head_rows import unpack
from collector_processor.store.rows import Columns
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch

_MAX_MERGED_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class _Segment:
    """Some rows of the head, one after another; `row_id` is the commit of each point."""

    row_id: Int64
    columns: Columns


class Head:
    """The head as seen by one connection; rows are in order of commit."""

    def __init__(self) -> None:
        self._last_id = 0
        self._segments: list[_Segment] = []

    @property
    def first_row_newest(self) -> int:
        """Return the newest time of the oldest commit; the head is not empty."""
        oldest = self._segments[0]
        return int(oldest.columns[1][oldest.row_id == oldest.row_id[0]].max())

    def __len__(self) -> int:
        return sum(segment.row_id.size for segment in self._segments)

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Catch up with the connection's snapshot."""
        (first_id,) = connection.execute("SELECT min(id) FROM head").fetchone()
        self._drop_before(self._last_id + 1 if first_id is None else first_id)
        found = connection.execute(
            "SELECT id, points, verdicts FROM head WHERE id > ? ORDER BY id", (self._last_id,)
        ).fetchall()
        if found:
            self._segments.append(_segment([(row[0], unpack(*row)) for row in found]))
            self._last_id = found[-1][0]
            self._merge_small()

    def columns(self) -> Columns:
        """Return all rows in order of commit."""
        return rows.concat([segment.columns for segment in self._segments])

    def series_count(self) -> int:
        """Return how many series have points here."""
        columns = [segment.columns[0] for segment in self._segments]
        is_here = np.zeros(max((int(series.max(initial=-1)) + 1 for series in columns), default=0), np.bool_)
        for series in columns:
            is_here[series] = True
        return int(np.count_nonzero(is_here))

    def select(self, wanted: Int32, start: int, end: int) -> Columns:
        """Return the rows of `wanted` (ascending ids) in `[start, end)`, sorted, the last of equal ones."""
        found = []
        for segment in self._segments:
            series, time = segment.columns[:2]
            hit = (time >= start) & (time < end)
            hit[hit] = _is_in(series[hit], wanted)
            found.append(rows.take(segment.columns, hit))
        return rows.last_wins(rows.concat(found))

    def lookup(self, points: PointBatch) -> tuple[Bool, Float64]:
        """Tell per row whether a point of that (series, time) is in the head, and its value."""
        start, end = int(points.time_unix_nano.min()), int(points.time_unix_nano.max()) + 1
        held = self.select(np.unique(points.series), start, end)
        at = rows.locate(held[0], held[1], points.series, points.time_unix_nano)
        found = at >= 0
        return found, np.where(found, held[2][at] if held[2].size else np.nan, np.nan)

    def _merge_small(self) -> None:
        """Keep segments in sizes that halve up to a limit: a search visits few, and adding copies little."""
        while len(self._segments) > 1:
            left, right = self._segments[-2:]
            if left.row_id.size >= min(2 * right.row_id.size, _MAX_MERGED_POINTS):
                return
            self._segments[-2:] = [_merged([left, right])]

    def _drop_before(self, first_id: int) -> None:
        """Forget rows that were compacted."""
        while self._segments and self._segments[0].row_id[0] < first_id:
            segment = self._segments.pop(0)
            start = np.searchsorted(segment.row_id, first_id)
            if start < segment.row_id.size:
                kept = _Segment(segment.row_id[start:], rows.take(segment.columns, slice(start, None)))
                self._segments.insert(0, _merged([kept]))  # a copy: a view would keep the rest in memory


def _segment(found: list[tuple[int, Columns]]) -> _Segment:
    sizes = [columns[0].size for _, columns in found]
    row_id = np.repeat(np.array([row_id for row_id, _ in found], np.int64), sizes)
    return _Segment(row_id, rows.concat([columns for _, columns in found]))


def _merged(segments: list[_Segment]) -> _Segment:
    return _Segment(
        np.concatenate([segment.row_id for segment in segments]),
        rows.concat([segment.columns for segment in segments]),
    )


def _is_in(series: Int32, wanted: Int32) -> Bool:
    """Tell per row whether its series is wanted (ascending ids)."""
    if wanted.size == 0 or series.size == 0:
        return np.zeros(series.size, np.bool_)
    at = np.minimum(np.searchsorted(wanted, series), wanted.size - 1)
    hit: Bool = wanted[at] == series
    return hit
