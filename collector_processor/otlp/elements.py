"""Refuse a request of too many parts before it becomes objects.

Two bytes on the wire can become a message of fifty bytes in memory, and four kilobytes of gzip four megabytes of such
messages. So the parts are counted first: small requests can't hold many, most large ones visibly don't, and
the rest is walked, which stops at the cap.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from collector_processor.errors import TooLargeError
from collector_processor.otlp import wire

MAX_ELEMENTS = 200_000
"""Messages in a request: resources, scopes, metrics, data points, spans, log records."""
MAX_POINTS = 100_000
"""Data points, spans or log records in a request."""
MAX_ATTRIBUTES = 1_000_000
"""Attribute values that are looked into for one request; sets already known cost nothing."""

_HARMLESS = 1_000_000  # parts that fit in about 60 MiB whatever they are: parsed, then counted exactly
_MAX_VISITS = 1_000_000  # fields looked at in a walk, unknown ones included

Shape: TypeAlias = dict[int, "Shape"]
"""Tags of the fields to descend into, each with the tags inside."""

_POINTS: Shape = {0x0A: {}}
METRICS_SHAPE: Shape = {
    0x0A: {0x12: {0x12: {0x2A: _POINTS, 0x3A: _POINTS, 0x4A: _POINTS, 0x52: _POINTS, 0x5A: _POINTS}}}
}
"""resource_metrics, scope_metrics, metrics, any kind of data, data points."""
RECORDS_SHAPE: Shape = {0x0A: {0x12: {0x12: {}}}}
"""resource_spans, scope_spans, spans; and the same numbers for logs."""


@dataclass(slots=True)
class Budget:
    """How many more elements one request may hold."""

    left: int

    def spend(self, count: int) -> None:
        """Take `count` elements.

        Raises:
            TooLargeError: if that is more than are left.
        """
        self.left -= count
        if self.left < 0:
            raise TooLargeError("too many elements in one request: send smaller batches")


def check_elements(body: bytes, shape: Shape) -> None:
    """Refuse a body whose parts would fill the memory when parsed; malformed bytes are left to the parser.

    Raises:
        TooLargeError: if it has more than `MAX_ELEMENTS` elements; small excesses may pass.
    """
    if len(body) // 2 > _HARMLESS and _possible_elements(body) > _HARMLESS:
        _walk(body, shape)


def _possible_elements(body: bytes) -> int:
    """Count the bytes that can begin a field number 1 or 2 of type LEN (0x0a, 0x12, also as an overlong varint)."""
    return int(np.count_nonzero((np.frombuffer(body, np.uint8) & 0x67) == 0x02))


def _walk(body: bytes, shape: Shape) -> None:
    elements, visits = Budget(MAX_ELEMENTS), Budget(_MAX_VISITS)
    pending = [(0, len(body), shape)]
    try:
        while pending:
            position, end, inside = pending.pop()
            while position < end:
                visits.spend(1)
                tag, position = wire.read_varint(body, position)
                length, position = _field_length(body, tag & 7, position)
                if tag in inside:
                    elements.spend(1)
                    if inside[tag]:
                        pending.append((position, min(position + length, end), inside[tag]))
                position += length
    except IndexError:
        return  # not a sequence of fields: the parser will say so, having built no more than was walked


def _field_length(body: bytes, wire_type: int, position: int) -> tuple[int, int]:
    """Return the length of a field's content and where it starts."""
    if wire_type == wire.LENGTH:
        return wire.read_varint(body, position)
    if wire_type == wire.VARINT:
        return 0, wire.read_varint(body, position)[1]
    if wire_type in {wire.FIXED32, wire.FIXED64}:
        return (4 if wire_type == wire.FIXED32 else 8), position
    raise IndexError(f"no field of wire type {wire_type}")
