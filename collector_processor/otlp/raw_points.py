"""Data points of any kind before they are read: their attributes, and what can be wrong with them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.otlp.attributes import AttributeSizes, parse_attributes
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Bool

NO_RECORDED_VALUE = 1
MAX_ATTRIBUTES_PER_SERIES = 64

POINT_ATTRIBUTES = AttributeSizes(parse_attributes, max_bytes=32 << 20)
"""Attribute sets of data points seen by this process."""


@dataclass(frozen=True, slots=True)
class RawPoints:
    """Undecoded data points of one source, and how many attributes its resource and scope have."""

    source: Source
    points: list[bytes]
    shared_attributes: int


def reject(rejected: Counter[str], objections: Sequence[tuple[str, Bool]]) -> Bool:
    """Count every row under the first objection that applies to it; return the rows without any."""
    free = np.ones(objections[0][1].size, np.bool_)
    for reason, objection in objections:
        hit = objection & free
        if hit.any():
            rejected[reason] += int(np.count_nonzero(hit))
            free &= ~hit
    return free
