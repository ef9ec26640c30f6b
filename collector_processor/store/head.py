"""The head: points as they came, one row per commit, until they are compacted into chunks.

Other rows of the store are found by key; the head has to be searched. So each connection keeps the head's columns in
memory and adds only rows it has not seen. Compaction removes whole rows from the front, which is noticed by the
smallest id and answered by loading the short rest again.
"""

import sqlite3

import numpy as np

from collector_processor.store import rows
from collector_processor.store.codec import seal, unseal
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import is_absent, rounded
from collector_processor.telemetry.points import Bool, Float64, Int32, PointBatch
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


def append(connection: sqlite3.Connection, sequence: int, points: PointBatch, verdicts: VerdictBatch | None) -> None:
    """Write one commit's points as row `sequence`."""
    body = points.series.tobytes() + points.time_unix_nano.tobytes() + points.value.tobytes()
    packed = None if verdicts is None else _pack(rounded(points.value, verdicts))
    connection.execute(
        "INSERT INTO head (id, points, verdicts) VALUES (?, ?, ?)",
        (sequence, seal(body, sequence), None if packed is None else seal(packed, sequence)),
    )


class Head:
    """The head as seen by one connection; rows are in order of commit."""

    def __init__(self) -> None:
        self._first_id: int | None = None
        self._last_id = 0
        self._segments: list[Columns] = []
        self._first_row_newest = 0

    @property
    def last_id(self) -> int:
        """Return the newest row seen."""
        return self._last_id

    @property
    def first_row_newest(self) -> int:
        """Return the newest time of the oldest row."""
        return self._first_row_newest

    def __len__(self) -> int:
        return sum(segment[0].size for segment in self._segments)

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Catch up with the connection's snapshot."""
        (first_id,) = connection.execute("SELECT min(id) FROM head").fetchone()
        if first_id != self._first_id:
            self._first_id, self._last_id, self._segments = first_id, 0, []
        found = connection.execute(
            "SELECT id, points, verdicts FROM head WHERE id > ? ORDER BY id", (self._last_id,)
        ).fetchall()
        if found:
            if not self._segments:
                self._first_row_newest = int(_unpack(*found[0])[1].max())
            self._segments.append(rows.concat([_unpack(*row) for row in found], judged=True))
            self._last_id = found[-1][0]
            self._merge_small()

    def columns(self) -> Columns:
        """Return all rows in order of commit."""
        if len(self._segments) > 1:
            self._segments = [rows.concat(self._segments, judged=True)]
        return self._segments[0] if self._segments else rows.empty(judged=True)

    def select(self, wanted: Int32, start: int, end: int) -> Columns:
        """Return the rows of `wanted` (ascending ids) in `[start, end)`, sorted, the last of equal ones."""
        found = []
        for segment in self._segments:
            hit = (segment[1] >= start) & (segment[1] < end)
            hit[hit] = _is_in(segment[0][hit], wanted)
            found.append(rows.take(segment, hit))
        return rows.last_wins(rows.concat(found, judged=True))

    def lookup(self, points: PointBatch) -> tuple[Bool, Float64]:
        """Tell per row whether a point of that (series, time) is in the head, and its value."""
        start, end = int(points.time_unix_nano.min()), int(points.time_unix_nano.max()) + 1
        held = self.select(np.unique(points.series), start, end)
        at = rows.locate(held[0], held[1], points.series, points.time_unix_nano)
        found = at >= 0
        return found, np.where(found, held[2][at] if held[2].size else np.nan, np.nan)

    def _merge_small(self) -> None:
        """Keep segments in sizes that halve, so that a search visits few and adding copies little."""
        while len(self._segments) > 1 and self._segments[-2][0].size < 2 * self._segments[-1][0].size:
            right, left = self._segments.pop(), self._segments.pop()
            self._segments.append(rows.concat([left, right], judged=True))


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
