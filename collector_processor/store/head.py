"""The head in memory: the columns of its rows are kept, and only rows that were not seen yet are read.

Other rows of the store are found by key; the head has to be searched. Any number of connections to one store may share
a head: each sees what its own snapshot holds. Verdicts are kept from the first time on that somebody asks for them.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from collector_processor.store import head_rows, rows
from collector_processor.store.rows import Columns
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch

_MAX_MERGED_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class _Segment:
    """Some rows of the head, one after another: ids `(m,)`, behind which point each ends `(m,)`, columns of all."""

    row_id: Int64
    end: Int64
    columns: Columns

    def __len__(self) -> int:
        return int(self.columns[0].size)

    def between(self, first_id: int, last_id: int) -> "_Segment":
        """Return the part with ids in `[first_id, last_id]`, as a view."""
        if first_id <= self.row_id[0] and self.row_id[-1] <= last_id:
            return self
        start, stop = np.searchsorted(self.row_id, [first_id, last_id + 1])
        skipped, end = (int(self.end[at - 1]) if at else 0 for at in (start, stop))
        return _Segment(
            self.row_id[start:stop], self.end[start:stop] - skipped, rows.take(self.columns, slice(skipped, end))
        )


@dataclass(frozen=True, slots=True)
class Recent:
    """The head as one snapshot holds it, in order of commit; judged rows where they were asked for, else points."""

    segments: tuple[_Segment, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @property
    def rows(self) -> tuple[int, int]:
        """Return the ids of the oldest and the newest commit; there is one."""
        return int(self.segments[0].row_id[0]), int(self.segments[-1].row_id[-1])

    @property
    def first_row_newest(self) -> int:
        """Return the newest time of the oldest commit; there is one."""
        oldest = self.segments[0]
        return int(oldest.columns[1][: oldest.end[0]].max())

    def points(self) -> Columns:
        """Return all points."""
        return rows.concat([segment.columns[:3] for segment in self.segments])

    def series_count(self) -> int:
        """Return how many series have points here."""
        columns = [segment.columns[0] for segment in self.segments]
        is_here = np.zeros(max((int(series.max(initial=-1)) + 1 for series in columns), default=0), np.bool_)
        for series in columns:
            is_here[series] = True
        return int(np.count_nonzero(is_here))

    def select(self, wanted: Int32, start: int, end: int) -> Columns:
        """Return the rows of `wanted` (ascending ids) in `[start, end)`, sorted, the last of equal ones."""
        found = []
        for segment in self.segments:
            series, time = segment.columns[:2]
            hit = (time >= start) & (time < end)
            hit[hit] = _is_in(series[hit], wanted)
            found.append(rows.take(segment.columns, hit))
        return rows.last_wins(rows.concat(found))

    def lookup(self, points: PointBatch) -> tuple[Bool, Float64]:
        """Tell per row whether a point of that (series, time) is in the head, and its value."""
        start, end = int(points.time_unix_nano.min()), int(points.time_unix_nano.max()) + 1
        return rows.lookup(self.select(np.unique(points.series), start, end), points)


class Head:
    """What all connections that share it have read of the head; for any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._read = head_rows.points_after
        self._forget()

    def at(self, connection: sqlite3.Connection) -> Recent:
        """Return the points of the connection's snapshot."""
        with self._lock:
            return self._at(connection)

    def judged_at(self, connection: sqlite3.Connection) -> Recent:
        """Return the judged rows of the connection's snapshot."""
        with self._lock:
            if self._read is not head_rows.judged_after:
                self._read = head_rows.judged_after
                self._forget()
            return self._at(connection)

    def _forget(self) -> None:
        self._first_id = self._last_id = 0
        self._segments: list[_Segment] = []

    def _at(self, connection: sqlite3.Connection) -> Recent:
        query = "SELECT (SELECT min(id) FROM head), (SELECT max(id) FROM head)"
        first_id, last_id = connection.execute(query).fetchone()
        if first_id is None:
            self._forget()
            return Recent()
        if first_id < self._first_id:  # an older snapshot, from before rows were sorted that others know to be gone
            return Recent((_segment(self._read(connection, 0)),))
        if last_id > self._last_id:
            self._segments.append(_segment(self._read(connection, max(self._last_id, first_id - 1))))
            self._last_id = last_id
            self._merge_small()
        self._drop_before(first_id)
        seen = (segment.between(first_id, last_id) for segment in self._segments)
        return Recent(tuple(segment for segment in seen if len(segment)))

    def _merge_small(self) -> None:
        """Keep segments in sizes that halve up to a limit: a search visits few, and adding copies little."""
        while len(self._segments) > 1:
            left, right = self._segments[-2:]
            if len(left) >= min(2 * len(right), _MAX_MERGED_POINTS):
                return
            self._segments[-2:] = [_merged([left, right])]

    def _drop_before(self, first_id: int) -> None:
        """Forget segments whose rows are all gone from the head: to cut them each time would be to copy them."""
        while self._segments and self._segments[0].row_id[-1] < first_id:
            self._segments.pop(0)
        self._first_id = min(first_id, int(self._segments[0].row_id[0])) if self._segments else first_id


def _segment(found: Sequence[tuple[int, Columns]]) -> _Segment:
    return _Segment(
        np.array([row_id for row_id, _ in found], np.int64),
        np.cumsum([columns[0].size for _, columns in found]),
        rows.concat([columns for _, columns in found]),
    )


def _merged(segments: Sequence[_Segment]) -> _Segment:
    return _Segment(
        np.concatenate([segment.row_id for segment in segments]),
        np.cumsum(np.concatenate([np.diff(segment.end, prepend=0) for segment in segments])),
        rows.concat([segment.columns for segment in segments]),
    )


def _is_in(series: Int32, wanted: Int32) -> Bool:
    """Tell per row whether its series is wanted (ascending ids)."""
    if wanted.size == 0 or series.size == 0:
        return np.zeros(series.size, np.bool_)
    at = np.minimum(np.searchsorted(wanted, series), wanted.size - 1)
    hit: Bool = wanted[at] == series
    return hit
