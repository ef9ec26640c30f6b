"""Summary points to columns: count, sum, and the quantiles their sender computed."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import POINT_TAG, TOO_LONG, framed, parse
from collector_processor.otlp.elements import MAX_ELEMENTS, Budget
from collector_processor.otlp.raw_points import (
    MAX_ATTRIBUTES_PER_SERIES,
    NO_RECORDED_VALUE,
    POINT_ATTRIBUTES,
    RawPoints,
    reject,
)
from collector_processor.telemetry.arrival import SummaryPoints
from collector_processor.telemetry.points import Bool

QUANTILE_KEY = "quantile"
"""The attribute that tells the series of a summary's quantiles apart, as in Prometheus."""

MAX_QUANTILES = 32
"""Quantiles of a point; each becomes a series."""


class _Row(NamedTuple):
    attributes: bytes
    size: int
    start: int
    time: int
    observations: float
    total: float
    is_gap: bool
    quantiles: list[tuple[float, float]]


def summary_points(groups: Sequence[RawPoints], rejected: Counter[str], budget: Budget) -> list[SummaryPoints]:
    """Decode the points of every group; add those that can't be taken to `rejected`, by reason.

    Raises:
        MalformedRequestError, TooLargeError: if a point is no valid message, or attributes or quantiles are too many.
    """
    elements = Budget(MAX_ELEMENTS)
    arrivals = []
    for group in groups:
        rows = [_row(parse(schema.SummaryPoint, point, "data point"), budget, elements) for point in group.points]
        taken = _taken(group, rows, rejected)
        rows = [row for row, is_taken in zip(rows, taken.tolist(), strict=True) if is_taken]
        if rows:
            arrivals.append(_arrivals(group, rows))
    return arrivals


def _row(point: Any, budget: Budget, elements: Budget) -> _Row:
    attributes = framed(point.attributes)
    is_gap = bool(point.flags & NO_RECORDED_VALUE)
    elements.spend(len(point.quantile_values))
    return _Row(
        attributes,
        POINT_ATTRIBUTES.measure(attributes, budget),
        point.start_time_unix_nano,
        point.time_unix_nano,
        math.nan if is_gap else float(point.count),
        math.nan if is_gap else point.sum,
        is_gap,
        [] if is_gap else [(pair.quantile, pair.value) for pair in point.quantile_values],
    )


def _taken(group: RawPoints, rows: Sequence[_Row], rejected: Counter[str]) -> Bool:
    size = np.array([row.size for row in rows], np.int64)
    return reject(
        rejected,
        [
            ("bad_quantiles", np.array([not _are_sound(row.quantiles) for row in rows], np.bool_)),
            ("start_after_time", np.array([row.start > row.time for row in rows], np.bool_)),
            ("attribute_too_long", size == TOO_LONG),
            ("too_many_attributes", size + group.shared_attributes > MAX_ATTRIBUTES_PER_SERIES),
        ],
    )


def _are_sound(quantiles: Sequence[tuple[float, float]]) -> bool:
    asked = [quantile for quantile, _ in quantiles]
    return (
        len(asked) <= MAX_QUANTILES
        and len(set(asked)) == len(asked)
        and all(0.0 <= quantile <= 1.0 for quantile in asked)
    )


def _arrivals(group: RawPoints, rows: Sequence[_Row]) -> SummaryPoints:
    attributes, _, start, time, observations, total, is_gap, _ = zip(*rows, strict=True)
    flat = [(i, *pair) for i, row in enumerate(rows) for pair in row.quantiles]
    return SummaryPoints(
        group.source,
        attributes,
        wire.signed_times(start),
        wire.signed_times(time),
        np.array(observations, np.float64),
        np.array(total, np.float64),
        np.array(is_gap, np.bool_),
        np.array([i for i, _, _ in flat], np.int64),
        [rows[i].attributes + _quantile_attribute(quantile) for i, quantile, _ in flat],
        np.array([value for _, _, value in flat], np.float64),
    )


def _quantile_attribute(quantile: float) -> bytes:
    """Frame the attribute as those of points are; coming last, it stands for a `quantile` the point may have."""
    key_value = schema.KeyValue(key=QUANTILE_KEY)
    key_value.value.double_value = quantile
    encoded: bytes = key_value.SerializeToString()
    return bytes([POINT_TAG]) + wire.varint(len(encoded)) + encoded
