"""The bands of scored points as gauges, encoded to be appended to a metrics request.

All points of a micro-batch are laid out at once, whatever they are of: what a series' points share is encoded when it
is first seen, times are written once a point, values five times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector_processor.otlp import schema, wire
from collector_processor.otlp.additions import (
    BAND_METRICS,
    POINT_KEYS,
    STOCK_ADDITIONS,
    Additions,
    Ours,
    attribute,
)
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch

Piece = bytes | memoryview

_ATTRIBUTES = 7  # their field number in a data point
_DATA_POINT = b"\x0a"  # tag of `data_points`
_TIME_TAG, _AS_DOUBLE, _AS_INT = 0x19, 0x21, 0x31
_HEAD = bytes([_TIME_TAG]) + bytes(8) + bytes([_AS_DOUBLE]) + bytes(8)
_TIME_AT, _TAG_AT, _VALUE_AT = 1, 9, 10  # places in a head
_WORD = 8


class BandGroup(NamedTuple):
    """What scored points of one source and statistic share; `unit` is that of the statistic."""

    source: Source
    statistic: Statistic
    unit: str


class Frame(NamedTuple):
    """A data point of a band without time and value, and where its head begins."""

    raw: bytes
    head: int


@dataclass(frozen=True, slots=True)
class ScoredPoints:
    """Scored points `(n,)`, those of a group one after the other: `groups[i]` begins with row `begin[i]`.

    Each comes with its frame, raw, and where the head of that begins. Rows without a forecast (NaN yhat) yield nothing.
    """

    groups: Sequence[BandGroup]
    begin: Int64
    frames: Sequence[bytes]
    head: Int64
    time_unix_nano: Int64
    verdicts: VerdictBatch


def frame_of(group: BandGroup, attributes: bytes, additions: Additions = STOCK_ADDITIONS) -> Frame:
    """Return the frame of points with these attributes, which are framed as `parse_attributes` reads them.

    They get two more, that name the metric and the statistic.
    """
    ours = Ours(additions, POINT_KEYS)
    added = b"".join(
        attribute(_ATTRIBUTES, additions.attribute(key), wire.field(1, text.encode()))
        for key, text in zip(POINT_KEYS, (group.source.metric, group.statistic.value), strict=True)
    )
    tail = ours.taken_off(schema.RawPointAttributes, attributes) + added
    tag = _DATA_POINT + wire.varint(len(_HEAD) + len(tail))
    return Frame(tag + _HEAD + tail, len(tag))


def band_metrics(
    points: ScoredPoints, envelopes: Sequence[range], additions: Additions = STOCK_ADDITIONS
) -> list[list[Piece]]:
    """Encode the gauges of some groups for each envelope, in pieces; behind a metrics request they belong to it."""
    laid = _laid(points, additions)
    return [_envelope(points.groups, laid, numbers, additions) for numbers in envelopes]


def _laid(points: ScoredPoints, additions: Additions) -> list[list[Piece]]:
    """Encode the data points of each of BAND_METRICS, by group; a NaN (no forecast, no such edge) yields none."""
    v, is_scored = points.verdicts, ~np.isnan(points.verdicts.yhat)
    whole = _Layout.of(points, is_scored)
    found: list[list[Piece]] = []
    for value, is_sent in zip((v.yhat, v.lower, v.upper, v.score), additions.gauges, strict=False):
        is_given = is_scored & ~np.isnan(value)
        layout = whole if is_given.sum() == whole.head.size else _Layout.of(points, is_given)
        found.append(layout.with_doubles(value[is_given]) if is_sent else [b""] * len(points.groups))
    return [*found, whole.with_flags(v.anomaly[is_scored].astype(np.int64))]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Data points one after the other, with times; where their heads are, and where groups begin and the last ends."""

    encoded: npt.NDArray[np.uint8]
    words: Int64
    head: Int64
    edges: list[int]

    @classmethod
    def of(cls, points: ScoredPoints, chosen: Bool) -> "_Layout":
        """Join the frames of chosen points and fill in the times."""
        frames, head, time = points.frames, points.head, points.time_unix_nano
        held = np.append(points.begin, len(frames))
        if not chosen.all():
            rows = np.flatnonzero(chosen)
            frames, head, time = [frames[row] for row in rows.tolist()], head[rows], time[rows]
            held = np.searchsorted(rows, held)
        end = np.cumsum(np.fromiter(map(len, frames), np.int64, len(frames)))
        begin = np.concatenate([[0], end])
        encoded = np.frombuffer(bytearray().join([*frames, bytes(_WORD)]), np.uint8)
        words = np.ndarray(encoded.size - _WORD + 1, "<i8", encoded, strides=(1,))  # they overlap
        head = begin[:-1] + head
        words[head + _TIME_AT] = time
        return cls(encoded, words, head, begin[held].tolist())

    def with_doubles(self, value: Float64) -> list[Piece]:
        """Return the points of each group with values."""
        return self._with(_AS_DOUBLE, value.view(np.int64))

    def with_flags(self, value: Int64) -> list[Piece]:
        """Return them with integers."""
        return self._with(_AS_INT, value)

    def _with(self, tag: int, bits: Int64) -> list[Piece]:
        self.encoded[self.head + _TAG_AT] = tag
        self.words[self.head + _VALUE_AT] = bits
        whole = memoryview(self.encoded.tobytes())
        return [whole[begin:end] for begin, end in zip(self.edges, self.edges[1:], strict=False)]


def _envelope(
    groups: Sequence[BandGroup], laid: Sequence[Sequence[Piece]], numbers: range, additions: Additions
) -> list[Piece]:
    """Encode some groups; points keep resource and scope, and one metric holds all of its name and unit."""
    names = [f"{additions.metric_prefix}.{name}" for name in BAND_METRICS]
    resources: dict[bytes, dict[bytes, dict[tuple[str, str], list[Piece]]]] = {}
    for number in numbers:
        source, _, unit = groups[number]
        gauges = resources.setdefault(source.resource, {}).setdefault(source.scope, {})
        units = (unit,) * 3 + ("1",) * 2
        for name, unit_of_gauge, points in zip(names, units, laid, strict=True):
            if points[number]:
                gauges.setdefault((name, unit_of_gauge), []).append(points[number])
    pieces: list[Piece] = []
    for resource, scopes in resources.items():
        encoded = [piece for scope, gauges in scopes.items() if gauges for piece in _scope_metrics(scope, gauges)]
        pieces += _message(1, [wire.field(1, resource), *encoded]) if encoded else []
    return pieces


def _scope_metrics(scope: bytes, gauges: dict[tuple[str, str], list[Piece]]) -> list[Piece]:
    pieces: list[Piece] = [wire.field(1, scope)]
    for (name, unit), points in gauges.items():
        texts = wire.field(1, name.encode()) + wire.field(3, unit.encode())
        pieces += _message(2, [texts, *_message(5, points)])
    return _message(2, pieces)


def _message(number: int, pieces: Sequence[Piece]) -> list[Piece]:
    """Return a length-delimited field whose content is in pieces."""
    return [wire.varint(number << 3 | wire.LENGTH) + wire.varint(sum(map(len, pieces))), *pieces]
