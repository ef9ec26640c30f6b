"""The compiled inner loops over a metrics request: where its points are, what they say, which attributes are known.

As in `span_kernel`: it knows the plain form of the wire format, and leaves what is not plain or broken to the parser. A
gauge's or sum's point of another shape than nearly all have (flags, exemplars, unknown fields, attributes apart) it
finds, but does not read; metrics that are neither it only notes.

Importing this imports numba, so that is done when there is much to read.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from collector_processor.compiled import compiled, digest, entry, pasted
from collector_processor.otlp import wire_kernel
from collector_processor.otlp.wire_kernel import (
    LEAST_TAG,
    LONGEST_NUMBER,
    LONGEST_TAG,
    MOST,
    MOST_MET,
    NOT_PLAIN,
    TAGS,
    Number,
    byte_at,
    content,
    hashed,
    is_same,
    varint,
    word_at,
)
from collector_processor.telemetry.points import Int32, Int64

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]

PART_COLUMNS = 16
LEVEL, FIRST, BEGIN, SIZE, FORM = range(5)
IDENTITY, NAME, UNIT, TEMPORALITY, MONOTONIC = range(6, PART_COLUMNS, 2)
"""Of a table of resources, scopes and metrics in the order in which they begin: which of these; the first point from
there on; place and size; tag of a metric's data, 0: none. Then by field its place (0: not there), and behind that its
size or what it says; the first is what a resource or scope is."""

OF_RESOURCE, OF_SCOPE, OF_METRIC = range(3)
"""Levels."""

GAUGE, SUM = 0x2A, 0x3A
"""Tags of data whose points are read."""

POINT_COLUMNS, SAID_COLUMNS = 5, 3
POINT_BEGIN, POINT_SIZE, SET_BEGIN, SET_SIZE, VALUE_TAG = range(POINT_COLUMNS)
START, TIME, VALUE = range(SAID_COLUMNS)
"""Of points: place and size, those of the attributes, tag of the value (ODD: not read); times, bits of the value."""

ODD, DOUBLE, INT = 0, 0x21, 0x31
UNKNOWN = -1

_IN_REQUEST, _IN_RESOURCE, _IN_SCOPE, _IN_METRIC, _IN_DATA, _LEVELS = range(6)
_SKIP, _ENTER, _PASS = -1, -2, -3
_START, _TIME, _ATTRIBUTE = 0x11, 0x19, 0x3A  # tags in a point
_FIXED = 9  # bytes of a tag and eight more


class Known(NamedTuple):
    """Sets that are known: that of number `i` has the hash `hashes[i]` and is in `kept` at `places[i]` with its size.

    `slots` hold -1 and numbers of sets, a power of two; one that is met too late for its hash counts as unknown.
    """

    seed: np.uint64
    slots: Int32
    hashes: Hashes
    places: Int64
    kept: Bytes


def _actions() -> npt.NDArray[np.int8]:
    """Return what is done with each tag at each level: the column it is noted in, or something else."""
    actions = np.full((_LEVELS, TAGS), _SKIP, np.int8)
    actions[range(_IN_METRIC), (0x0A, 0x12, 0x12)] = _ENTER
    actions[[_IN_RESOURCE, _IN_SCOPE], 0x0A] = IDENTITY
    actions[_IN_METRIC, [0x0A, 0x1A]] = NAME, UNIT
    actions[_IN_METRIC, [GAUGE, SUM]], actions[_IN_METRIC, [0x4A, 0x52, 0x5A]] = _ENTER, _PASS
    actions[_IN_DATA, [0x0A, 0x10, 0x18]] = _ENTER, TEMPORALITY, MONOTONIC
    return actions


_ACTIONS = _actions()


@pasted
def _read_point(address: Number, begin: Number, end: Number) -> tuple[Number, Number, Number, Number, Number, Number]:
    """Return start, time, bits and tag of the value, and place and size of the attributes.

    Of a field that comes twice the last counts, as for the parser.
    """
    tag_of_value, start, time, value = np.int64(ODD), np.int64(0), np.int64(0), np.int64(0)
    at, first, last = begin, begin, begin
    while at < end:
        tag = byte_at(address, at)
        if tag == _ATTRIBUTE:
            size, inner = varint(address, at + 1, end, LONGEST_NUMBER)
            if inner < 0 or size > end - inner or (last > first and at > last):
                break
            first = at if last == first else first
            at = last = inner + size
            continue
        if end - at < _FIXED:
            break
        if tag == _TIME:
            time = word_at(address, at + 1)
        elif tag == DOUBLE or tag == INT:  # noqa: PLR1714, SIM109 - a tuple would be searched
            tag_of_value, value = tag, word_at(address, at + 1)
        elif tag == _START:
            start = word_at(address, at + 1)
        else:
            break
        at += _FIXED
    return start, time, value, tag_of_value if at == end else ODD, first, last - first


@pasted
def _begin(parts: Int32, rows: Int64, level: Number, tag: Number, point: Number, at: Number, size: Number) -> bool:
    """Note what begins within a level, unless it is a metric's second kind of data, or there is no more room."""
    if level == _IN_METRIC:
        part = parts[rows[level]]
        rows[_IN_DATA], is_free = rows[_IN_METRIC], part[FORM] == 0
        part[FORM] = tag
        return bool(is_free)
    rows[level + 1], is_free = rows[0], rows[0] < len(parts)
    if is_free:
        part = parts[rows[0]]
        part[LEVEL], part[FIRST], part[BEGIN], part[SIZE] = level, point, at, size
    rows[0] += 1
    return bool(is_free)


