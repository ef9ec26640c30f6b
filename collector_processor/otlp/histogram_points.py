"""Histogram points to columns, grouped by their bucket bounds.

As with numbers, a point of the shape that exporters write is cut, not parsed: four fixed fields, the packed counts and
bounds, attributes, perhaps minimum and maximum. Counts and bounds stay bytes until they are one array.
"""

import struct
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import TOO_LONG, Memo, framed, is_framed, parse
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.raw_points import (
    MAX_ATTRIBUTES_PER_SERIES,
    NO_RECORDED_VALUE,
    POINT_ATTRIBUTES,
    RawPoints,
    reject,
)
from collector_processor.telemetry.arrival import HistogramPoints
from collector_processor.telemetry.points import STALE, Bool, Float64

_HEAD = struct.Struct("<BQBQBQBdB")
_HEAD_TAGS = (0x11, 0x19, 0x21, 0x29, 0x32)  # start, time, count, sum, bucket_counts
_BOUNDS_TAG, _ATTRIBUTES_TAG, _MIN_TAG, _MAX_TAG = 0x3A, 0x4A, 0x59, 0x61
_EXEMPLAR = b"\x42"
_EXACT_SUM = 1 << 50  # counts up to this add up without overflow


class _Layout(NamedTuple):
    """What points must share to stand in one matrix: bounds as float64 bytes, the width of their counts in bytes."""

    bounds: bytes
    width: int
    is_gap: bool


class _Row(NamedTuple):
    """One point; `group` is its place among the groups, `number` among all points, `counts` are uint64 bytes."""

    group: int
    attributes: bytes
    size: int
    start: int
    time: int
    observations: int
    total: float
    counts: bytes
    number: int


def histogram_points(
    groups: Sequence[RawPoints], rejected: Counter[str], budget: Budget, exemplars: ExemplarTable
) -> list[HistogramPoints]:
    """Decode the points of every group; add those that can't be taken to `rejected`, by reason.

    A gap has no buckets: it comes with empty bounds.

    Raises:
        MalformedRequestError, TooLargeError: if a point is no valid message, or the attributes are too many.
    """
    by_layout: defaultdict[_Layout, list[_Row]] = defaultdict(list)
    placed = ((place, point) for place, group in enumerate(groups) for point in group.points)
    for number, (place, point) in enumerate(placed):
        layout, row = _cut(point, place, number, budget, exemplars) or _parsed(point, place, number, budget, exemplars)
        by_layout[layout].append(row)
    return [
        arrivals
        for layout, rows in by_layout.items()
        for arrivals in _arrivals(groups, layout, rows, _taken(groups, layout, rows, rejected), exemplars)
    ]


def _cut(
    point: bytes, group: int, number: int, budget: Budget, exemplars: ExemplarTable
) -> tuple[_Layout, _Row] | None:
    """Cut a point of the common shape, None if it has another."""
    try:
        start_tag, start, time_tag, time, count_tag, count, sum_tag, total, counts_tag = _HEAD.unpack_from(point)
        width, begin = wire.read_varint(point, _HEAD.size)
        end = begin + width
        length, at = wire.read_varint(point, end + 1)
        bounds_tag = point[end]
    except (IndexError, struct.error):
        return None
    if (start_tag, time_tag, count_tag, sum_tag, counts_tag) != _HEAD_TAGS or bounds_tag != _BOUNDS_TAG:
        return None
    tail: bytes = point[at + length :]
    linked: Sequence[bytes] = ()
    if tail[:1] == _EXEMPLAR:
        tail, linked = _split_exemplars(tail)
    known = _attributes(tail, budget)
    if known is None or at + length > len(point) or width % 8 or length % 8:
        return None
    if linked:
        exemplars.take(number, linked)
    layout = _Layout(point[at : at + length], width, is_gap=False)
    return layout, _Row(group, *known, start, time, count, total, point[begin:end], number)


def _split_exemplars(tail: bytes) -> tuple[bytes, Sequence[bytes]]:
    """Return what follows the exemplars that the tail of a point begins with, and these."""
    found, position = [], 0
    try:
        while tail[position : position + 1] == _EXEMPLAR:
            length, begin = wire.read_varint(tail, position + 1)
            if begin + length > len(tail):
                break
            position = begin + length
            found.append(tail[begin:position])
    except IndexError:
        pass  # cut off, and so not of the common shape either
    return tail[position:], found


def _attributes(tail: bytes, budget: Budget) -> tuple[bytes, int] | None:
    """Return the framed attributes a point ends with and their size, None if there is more than they and extremes."""
    if len(tail) >= 18 and tail[-18] == _MIN_TAG and tail[-9] == _MAX_TAG:
        tail = tail[:-18]
    known = _FRAMED.known.get(tail)
    if known is None and is_framed(tail, _ATTRIBUTES_TAG):
        attributes = framed(parse(schema.HistogramPoint, tail, "attributes").attributes)
        known = attributes, POINT_ATTRIBUTES.measure(attributes, budget)
        _FRAMED.remember(tail, known)
    return known


