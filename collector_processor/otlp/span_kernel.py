"""The compiled inner loops over a trace request: where its spans are, which names they share, and bytes behind spans.

One pass over tags and sizes each. It knows the plain form of the wire format. What it does not
know (groups, two names of one span), and what is broken, it leaves to the parser, which has the last word; it takes
nothing that the parser would refuse but for names, which may be no UTF-8.

Importing this imports numba, so that is done when there is much to read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.compiled import compiled, digest, entry, pasted
from collector_processor.otlp import wire_kernel
from collector_processor.otlp.wire_kernel import (
    LEAST_TAG,
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
)
from collector_processor.telemetry.points import Int32

Bytes = npt.NDArray[np.uint8]

COLUMNS = 17
BEGIN, SIZE, GROUP, NAME, OWN_ID, PARENT_ID, KIND, START, END, STATUS = 0, 1, 2, *range(3, COLUMNS, 2)
"""Of a table of spans: place, size, number of the resource; then by field its place (0: not there), and behind that its
size, or what it says where it is a number."""

_IN_REQUEST, _IN_RESOURCE, _IN_SCOPE, _IN_SPAN, _IN_STATUS = range(5)
_OUTER = (0x0A, 0x12, 0x12)  # tags of what a span is in, and of spans, by level
_ATTRIBUTE = 0x4A
_SKIP, _ENTER = -1, -2


def _actions() -> npt.NDArray[np.int8]:
    """Return what is done with each tag at each level: the column it is noted in, or something else."""
    actions = np.full((_IN_STATUS + 1, TAGS), _SKIP, np.int8)
    actions[range(_IN_SPAN), _OUTER] = _ENTER
    actions[_IN_RESOURCE, 0x0A] = 0
    actions[_IN_SPAN, [0x12, 0x22, 0x2A, 0x30, 0x39, 0x41]] = OWN_ID, PARENT_ID, NAME, KIND, START, END
    actions[_IN_SPAN, 0x7A], actions[_IN_STATUS, 0x18] = _ENTER, STATUS
    return actions


_ACTIONS = _actions()


@pasted
def _behind_attributes(address: Number, at: Number, end: Number) -> Number:
    """Return the place behind the short attributes of a span that begin at a place: most of its fields, by far."""
    while at + 1 < end and byte_at(address, at) == _ATTRIBUTE:
        size = byte_at(address, at + 1)
        if size >= TAGS or at + 2 + size > end:
            break
        at += 2 + size
    return at


@compiled
def _scan(address: Number, size: Number, spans: Int32, resources: Int32) -> tuple[Number, Number, Number]:
    ends, counts = np.zeros(_IN_STATUS + 1, np.int64), np.zeros(_IN_STATUS, np.int64)
    ends[0], level, group, row = size, _IN_REQUEST, -1, -1
    at: Number = 0
    while at < size:
        tag, at = varint(address, at, ends[level], LONGEST_TAG)
        number, at, end = content(address, at, ends[level], tag & 7)
        if tag < LEAST_TAG or at < 0 or end > ends[level] or number > MOST:
            return NOT_PLAIN, 0, 0
        action = _ACTIONS[level, tag] if tag < TAGS else _SKIP
        if action == _ENTER:
            counts[level] += 1
            group, row = counts[_IN_REQUEST] - 1, counts[_IN_SCOPE] - 1
            if group == len(resources) or row == len(spans):
                return NOT_PLAIN, 0, 0
            if level == _IN_SCOPE:
                for column in range(COLUMNS):
                    spans[row, column] = 0
                spans[row, BEGIN], spans[row, SIZE], spans[row, GROUP] = at, number, group
            level += 1
            ends[level], end = end, at
        elif action != _SKIP:
            noted, place = (resources, group) if level == _IN_RESOURCE else (spans, row)
            if noted[place, action]:
                return NOT_PLAIN, 0, 0
            noted[place, action], noted[place, action + 1] = at, number
        at = _behind_attributes(address, end, ends[level]) if level == _IN_SPAN else end
        while level and at == ends[level]:
            level -= 1
    return counts[_IN_REQUEST], counts[_IN_RESOURCE], counts[_IN_SCOPE]


@compiled
def _number_names(address: Number, spans: Int32, table: Int32, number: Int32, first: Int32) -> int:
    count, mask = 0, np.uint64(len(table) - 1)
    for row in range(len(spans)):
        at, size = np.int64(spans[row, NAME]), np.int64(spans[row, NAME + 1])
        slot, met = np.int64(hashed(address, at, size, np.uint64(0)) & mask), 0
        while table[slot] >= 0:
            known = first[table[slot]]
            if spans[known, NAME + 1] == size and is_same(address, at, address, spans[known, NAME], size):
                break
            slot, met = np.int64(np.uint64(slot + 1) & mask), met + 1
            if met > MOST_MET:
                return NOT_PLAIN
        if table[slot] < 0:
            table[slot], first[count] = count, row
            count += 1
        number[row] = table[slot]
    return count


@pasted
def _field_size(size: Number) -> Number:
    """Return the size of a whole field with a content of this size and a tag of one byte."""
    head = 2
    while size >> 7 * (head - 1):
        head += 1
    return head + size


@pasted
def _put_head(out: Bytes, to: Number, tag: Number, size: Number) -> Number:
    """Write tag and size of a field; return the place behind them."""
    out[to] = tag
    to += 1
    while size >= TAGS:
        out[to] = size & (TAGS - 1) | TAGS
        size >>= 7
        to += 1
    out[to] = size
    return to + 1


@compiled
def _measure(address: Number, size: Number, more: Int32, sizes: Int32) -> Number:
    ends, inside, place = np.zeros(_IN_SPAN, np.int64), np.zeros(_IN_SPAN, np.int64), np.zeros(_IN_SPAN, np.int64)
    ends[0], level, row, entered = size, _IN_REQUEST, 0, 0
    at: Number = 0
    while at < size:
        begin = at
        tag, at = varint(address, at, ends[level], LONGEST_TAG)
        number, at, end = content(address, at, ends[level], tag & 7)
        if tag < LEAST_TAG or at < 0 or end > ends[level]:
            return NOT_PLAIN
        if tag != _OUTER[level]:
            inside[level] += end - begin
        elif row == len(more) if level == _IN_SCOPE else entered == len(sizes):
            return NOT_PLAIN
        elif level == _IN_SCOPE:
            inside[level] += _field_size(number + more[row])
            row += 1
        else:
            level += 1
            ends[level], inside[level], place[level] = end, 0, entered
            entered, end = entered + 1, at
        at = end
        while level and at == ends[level]:
            sizes[place[level]] = inside[level]
            inside[level - 1] += _field_size(inside[level])
            level -= 1
    total: Number = inside[_IN_REQUEST]
    return total


@compiled
def _splice(address: Number, data: Bytes, rows: Bytes, width: int, more: Int32, sizes: Int32, out: Bytes) -> None:
    ends = np.zeros(_IN_SPAN, np.int64)
    ends[0], level, row, entered = len(data), _IN_REQUEST, 0, 0
    at: Number = 0
    to: Number = 0
    while at < len(data):
        begin = at
        tag, at = varint(address, at, ends[level], LONGEST_TAG)
        number, at, end = content(address, at, ends[level], tag & 7)
        is_span = level == _IN_SCOPE and tag == _OUTER[level]
        if tag == _OUTER[level]:
            begin = at if is_span else end
            to = _put_head(out, to, tag, number + more[row] if is_span else sizes[entered])
        source, target = np.uint64(begin), np.uint64(to)
        for place in range(np.uint64(end - begin)):
            out[target + place] = data[source + place]
        to += end - begin
        if is_span:
            source, target = np.uint64(row * width), np.uint64(to)
            for place in range(np.uint64(more[row])):
                out[target + place] = rows[source + place]
            to += more[row]
            row += 1
        elif tag == _OUTER[level]:
            level, entered = level + 1, entered + 1
            ends[level], end = end, at
        at = end
        while level and at == ends[level]:
            level -= 1


def _bind(sources: str) -> tuple[Callable[..., Any], ...]:
    """Compile the entries over the digest of the sources they are made of."""

    @entry
    def scan(data: Bytes, spans: Int32, resources: Int32) -> tuple[Number, Number, Number]:
        """Fill tables: `spans (n, COLUMNS)`, and `resources (m, 2)`, of zeros, with place and size.

        Counts resources, scopes and spans; the first count is NOT_PLAIN where the request is not plain, or the tables
        are too short for it.
        """
        _ = sources
        return _scan(np.int64(data.ctypes.data), len(data), spans, resources)

    @entry
    def number_names(data: Bytes, spans: Int32, table: Int32, number: Int32, first: Int32) -> int:
        """Number names as they appear, equal ones alike; `first` gets their first rows. Count them.

        `table` holds -1 only, and a power of two. NOT_PLAIN where too many meet in one slot: somebody may want that.
        """
        _ = sources
        return _number_names(np.int64(data.ctypes.data), spans, table, number, first)

    @entry
    def measure(data: Bytes, more: Int32, sizes: Int32) -> Number:
        """Return the size of a request to whose spans so many bytes are appended; NOT_PLAIN as `scan`.

        `sizes` gets those of the messages around the spans, in the order in which these begin.
        """
        _ = sources
        return _measure(np.int64(data.ctypes.data), len(data), more, sizes)

    @entry
    def splice(data: Bytes, rows: Bytes, width: int, more: Int32, sizes: Int32, out: Bytes) -> None:
        """Write a request, behind each span the first `more` bytes of its row; it was measured before."""
        _ = sources
        _splice(np.int64(data.ctypes.data), data, rows, width, more, sizes, out)

    return scan, number_names, measure, splice


scan, number_names, measure, splice = _bind(digest(__file__, wire_kernel.__file__))
