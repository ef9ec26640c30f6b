"""Exponential histogram points to columns, and a flat table of the buckets that hold anything.

Bucket counts are packed varints. They stay bytes until those of all points of a request are read as one array.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import TOO_LONG, framed, parse
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.raw_points import (
    MAX_ATTRIBUTES_PER_SERIES,
    NO_RECORDED_VALUE,
    POINT_ATTRIBUTES,
    RawPoints,
    reject,
)
from collector_processor.telemetry.arrival import Exemplar, ExponentialPoints, Source
from collector_processor.telemetry.points import Bool, Float64, Int64

MIN_SCALE, MAX_SCALE = -10, 20
"""The scales the data model has formulas for."""

MAX_BUCKET_BYTES = 4 << 20
"""Bytes of bucket counts in a request: some 10,000 points of 160 buckets with large counts."""

_OFFSET_TAG, _COUNTS_TAG = 0x08, 0x12
_MIN_EXPONENT, _MAX_EXPONENT = -1074, 1024  # of doubles
_EXACT_SUM = 1 << 50  # counts up to this add up without rounding


class _Row(NamedTuple):
    """One point; `positive` and `negative` are packed varints."""

    attributes: bytes
    size: int
    start: int
    time: int
    observations: int
    total: float
    scale: int
    zero_count: int
    zero_threshold: float
    is_gap: bool
    positive_offset: int
    positive: bytes
    negative_offset: int
    negative: bytes


@dataclass(frozen=True, slots=True)
class _Buckets:
    """All buckets of one sign of all points, also empty ones."""

    row: Int64
    index: Int64
    count: npt.NDArray[np.uint64]


def exponential_points(
    groups: Sequence[RawPoints], rejected: Counter[str], budget: Budget, exemplars: ExemplarTable
) -> list[ExponentialPoints]:
    """Decode the points of every group; add those that can't be taken to `rejected`, by reason.

    Raises:
        MalformedRequestError, TooLargeError: if a point is no valid message, or attributes or buckets are too many.
    """
    rows = [
        _row(parse(schema.ExponentialPoint, point, "data point"), number, budget, exemplars)
        for number, point in enumerate(point for group in groups for point in group.points)
    ]
    if not rows:
        return []
    Budget(MAX_BUCKET_BYTES).spend(sum(len(row.positive) + len(row.negative) for row in rows))
    sides = (
        _buckets([r.positive_offset for r in rows], [r.positive for r in rows]),
        _buckets([r.negative_offset for r in rows], [r.negative for r in rows]),
    )
    taken = _taken(groups, rows, sides, rejected)
    return _arrivals(groups, rows, sides, taken, exemplars)


def _row(point: Any, number: int, budget: Budget, exemplars: ExemplarTable) -> _Row:
    attributes = framed(point.attributes)
    is_gap = bool(point.flags & NO_RECORDED_VALUE)
    exemplars.take(number, point.exemplars)
    return _Row(
        attributes,
        POINT_ATTRIBUTES.measure(attributes, budget),
        point.start_time_unix_nano,
        point.time_unix_nano,
        0 if is_gap else point.count,
        point.sum if point.HasField("sum") and not is_gap else np.nan,
        0 if is_gap else point.scale,
        0 if is_gap else point.zero_count,
        0.0 if is_gap else point.zero_threshold,
        is_gap,
        *((0, b"") if is_gap else _cut(b"".join(point.positive))),
        *((0, b"") if is_gap else _cut(b"".join(point.negative))),
    )


def _cut(buckets: bytes) -> tuple[int, bytes]:
    """Return offset and packed counts of a Buckets message; one of an odd shape is parsed and packed anew."""
    if not buckets:
        return 0, b""
    try:
        zigzag, at = wire.read_varint(buckets, 1) if buckets[0] == _OFFSET_TAG else (0, 0)
        length, begin = wire.read_varint(buckets, at + 1)
        if buckets[at] == _COUNTS_TAG and begin + length == len(buckets) and zigzag < 1 << 32:
            return (zigzag >> 1) ^ -(zigzag & 1), buckets[begin:]
    except IndexError:
        pass
    Budget(MAX_BUCKET_BYTES).spend(len(buckets) // 2)  # a count that is not packed has a byte before it
    parsed = parse(schema.ExponentialBuckets, buckets, "data point")
    return parsed.offset, b"".join(wire.varint(count) for count in parsed.bucket_counts)


def _buckets(offsets: Sequence[int], packed: Sequence[bytes]) -> _Buckets:
    counts, sizes = wire.unpack_varints(packed)
    row = np.repeat(np.arange(len(packed)), sizes)
    place = np.arange(counts.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return _Buckets(row, np.array(offsets, np.int64)[row] + place, counts)


def _taken(
    groups: Sequence[RawPoints], rows: Sequence[_Row], sides: Sequence[_Buckets], rejected: Counter[str]
) -> Bool:
    size = np.array([row.size for row in rows])
    shared = np.repeat([g.shared_attributes for g in groups], [len(g.points) for g in groups])
    scale = np.array([row.scale for row in rows])
    in_scale = (scale >= MIN_SCALE) & (scale <= MAX_SCALE)
    threshold = np.array([row.zero_threshold for row in rows])
    return reject(
        rejected,
        [
            ("scale_out_of_range", ~in_scale),
            ("bucket_out_of_range", _is_beyond_doubles(np.where(in_scale, scale, 0), sides)),
            ("bad_buckets", ~(np.isfinite(threshold) & (threshold >= 0.0)) | ~_adds_up(rows, sides)),
            ("start_after_time", np.array([row.start > row.time for row in rows], np.bool_)),
            ("attribute_too_long", size == TOO_LONG),
            ("too_many_attributes", size + shared > MAX_ATTRIBUTES_PER_SERIES),
        ],
    )


def _is_beyond_doubles(scale: Int64, sides: Sequence[_Buckets]) -> Bool:
    """Tell per point whether a bucket that holds something lies where no double does."""
    beyond = np.zeros(scale.size, np.bool_)
    for side in sides:
        width = np.exp2(-scale[side.row].astype(np.float64))  # of a bucket, in exponents of 2
        outside = ((side.index + 1) * width <= _MIN_EXPONENT) | (side.index * width >= _MAX_EXPONENT)
        beyond[side.row[outside & (side.count > 0)]] = True
    return beyond


def _adds_up(rows: Sequence[_Row], sides: Sequence[_Buckets]) -> Bool:
    """Tell per point whether its buckets and its zeros are as many as its count says."""
    largest = max((int(side.count.max()) for side in sides if side.count.size), default=0)
    if max(largest, *(row.zero_count for row in rows)) < _EXACT_SUM:
        found = np.array([row.zero_count for row in rows], np.uint64)
        for side in sides:
            np.add.at(found, side.row, side.count)
        equal: Bool = found == np.array([row.observations for row in rows], np.uint64)
        return equal
    sums = [row.zero_count for row in rows]
    for side in sides:
        for row, count in zip(side.row.tolist(), side.count.tolist(), strict=True):
            sums[row] += count
    return np.array([total == row.observations for total, row in zip(sums, rows, strict=True)], np.bool_)


def _arrivals(
    groups: Sequence[RawPoints],
    rows: Sequence[_Row],
    sides: Sequence[_Buckets],
    taken: Bool,
    exemplars: ExemplarTable,
) -> list[ExponentialPoints]:
    row, index, count, is_negative = _table(sides)
    arrivals, begin = [], 0
    for group in groups:
        end = begin + len(group.points)
        chosen = np.flatnonzero(taken[begin:end]) + begin
        if chosen.size:
            place = np.full(len(rows), -1, np.int64)
            place[chosen] = np.arange(chosen.size)
            ours = place[row] >= 0
            arrivals.append(
                _points(
                    group.source,
                    [rows[i] for i in chosen.tolist()],
                    (place[row[ours]], index[ours], count[ours], is_negative[ours]),
                    exemplars.at(chosen.tolist()),
                )
            )
        begin = end
    return arrivals


def _table(sides: Sequence[_Buckets]) -> tuple[Int64, Int64, Float64, Bool]:
    """Join the buckets of both signs that hold anything, ascending by row."""
    row = np.concatenate([side.row for side in sides])
    count = np.concatenate([side.count for side in sides])
    is_negative = np.repeat([False, True], [side.row.size for side in sides])
    index = np.concatenate([side.index for side in sides])
    order = np.argsort(row, kind="stable")
    order = order[count[order] > 0]
    return row[order], index[order], count[order].astype(np.float64), is_negative[order]


def _points(
    source: Source, rows: Sequence[_Row], table: tuple[Int64, Int64, Float64, Bool], exemplars: Sequence[Exemplar]
) -> ExponentialPoints:
    attributes, _, start, time, observations, total, scale, zero_count, zero_threshold, is_gap, *_ = zip(
        *rows, strict=True
    )
    gaps = np.array(is_gap, np.bool_)
    return ExponentialPoints(
        source,
        attributes,
        wire.signed_times(start),
        wire.signed_times(time),
        np.where(gaps, np.nan, np.array(observations, np.float64)),
        np.array(total, np.float64),
        np.array(scale, np.int64),
        np.array(zero_count, np.float64),
        np.array(zero_threshold, np.float64),
        gaps,
        *table,
        exemplars,
    )
