"""Histogram points to columns, grouped by their bucket bounds."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import TOO_LONG, framed, parse
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.number_points import (
    MAX_ATTRIBUTES_PER_SERIES,
    NO_RECORDED_VALUE,
    POINT_ATTRIBUTES,
    RawPoints,
)
from collector_processor.telemetry.arrival import HistogramPoints, Source

_Row = tuple[bytes, int, int, float, float, Sequence[int] | Sequence[float], bool]
"""Attributes, start, time, count, sum, bucket counts, gap."""


def histogram_points(groups: Sequence[RawPoints], rejected: Counter[str], budget: Budget) -> list[HistogramPoints]:
    """Decode the points of every group; add those that can't be taken to `rejected`, by reason.

    A gap has no buckets: it comes with empty bounds.

    Raises:
        MalformedRequestError, TooLargeError: if a point is no valid message, or the attributes are too many.
    """
    arrivals = []
    for group in groups:
        by_bounds: dict[tuple[float, ...], list[_Row]] = {}
        for point in group.points:
            _add(by_bounds, parse(schema.HistogramPoint, point, "data point"), group, rejected, budget)
        arrivals += [_columns(group.source, bounds, rows) for bounds, rows in by_bounds.items()]
    return arrivals


def _add(
    by_bounds: dict[tuple[float, ...], list[_Row]], point: Any, group: RawPoints, rejected: Counter[str], budget: Budget
) -> None:
    attributes = framed(point.attributes)
    is_gap = bool(point.flags & NO_RECORDED_VALUE)
    bounds, counts = ((), []) if is_gap else (tuple(point.explicit_bounds), list(point.bucket_counts))
    reason = _objection(point, bounds, counts, is_gap=is_gap) or _attribute_objection(
        POINT_ATTRIBUTES.measure(attributes, budget), group.shared_attributes
    )
    if reason:
        rejected[reason] += 1
        return
    times = (attributes, point.start_time_unix_nano, point.time_unix_nano)
    if is_gap:
        row: _Row = (*times, math.nan, math.nan, [math.nan], True)
    else:
        total = point.sum if point.HasField("sum") else math.nan
        row = (*times, point.count, total, counts or [point.count], False)
    by_bounds.setdefault(bounds, []).append(row)


def _objection(point: Any, bounds: tuple[float, ...], counts: list[int], *, is_gap: bool) -> str | None:
    if not is_gap and not _buckets_are_sound(point.count, bounds, counts):
        return "bad_buckets"
    if point.start_time_unix_nano > point.time_unix_nano:
        return "start_after_time"
    return None


def _buckets_are_sound(count: int, bounds: tuple[float, ...], counts: list[int]) -> bool:
    if not bounds and not counts:
        return True  # count and sum alone
    if len(counts) != len(bounds) + 1 or sum(counts) != count:
        return False
    return all(map(math.isfinite, bounds)) and all(low < high for low, high in pairwise(bounds))


def _attribute_objection(size: int, shared: int) -> str | None:
    if size == TOO_LONG:
        return "attribute_too_long"
    return "too_many_attributes" if size + shared > MAX_ATTRIBUTES_PER_SERIES else None


def _columns(source: Source, bounds: tuple[float, ...], rows: list[_Row]) -> HistogramPoints:
    attributes, start, time, count, total, buckets, is_gap = zip(*rows, strict=True)
    return HistogramPoints(
        source,
        attributes,
        wire.signed_times(start),
        wire.signed_times(time),
        np.array(count, np.float64),
        np.array(total, np.float64),
        np.array(bounds, np.float64),
        np.array(buckets, np.float64),
        np.array(is_gap, np.bool_),
    )
