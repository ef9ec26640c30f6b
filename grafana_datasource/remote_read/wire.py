"""Remote read's messages: which samples are asked for, and the samples, as protobuf.

https://github.com/prometheus/prometheus/blob/main/prompb/remote.proto
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from collector_processor.errors import InvalidQueryError
from collector_processor.telemetry.points import Float64, Int64
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.promql.samples import Samples
from grafana_datasource.query import MILLISECOND

_OPERATORS: Final[tuple[MatchOperator, ...]] = ("=", "!=", "=~", "!~")
_SAMPLE = 19  # bytes, its tag and length included
_TIME_BYTES = 7  # of a varint, always all of them: enough for the year 19,000


@dataclass(frozen=True, slots=True)
class Question:
    """Samples in `[start, end]`, in nanoseconds, of the series that meet every matcher."""

    start: int
    end: int
    matchers: tuple[Matcher, ...]


def questions(message: bytes) -> list[Question]:
    """Read a request.

    Raises:
        InvalidQueryError: if it is malformed.
    """
    try:
        return [_question(body) for number, body in _fields(message) if number == 1 and isinstance(body, bytes)]
    except (IndexError, struct.error, UnicodeDecodeError):
        raise InvalidQueryError("remote read: the request is no protobuf message of that kind") from None


def response(answers: Sequence[Samples]) -> bytes:
    """Write the samples of each question; marks of ends are left in."""
    return b"".join(_field(1, _result(samples)) for samples in answers)


def _question(message: bytes) -> Question:
    start = end = 0
    matchers = []
    for number, value in _fields(message):
        match number, value:
            case 1, int(start):
                pass
            case 2, int(end):
                pass
            case 3, bytes(body):
                matchers.append(_matcher(body))
    return Question(_signed(start) * MILLISECOND, _signed(end) * MILLISECOND + MILLISECOND - 1, tuple(matchers))


def _matcher(message: bytes) -> Matcher:
    fields = dict(_fields(message))
    kind, name, text = fields.get(1, 0), fields.get(2, b""), fields.get(3, b"")
    if (
        not isinstance(kind, int)
        or kind >= len(_OPERATORS)
        or not isinstance(name, bytes)
        or not isinstance(text, bytes)
    ):
        raise InvalidQueryError("remote read: a matcher is malformed")
    return Matcher(name.decode(), _OPERATORS[kind], text.decode())


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of every field: a number, or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
            case 2:
                size, at = _varint(message, at)
                if at + size > len(message):
                    raise IndexError
                yield key >> 3, message[at : at + size]
                at += size
            case 1 | 5 as kind:
                at += 8 if kind == 1 else 4
            case kind:
                raise InvalidQueryError(f"remote read: a field of the unknown wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = message[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise IndexError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _result(samples: Samples) -> bytes:
    rows = pairwise(samples.bounds.tolist())
    return b"".join(
        _field(1, _labels(labels) + _encoded(samples.time[first:stop] // MILLISECOND, samples.value[first:stop]))
        for labels, (first, stop) in zip(samples.labels, rows, strict=True)
        if first < stop
    )


def _labels(labels: dict[str, str]) -> bytes:
    pairs = sorted(labels.items())
    return b"".join(_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in pairs)


def _encoded(milliseconds: Int64, value: Float64) -> bytes:
    """Write samples, each as many bytes long as every other."""
    rows = np.empty((value.size, _SAMPLE), np.uint8)
    rows[:, :3] = (0x12, _SAMPLE - 2, 0x09)
    rows[:, 3:11] = np.ascontiguousarray(value, "<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 0x10
    for place in range(_TIME_BYTES):
        rows[:, 12 + place] = milliseconds >> 7 * place & 0x7F | (0x80 if place < _TIME_BYTES - 1 else 0)
    return rows.tobytes()


def _field(number: int, body: bytes) -> bytes:
    size, head = len(body), bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + body
