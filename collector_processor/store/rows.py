"""Rows as tuples of columns: series, time, value, and in judged rows yhat, lower, upper, score, anomaly."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

Columns = tuple[npt.NDArray[Any], ...]

_TYPES = (np.int32, np.int64, np.float64, np.float64, np.float64, np.float64, np.float64, np.int8)


def judged_rows(points: PointBatch, verdicts: VerdictBatch) -> Columns:
    """Return points and their verdicts as eight columns."""
    return (
        points.series,
        points.time_unix_nano,
        points.value,
        verdicts.yhat,
        verdicts.lower,
        verdicts.upper,
        verdicts.score,
        verdicts.anomaly,
    )


def points_of(rows: Columns) -> PointBatch:
    """Return the point columns."""
    return PointBatch(rows[0], rows[1], rows[2])


def verdicts_of(rows: Columns) -> VerdictBatch:
    """Return the verdict columns of judged rows."""
    return VerdictBatch(rows[3], rows[4], rows[5], rows[6], rows[7])


def concat(pieces: Sequence[Columns]) -> Columns:
    """Join judged rows in order."""
    if not pieces:
        return tuple(np.empty(0, dtype) for dtype in _TYPES)
    return tuple(np.concatenate(columns) for columns in zip(*pieces, strict=True))


def take(rows: Columns, index: Int64 | Bool | slice) -> Columns:
    """Select rows."""
    return tuple(column[index] for column in rows)


def by_series(rows: Columns) -> Iterator[Columns]:
    """Yield the rows of each series; rows are sorted by series."""
    return (take(rows, slice(*run)) for run in runs(rows[0]))


def runs(column: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield `[start, stop)` of each run of equal values."""
    if not column.size:
        return iter(())
    edges = (np.flatnonzero(np.diff(column)) + 1).tolist()
    return zip([0, *edges], [*edges, column.size], strict=True)


def last_wins(rows: Columns) -> Columns:
    """Return rows sorted by (series, time), of equal ones only the last."""
    series, time = rows[0], rows[1]
    if bool(np.all(_ascends(series, time))):
        return rows
    order = np.lexsort((time, series))
    newest = np.append(_ascends(series[order], time[order]), [True])
    return take(rows, order[newest])


def laid_over(pieces: Sequence[Columns]) -> Columns:
    """Return the rows of pieces, each sorted, sorted; of equal ones the last piece's."""
    held = concat([piece for piece in pieces if piece[0].size])
    order = np.argsort(held[0], kind="stable")  # finds sorted runs, and merges them
    return last_wins(take(held, order))


def lookup(held: Columns, points: PointBatch) -> tuple[Bool, Float64]:
    """Tell per point whether one of that (series, time) is held, and its value (NaN where not)."""
    at = locate(held[0], held[1], points.series, points.time_unix_nano)
    found = at >= 0
    return found, np.where(found, held[2][at] if held[2].size else np.nan, np.nan)


def joined(pieces: list[tuple[int, Int64, Float64]]) -> PointBatch:
    """Return points sorted by (series, time) from pieces that ascend in time; of equal ones the last piece's.

    Where pieces of a series follow one another, as days do, that is seen from their ends.
    """
    if not pieces:
        return PointBatch.empty()
    pieces.sort(key=itemgetter(0))  # stable
    owner = np.array([series for series, _, _ in pieces], np.int32)
    time = [piece_time for _, piece_time, _ in pieces]
    column = np.repeat(owner, [len(piece_time) for piece_time in time])
    points = column, np.concatenate(time), np.concatenate([value for _, _, value in pieces])
    first, last = np.array([t[0] for t in time]), np.array([t[-1] for t in time])
    follows = (owner[1:] > owner[:-1]) | (first[1:] > last[:-1])
    return points_of(points if follows.all() else last_wins(points))


def locate(stored_series: Int32, stored_time: Int64, series: Int32, time: Int64) -> Int64:
    """Return for each (series, time) its last place among the stored ones, -1 where there is none."""
    times, rank = np.unique(np.concatenate([stored_time, time]), return_inverse=True)
    key = np.concatenate([stored_series, series]).astype(np.int64) * times.size + rank
    stored, asked = key[: stored_time.size], key[stored_time.size :]
    order = np.argsort(stored, kind="stable")
    at = np.searchsorted(stored, asked, side="right", sorter=order) - 1
    place = order[np.maximum(at, 0)] if stored.size else np.full(asked.size, -1)
    found = stored[place] == asked if stored.size else np.zeros(asked.size, np.bool_)
    return np.where((at >= 0) & found, place, -1)


def _ascends(series: Int32, time: Int64) -> Bool:
    """Tell per neighbouring pair whether the right one is a later row."""
    same = series[1:] == series[:-1]
    later: Bool = (series[1:] > series[:-1]) | (same & (time[1:] > time[:-1]))
    return later