def _parsed(point: bytes, group: int, number: int, budget: Budget, exemplars: ExemplarTable) -> tuple[_Layout, _Row]:
    parsed = parse(schema.HistogramPoint, point, "data point")
    attributes = framed(parsed.attributes)
    size = POINT_ATTRIBUTES.measure(attributes, budget)
    exemplars.take(number, parsed.exemplars)
    row = _Row(group, attributes, size, parsed.start_time_unix_nano, parsed.time_unix_nano, 0, np.nan, b"", number)
    if parsed.flags & NO_RECORDED_VALUE:
        return _Layout(b"", 0, is_gap=True), row
    counts, bounds = array("Q", parsed.bucket_counts).tobytes(), array("d", parsed.explicit_bounds).tobytes()
    total = parsed.sum if parsed.HasField("sum") else np.nan
    return _Layout(bounds, len(counts), is_gap=False), row._replace(
        observations=parsed.count, total=total, counts=counts
    )


def _taken(groups: Sequence[RawPoints], layout: _Layout, rows: list[_Row], rejected: Counter[str]) -> Bool:
    size = np.array([row.size for row in rows])
    shared = np.array([groups[row.group].shared_attributes for row in rows])
    return reject(
        rejected,
        [
            ("bad_buckets", ~_are_sound(layout, rows)),
            ("start_after_time", np.array([row.start > row.time for row in rows], np.bool_)),
            ("attribute_too_long", size == TOO_LONG),
            ("too_many_attributes", size + shared > MAX_ATTRIBUTES_PER_SERIES),
        ],
    )


def _are_sound(layout: _Layout, rows: list[_Row]) -> Bool:
    """Tell per row whether its counts fit the bounds and add up; no buckets at all are sound."""
    if not layout.bounds and not layout.width:
        return np.ones(len(rows), np.bool_)
    bounds = np.frombuffer(layout.bounds, "<f8")
    if layout.width // 8 != bounds.size + 1 or not np.isfinite(bounds).all() or (bounds[1:] <= bounds[:-1]).any():
        return np.zeros(len(rows), np.bool_)
    counts = _counts(rows)
    if counts.max() < _EXACT_SUM:
        adds_up: Bool = counts.sum(axis=1) == np.array([row.observations for row in rows], np.uint64)
        return adds_up
    return np.array(
        [sum(of_row.tolist()) == row.observations for of_row, row in zip(counts, rows, strict=True)], np.bool_
    )


def _counts(rows: list[_Row]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join([row.counts for row in rows]), "<u8").reshape(len(rows), -1)


def _arrivals(
    groups: Sequence[RawPoints], layout: _Layout, rows: list[_Row], taken: Bool, exemplars: ExemplarTable
) -> Iterator[HistogramPoints]:
    """Make columns of the rows that are taken, and share them out to their sources."""
    if not taken.all():
        rows = [row for row, is_taken in zip(rows, taken.tolist(), strict=True) if is_taken]
    if not rows:
        return
    whole = _columns(groups[0], layout, rows)
    end = 0
    for place, of_group in groupby(rows, key=lambda row: row.group):
        begin, end = end, end + sum(1 for _ in of_group)
        yield HistogramPoints(
            groups[place].source,
            whole.attributes[begin:end],
            whole.start_unix_nano[begin:end],
            whole.time_unix_nano[begin:end],
            whole.count[begin:end],
            whole.sum[begin:end],
            whole.bounds,
            whole.bucket_counts[begin:end],
            whole.is_gap[begin:end],
            exemplars.at([row.number for row in rows[begin:end]]),
        )


def _columns(group: RawPoints, layout: _Layout, rows: list[_Row]) -> HistogramPoints:
    _, attributes, _, start, time, observations, total, *_ = zip(*rows, strict=True)
    count: Float64 = np.full(len(rows), STALE) if layout.is_gap else np.array(observations, np.float64)
    return HistogramPoints(
        group.source,
        attributes,
        wire.signed_times(start),
        wire.signed_times(time),
        count,
        np.array(total, np.float64),
        np.frombuffer(layout.bounds, "<f8"),
        _counts(rows).astype(np.float64) if layout.width else count.reshape(-1, 1),
        np.full(len(rows), layout.is_gap),
    )


_FRAMED: Memo[tuple[bytes, int]] = Memo(max_bytes=32 << 20)
"""Attributes as they stand in histogram points, with their framed form and size."""
