"""Spans and log records as columns: what both kinds of requests have in common on the wire."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from collector_processor.otlp.attributes import RESOURCE_SIZES
from collector_processor.otlp.elements import MAX_ATTRIBUTES, MAX_ELEMENTS, MAX_POINTS, Budget
from collector_processor.telemetry.points import Int8, Int32

Columns: TypeAlias = tuple[list[Any], ...]
"""Fields of spans or log records, a list per field; of ids one string for many."""

_CHUNK = 512


def flattened(
    groups: Any, inner: str, leaf: str, read: Callable[[list[Any]], Columns]
) -> tuple[list[bytes], Int32, Columns]:
    """Flatten spans or log records; return the distinct resources, each record's index into them, its columns.

    Records are read a few hundred at a time, while they are in the processor's cache.
    """
    elements, attributes, records_left = Budget(MAX_ELEMENTS), Budget(MAX_ATTRIBUTES), Budget(MAX_POINTS)
    resources: dict[bytes, int] = {}
    index: list[int] = []
    columns = read([])
    elements.spend(len(groups))
    for group in groups:
        resource = b"".join(group.resource)
        RESOURCE_SIZES.measure(resource, attributes)
        place = resources.setdefault(resource, len(resources))
        scopes = getattr(group, inner)
        elements.spend(len(scopes))
        for scope in scopes:
            found = getattr(scope, leaf)
            records_left.spend(len(found))
            index.extend([place] * len(found))
            for begin in range(0, len(found), _CHUNK):
                for column, more in zip(columns, read(found[begin : begin + _CHUNK]), strict=True):
                    column.extend(more)
    return list(resources), np.array(index, np.int32), columns


def small_numbers(numbers: Sequence[int] | Int32, highest: int) -> Int8:
    """Return enumeration numbers as int8, unknown ones as 0."""
    values = np.array(numbers, np.int64)
    values[(values < 0) | (values > highest)] = 0
    return values.astype(np.int8)