@compiled
def _scan(address: Number, size: Number, parts: Int32, points: Int32, said: Int64) -> tuple[Number, Number]:
    ends, rows = np.zeros(_LEVELS, np.int64), np.zeros(_LEVELS, np.int64)  # rows[0] is the next
    ends[0], level, point = size, _IN_REQUEST, 0
    at: Number = 0
    while at < size:
        tag, at = varint(address, at, ends[level], LONGEST_TAG)
        number, at, end = content(address, at, ends[level], tag & 7)
        if tag < LEAST_TAG or at < 0 or end > ends[level] or number > MOST or point == points.shape[1]:
            return NOT_PLAIN, 0
        action = _ACTIONS[level, tag] if tag < TAGS else _SKIP
        if action == _ENTER and level == _IN_DATA:
            points[POINT_BEGIN, point], points[POINT_SIZE, point] = at, number
            start, time, value, tag, first, size_of_set = _read_point(address, at, end)
            said[START, point], said[TIME, point], said[VALUE, point] = start, time, value
            points[VALUE_TAG, point], points[SET_BEGIN, point], points[SET_SIZE, point] = tag, first, size_of_set
            point += 1
        elif action in (_ENTER, _PASS):
            if not _begin(parts, rows, level, tag, point, at, number):
                return NOT_PLAIN, 0
            if action == _ENTER:
                level += 1
                ends[level], end = end, at
        elif action != _SKIP:
            if parts[rows[level], action]:
                return NOT_PLAIN, 0
            parts[rows[level], action], parts[rows[level], action + 1] = at, number
        at = end
        while level and at == ends[level]:
            level -= 1
    return rows[0], point


@compiled
def _find(address: Number, places: Int32, known: Known, kept: Number, number: Int32, mixed: Hashes) -> None:
    mask = np.uint64(len(known.slots) - 1)
    for row in range(len(number)):
        at, size = np.int64(places[0, row]), np.int64(places[1, row])
        own = hashed(address, at, size, known.seed)
        mixed[row], number[row] = own, UNKNOWN
        slot, met = np.int64(own & mask), 0
        while known.slots[slot] >= 0 and met < MOST_MET:
            found = known.slots[slot]
            is_like = known.hashes[found] == own and known.places[found, 1] == size
            if is_like and is_same(address, at, kept, known.places[found, 0], size):
                number[row] = found
                break
            slot, met = np.int64(np.uint64(slot + 1) & mask), met + 1


@entry
def fill(slots: Int32, hashes: Hashes, first: int, last: int) -> None:
    """Put the sets from `first` to `last`, that one excluded, into the first free slots after those of their hashes."""
    mask = np.uint64(len(slots) - 1)
    for number in range(first, last):
        slot = np.int64(hashes[number] & mask)
        while slots[slot] >= 0:
            slot = np.int64(np.uint64(slot + 1) & mask)
        slots[slot] = number


def _bind(sources: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile the entries over the digest of the sources they are made of."""

    @entry
    def scan(data: Bytes, parts: Int32, points: Int32, said: Int64) -> tuple[Number, Number]:
        """Fill `parts (m, PART_COLUMNS)` of zeros, and columns `points (POINT_COLUMNS, n)`, `said (SAID_COLUMNS, n)`.

        Returns how many parts and points there are; the first is
        NOT_PLAIN where the request is not plain, or the tables are too short for it.
        """
        _ = sources
        return _scan(np.int64(data.ctypes.data), len(data), parts, points, said)

    @entry
    def find(data: Bytes, places: Int32, known: Known, number: Int32, mixed: Hashes) -> None:
        """Write the `number (n,)` of the set at each of `places (2, n)`, UNKNOWN where there is none; and its hash."""
        _ = sources
        _find(np.int64(data.ctypes.data), places, known, np.int64(known.kept.ctypes.data), number, mixed)

    return scan, find


scan, find = _bind(digest(__file__, wire_kernel.__file__))
