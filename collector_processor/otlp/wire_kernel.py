"""The wire format for compiled code: numbers and fields at places behind an address.

Addresses, not arrays: numba counts a reference to an array for each function it is given to, even where that is pasted
into its caller, and that takes longer than to read a field. Nothing checks the places; who calls knows where the bytes
end, and holds them.

Importing this imports numba.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numba.extending import intrinsic

from collector_processor.compiled import pasted

Number = int | np.int64

NOT_PLAIN = -1
LEAST_TAG, TAGS = 8, 0x80  # none of those in use is larger
LONGEST_TAG, LONGEST_NUMBER = 28, 56  # bits
MOST = (1 << 31) - 1
MOST_MET = 64

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WORD = 8  # bytes
_EIGHT, _HALF, _MOST_OF = np.uint64(8), np.uint64(32), np.uint64(56)  # bits
_ODD_FACTOR, _FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_U8, _I64 = numba.types.uint8, numba.types.int64
_Read = Callable[[Number, Number], np.int64]


def _byte(_typing: Any, _address: Any, _place: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*arguments), context.get_value_type(_U8).as_pointer())
        return builder.zext(builder.load(pointer), context.get_value_type(_I64))

    return _I64(_I64, _I64), code


def _word(_typing: Any, _address: Any, _place: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*arguments), context.get_value_type(_I64).as_pointer())
        return builder.load(pointer, align=1)

    return _I64(_I64, _I64), code


byte_at = cast(_Read, intrinsic(_byte))
"""Return the byte at a place behind an address."""
word_at = cast(_Read, intrinsic(_word))
"""Return the eight bytes there, as a number."""


@pasted
def varint(address: Number, at: Number, end: Number, longest: int) -> tuple[Number, Number]:
    """Return the number at a place and the place behind it, NOT_PLAIN where it has more bits or does not end."""
    if at >= end:
        return 0, NOT_PLAIN
    number: Number = byte_at(address, at)
    shift = 0
    at += 1
    while number >> shift >= 0x80:
        shift += 7
        if at >= end or shift >= longest:
            return 0, NOT_PLAIN
        number = (number & ~(np.int64(0x80) << (shift - 7))) | byte_at(address, at) << shift
        at += 1
    return number, at


@pasted
def content(address: Number, at: Number, end: Number, wire_type: Number) -> tuple[Number, Number, Number]:
    """Return what a field says, or its size; where its content begins, NOT_PLAIN where it is broken; and ends."""
    if wire_type == _FIXED64:
        return 8, at, at + 8
    if wire_type == _FIXED32:
        return 4, at, at + 4
    if wire_type == _VARINT:
        number, after = varint(address, at, end, LONGEST_NUMBER)
        return number, after, after
    if wire_type == _LENGTH:
        number, after = varint(address, at, end, LONGEST_NUMBER)
        return number, after, after + number
    return 0, NOT_PLAIN, NOT_PLAIN


@pasted
def is_same(one: Number, at: Number, other: Number, place: Number, size: Number) -> bool:
    """Tell whether the bytes at two places are the same."""
    same: Number = 0
    while same + _WORD <= size and word_at(one, at + same) == word_at(other, place + same):
        same += _WORD
    while same < size and byte_at(one, at + same) == byte_at(other, place + same):
        same += 1
    return bool(same == size)


@pasted
def hashed(address: Number, at: Number, size: Number, seed: np.uint64) -> np.uint64:
    """Mix bytes, eight at a time; the last eight may have been among those before."""
    mixed, last = (seed ^ np.uint64(size)) * _ODD_FACTOR, at + size - _WORD
    if size < _WORD:
        for place in range(at, at + size):
            mixed = mixed << _EIGHT ^ np.uint64(byte_at(address, place)) ^ mixed >> _MOST_OF
    else:
        while at < last:
            mixed = (mixed ^ np.uint64(word_at(address, at))) * _FACTOR
            mixed ^= mixed >> _HALF
            at += _WORD
        mixed ^= np.uint64(word_at(address, last))
    mixed = (mixed ^ mixed >> _HALF) * _FACTOR
    mixed = (mixed ^ mixed >> _HALF) * _ODD_FACTOR
    return mixed ^ mixed >> _HALF
