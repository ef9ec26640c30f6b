"""The head: points as they came, one row per commit, until they are compacted into chunks.

Other rows of the store are found by key; the head has to be searched. So each connection keeps the head's columns in
memory and adds only rows it has not seen; what compaction removed from the front is noticed by the smallest id.
"""

import sqlite3
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from collector_processor.store import rows
from collector_processor.store.codec import seal, unseal
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import is_absent, rounded
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

_VERDICT_DTYPE = np.dtype(
    [
        ("row", "<u4"),
        ("yhat", "<f8"),
        ("lower", "<f8"),
        ("upper", "<f8"),
        ("score", "<f8"),
        ("anomaly", "i1"),
    ]
)
_BYTES_PER_POINT = 4 + 8 + 8
_MAX_MERGED_POINTS = 100_000
_POINTS_AT_ONCE = 10_000


def append(connection: sqlite3.Connection, sequence: int, points: PointBatch, verdicts: VerdictBatch | None) -> None:
    """Write one commit's points as row `sequence`."""
    body = points.series.tobytes() + points.time_unix_nano.tobytes() + points.value.tobytes()
    packed = None if verdicts is None else _pack(rounded(points.value, verdicts))
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
    joined = []
    for pieces in zip(*found, strict=True):
        joined.append(np.concatenate(pieces))
        yield
    return last_id, tuple(joined) or rows.concat([])


def _page(connection: sqlite3.Connection, after: int) -> dict[int, Columns]:
    """Return the next rows, by id, that hold some thousand points."""
    page: dict[int, Columns] = {}
    points = 0
    for row in connection.execute("SELECT id, points, verdicts FROM head WHERE id > ? ORDER BY id", (after,)):
        page[row[0]] = _unpack(*row)
        points += page[row[0]][0].size
        if points >= _POINTS_AT_ONCE:
            break
    return page


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
            self._segments.append(_segment([(row[0], _unpack(*row)) for row in found]))
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


def _pack(verdicts: VerdictBatch) -> bytes | None:
    """Keep the rows that say something; None if no row does."""
    (said,) = np.nonzero(~is_absent(verdicts))
    if not said.size:
        return None
    packed = np.empty(said.size, _VERDICT_DTYPE)
    packed["row"] = said
    for name in ("yhat", "lower", "upper", "score", "anomaly"):
        packed[name] = getattr(verdicts, name)[said]
    return packed.tobytes()


def _unpack(sequence: int, sealed_points: bytes, sealed_verdicts: bytes | None) -> Columns:
    body = unseal(sealed_points, sequence, "head row")
    n = len(body) // _BYTES_PER_POINT
    points = PointBatch(
        np.frombuffer(body, np.int32, n),
        np.frombuffer(body, np.int64, n, offset=4 * n),
        np.frombuffer(body, np.float64, n, offset=12 * n),
    )
    verdicts = VerdictBatch.absent(n)
    if sealed_verdicts is not None:
        packed = np.frombuffer(unseal(sealed_verdicts, sequence, "head row"), _VERDICT_DTYPE)
        for name in ("yhat", "lower", "upper", "score", "anomaly"):
            getattr(verdicts, name)[packed["row"]] = packed[name]
    return rows.judged_rows(points, verdicts)


def _is_in(series: Int32, wanted: Int32) -> Bool:
    """Tell per row whether its series is wanted (ascending ids)."""
    if wanted.size == 0 or series.size == 0:
        return np.zeros(series.size, np.bool_)
    at = np.minimum(np.searchsorted(wanted, series), wanted.size - 1)
    hit: Bool = wanted[at] == series
    return hit
