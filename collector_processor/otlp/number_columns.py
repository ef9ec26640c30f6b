"""Gauge and sum points to columns, without a Python object per point.

Nearly every exporter writes a point in the same shape: start time (or none), time, value, attributes. Such points are
cut at fixed offsets and read as one structured array. A point of any other shape (flags, exemplars, unknown fields,
another order) is parsed on its own; both ways give the same columns.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import UNKNOWN, framed, is_framed, parse
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.point_scan import PointTable
from collector_processor.otlp.raw_points import NO_RECORDED_VALUE, POINT_ATTRIBUTES
from collector_processor.telemetry.points import STALE, Bool, Float64, Int64

_START, _TIME, _DOUBLE, _INT = 0x11, 0x19, 0x21, 0x31
_HEAD = np.dtype(
    [("start_tag", "u1"), ("start", "<u8"), ("time_tag", "u1"), ("time", "<u8"), ("value_tag", "u1"), ("value", "<u8")]
)
_HEAD_BYTES = _HEAD.itemsize
_NO_START = bytes([_START]) + bytes(8)
_ODD = bytes(_HEAD_BYTES)
_SIZES = {bytes([_START]): _HEAD_BYTES, bytes([_TIME]): _HEAD_BYTES - 9}
"""How long the head of a point is, by its first byte."""


@dataclass(frozen=True, slots=True)
class NumberColumns:
    """All number points of a request: `size` of attributes or TOO_LONG, `low` what `value` lost of an integer."""

    attributes: list[bytes]
    size: Int64
    start: Int64
    time: Int64
    value: Float64
    low: Float64
    is_gap: Bool
    has_value: Bool


def parsed_columns(points: list[bytes], budget: Budget, exemplars: ExemplarTable) -> NumberColumns:
    """Read points.

    Raises:
        MalformedRequestError, TooLargeError: if one is no valid message, or the attributes are too many.
    """
    heads, attributes = _cut(points)
    shaped = (heads["start_tag"] == _START) & (heads["time_tag"] == _TIME)
    shaped &= (heads["value_tag"] == _DOUBLE) | (heads["value_tag"] == _INT)
    columns = NumberColumns(
        attributes,
        POINT_ATTRIBUTES.known(attributes),
        heads["start"].copy().view(np.int64),
        heads["time"].copy().view(np.int64),
        *_values(heads["value"].copy().view(np.int64), heads["value_tag"] == _INT),
        np.zeros(len(points), np.bool_),
        np.ones(len(points), np.bool_),
    )
    for row in np.flatnonzero((columns.size == UNKNOWN) | ~shaped).tolist():
        fits = bool(shaped[row])
        columns.size[row] = _measure(columns, row, points[row], budget, exemplars, shaped=fits)
    return columns


def scanned_columns(
    table: PointTable, attributes: list[bytes], size: Int64, budget: Budget, exemplars: ExemplarTable
) -> NumberColumns:
    """Return the points of a table with their attributes; parse those that were not read.

    Raises:
        MalformedRequestError, TooLargeError: if one is no valid message, or the attributes are too many.
    """
    columns = NumberColumns(
        attributes,
        size,
        table.start,
        table.time,
        *_values(table.bits, table.is_int),
        np.zeros(size.size, np.bool_),
        np.ones(size.size, np.bool_),
    )
    for row in np.flatnonzero(table.is_odd).tolist():
        point = table.piece(*table.place[:, row].tolist())
        columns.size[row] = _measure(columns, row, point, budget, exemplars, shaped=False)
    return columns


def _cut(points: list[bytes]) -> tuple[npt.NDArray[np.void], list[bytes]]:
    """Cut points into heads of a fixed layout and attributes; a point too short for that gets a head of zeros."""
    if points and points[0][:1] in _SIZES:  # nearly always all are alike, so that nothing need be asked of each
        size = _SIZES[points[0][:1]]
        joined = b"".join([point[:size] for point in points])
        if len(joined) == size * len(points):
            heads = _heads(joined, size)
            if (heads["start_tag"] == _START).all():
                return heads, [point[size:] for point in points]
    return _cut_mixed(points)


def _heads(joined: bytes, size: int) -> npt.NDArray[np.void]:
    """Read heads, those without a start as if it were 0."""
    if size == _HEAD_BYTES:
        return np.frombuffer(joined, _HEAD)
    short = np.frombuffer(joined, np.uint8).reshape(-1, size)
    heads = np.zeros((len(short), _HEAD_BYTES), np.uint8)
    heads[:, 0] = np.where(short[:, 0] == _TIME, _START, 0)
    heads[:, -size:] = short
    return heads.reshape(-1).view(_HEAD)


def _cut_mixed(points: list[bytes]) -> tuple[npt.NDArray[np.void], list[bytes]]:
    present = points if all(points) else [point or _ODD for point in points]
    heads = [p[:_HEAD_BYTES] if p[0] != _TIME else _NO_START + p[: _HEAD_BYTES - 9] for p in present]
    attributes = [p[_HEAD_BYTES:] if p[0] != _TIME else p[_HEAD_BYTES - 9 :] for p in present]
    joined = b"".join(heads)
    if len(joined) != _HEAD_BYTES * len(points):
        joined = b"".join([head if len(head) == _HEAD_BYTES else _ODD for head in heads])
    return np.frombuffer(joined, _HEAD), attributes


def _values(bits: Int64, is_int: Bool) -> tuple[Float64, Float64]:
    """Return values as doubles, and what these lack of an integer beyond 2^53."""
    if not is_int.any():
        return bits.view(np.float64), np.zeros(bits.size)
    value, low = _doubles(bits)
    return np.where(is_int, value, bits.view(np.float64)), np.where(is_int, low, 0.0)


def _doubles(integers: Int64) -> tuple[Float64, Float64]:
    """Return the nearest doubles of integers, and the differences from them, which are exact doubles too."""
    high = (integers >> 32) * 2.0**32
    rest = (integers & 0xFFFFFFFF).astype(np.float64)
    value = high + rest
    return value, rest - (value - high)


def _measure(
    columns: NumberColumns, row: int, point: bytes, budget: Budget, exemplars: ExemplarTable, *, shaped: bool
) -> int:
    """Return the size of a point's attributes; a point not of the common shape is parsed into its row first."""
    if not (shaped and is_framed(columns.attributes[row])):
        _parse_into(columns, row, point, exemplars)
    return POINT_ATTRIBUTES.measure(columns.attributes[row], budget)


def _parse_into(columns: NumberColumns, row: int, point: bytes, exemplars: ExemplarTable) -> None:
    parsed = parse(schema.NumberPoint, point, "data point")
    choice = parsed.WhichOneof("choice")
    exemplars.take(row, parsed.exemplars)
    columns.attributes[row] = framed(parsed.attributes)
    columns.start[row], columns.time[row] = wire.signed_times([parsed.start_time_unix_nano, parsed.time_unix_nano])
    columns.is_gap[row] = bool(parsed.flags & NO_RECORDED_VALUE)
    columns.has_value[row] = choice is not None
    value = STALE if choice is None or columns.is_gap[row] else getattr(parsed, choice)
    columns.value[row] = value
    columns.low[row] = value - int(columns.value[row]) if isinstance(value, int) else 0.0
