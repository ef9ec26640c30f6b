"""The few facts of protobuf's wire format that this room uses without a parser.

A message is a sequence of fields: a tag (field number and wire type), then the value. Fields of wire type LEN carry
their length. Repeated fields concatenate, so bytes of a message followed by further fields are that message with
the fields added.
"""

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collector_processor.errors import MalformedRequestError
from collector_processor.telemetry.points import Float64, Int64

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""The wire types in use."""

_MAX_VARINT = 10


def field(number: int, payload: bytes) -> bytes:
    """Encode one length-delimited field."""
    return varint(number << 3 | LENGTH) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """Encode a non-negative integer, seven bits a byte."""
    if value < 0x80:
        return _SHORT[value]
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Decode an integer at `position`; return it and the position after it.

    Raises:
        IndexError: if the bytes end, or the number goes on for more than 10 bytes.
    """
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value = byte & 0x7F
    for shift in range(7, 70, 7):
        position += 1
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
    raise IndexError("a varint of more than 10 bytes")


def unpack_varints(packed: Sequence[bytes]) -> tuple[npt.NDArray[np.uint64], Int64]:
    """Decode packed integers, several byte strings of them at once; return all, and how many each string holds.

    Raises:
        MalformedRequestError: if a string ends within a number, or a number has more than 10 bytes.
    """
    data = np.frombuffer(b"".join(packed), np.uint8)
    stop = np.cumsum([len(raw) for raw in packed], dtype=np.int64)
    is_last = data < 0x80
    held = np.concatenate([[0], np.cumsum(is_last)])
    sizes = np.diff(held[stop], prepend=0)
    if is_last.all():
        return data.astype(np.uint64), sizes
    begin = np.concatenate([[0], np.flatnonzero(is_last) + 1])
    if not is_last[stop[stop > 0] - 1].all() or np.diff(begin).max() > _MAX_VARINT:
        raise MalformedRequestError("data point: not a valid protobuf message")
    shift = 7 * (np.arange(data.size) - np.repeat(begin[:-1], np.diff(begin)))
    parts = (data & 0x7F).astype(np.uint64) << shift.astype(np.uint64)
    return np.add.reduceat(parts, begin[:-1]), sizes


def signed_times(values: Sequence[int]) -> Int64:
    """Return fixed64 times as int64; a time of 2^63 or more is negative there."""
    return np.frombuffer(array("Q", values), np.uint64).astype(np.int64)


def little_endian(values: Float64) -> npt.NDArray[np.uint8]:
    """Return the IEEE 754 bytes of each value, shape `(n, 8)`."""
    return np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)


_SHORT = [bytes([n]) for n in range(0x80)]
