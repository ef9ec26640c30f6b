"""What Foreband adds to telemetry on its way through, added to the bytes and without decoding them.

Spans get attributes appended to their raw bytes. A metrics request gets further metrics appended to its end. Unknown
fields, exemplars, everything this room never looked at, leaves as it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from collector_processor.otlp import schema, wire
from collector_processor.otlp.decode import ParsedTraces
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch

SPAN_KEYS = ("anomaly", "score", "expected.lower", "expected.upper", "model.version")
"""Attributes of a judged span, behind the prefix; two of them in the minimal set."""

BAND_METRICS = ("yhat", "lower", "upper", "score", "anomaly")
"""Gauges that carry what is expected of a point, behind the prefix: three in its unit, score and anomaly dimensionless;
the last two in the minimal set."""

POINT_KEYS = ("metric", "statistic")


class Which(StrEnum):
    """What is enriched of what was judged."""

    ALL = "all"
    ANOMALOUS = "anomalous"
    NONE = "none"


class Detail(StrEnum):
    """How much is said about each."""

    FULL = "full"
    MINIMAL = "minimal"


@dataclass(frozen=True, slots=True)
class Additions:
    """What is added, and under which names.

    Attribute keys are unique in OTLP: where a span carries keys of the prefix already, all of those named in
    SPAN_KEYS give way to what is added, so that no mixture of two verdicts is left. What nothing is added to stays.
    """

    spans: Which = Which.ALL
    metrics: Which = Which.ALL
    detail: Detail = Detail.FULL
    attribute_prefix: str = "foreband"
    metric_prefix: str = "foreband"

    def attribute(self, key: str) -> str:
        """Return the whole key of an attribute."""
        return f"{self.attribute_prefix}.{key}"

    @property
    def gauges(self) -> tuple[bool, ...]:
        """Tell for each of BAND_METRICS whether it is sent."""
        return (self.detail is Detail.FULL,) * 3 + (True,) * 2


STOCK_ADDITIONS = Additions()

_SPAN_ATTRIBUTES, _POINT_ATTRIBUTES = 9, 7  # field numbers of `attributes` in a span and in a data point
_DATA_POINT = b"\x0a"  # tag of `data_points`
_BOOL_VALUE, _DOUBLE_VALUE = b"\x10", b"\x21"  # tags in an AnyValue
_HEAD = np.dtype([("time_tag", "u1"), ("time", "<i8"), ("value_tag", "u1"), ("value", "<f8")])
_FRAME_OVERHEAD = 200  # what a dictionary's entry and its objects cost beside their bytes
_TIME_TAG, _AS_DOUBLE, _AS_INT = 0x19, 0x21, 0x31
_TIME_BYTES, _VALUE_TAG_AT, _VALUE_BYTES = 1 + np.arange(8), 9, 10 + np.arange(8)  # places in a head


@dataclass(frozen=True, slots=True)
class ScoredPoints:
    """Scored points of one source and statistic: `n` rows.

    `unit` is that of the statistic. `attributes` are framed as `parse_attributes` reads them. Rows
    without a forecast (NaN yhat) yield nothing.
    """

    source: Source
    statistic: Statistic
    unit: str
    attributes: Sequence[bytes]
    time_unix_nano: Int64
    verdicts: VerdictBatch


def span_attributes(
    anomaly: Bool,
    score: Float64,
    lower: Float64,
    upper: Float64,
    model_version: Sequence[str],
    additions: Additions = STOCK_ADDITIONS,
) -> list[bytes]:
    """Encode the attributes of `n` spans, edges in seconds; empty where the score is NaN (no forecast)."""
    template, columns = _span_template(additions)
    rows = np.tile(np.frombuffer(template, np.uint8), (score.size, 1))
    rows[:, columns[0]] = anomaly
    for column, values in zip(columns[1:], (score, lower, upper), strict=False):
        rows[:, column : column + 8] = wire.little_endian(values)
    joined, width = rows.tobytes(), len(template)
    version_of = {version: _version_attribute(version, additions) for version in set(model_version)}
    return [
        joined[at : at + width] + version_of[version] if is_scored else b""
        for at, version, is_scored in zip(
            range(0, len(joined), width), model_version, (~np.isnan(score)).tolist(), strict=True
        )
    ]


def append_span_attributes(
    parsed: ParsedTraces, extra: Sequence[bytes], additions: Additions = STOCK_ADDITIONS
) -> bytes:
    """Return the request with `extra[i]` (as `span_attributes` encodes it) appended to span `i`.

    With nothing to add the request's own bytes are returned.
    """
    if len(extra) != parsed.spans:
        raise ValueError(f"{len(extra)} attribute sets for {parsed.spans} spans")
    if not any(extra):
        return parsed.body
    request = schema.SpliceRequest.FromString(parsed.body)
    ours = _Ours(additions, SPAN_KEYS)
    is_ours_possible = ours.prefix in parsed.body
    done = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = list(scope_spans.spans)
            added = extra[done : done + len(spans)]
            done += len(spans)
            if is_ours_possible:
                spans = [
                    ours.taken_off(schema.SpliceSpan, span) if more else span
                    for span, more in zip(spans, added, strict=True)
                ]
            scope_spans.spans[:] = [span + more for span, more in zip(spans, added, strict=True)]
    patched: bytes = request.SerializeToString()
    return patched


def band_metrics(groups: Sequence[ScoredPoints], additions: Additions = STOCK_ADDITIONS) -> bytes:
    """Encode the gauges of all scored points; appended to a metrics request they belong to it.

    The points keep resource, scope and attributes, and get two that name the metric and the statistic.
    """
    names = [f"{additions.metric_prefix}.{name}" for name in BAND_METRICS]
    resources: dict[bytes, dict[bytes, dict[tuple[str, str], list[bytes]]]] = {}
    for group in groups:
        gauges = resources.setdefault(group.source.resource, {}).setdefault(group.source.scope, {})
        units = (group.unit,) * 3 + ("1",) * 2
        for name, unit, points in zip(names, units, _points(group, additions), strict=True):
            if points:
                gauges.setdefault((name, unit), []).append(points)
    return b"".join(_resource_metrics(resource, scopes) for resource, scopes in resources.items())


class _Ours:
    """Takes attributes with our keys off messages that carry them already."""

    def __init__(self, additions: Additions, keys: Sequence[str]) -> None:
        self.prefix = f"{additions.attribute_prefix}.".encode()
        self._keys = {additions.attribute(key) for key in keys}

    def taken_off(self, message_class: Any, raw: bytes) -> bytes:
        """Return a message without those of its attributes."""
        if self.prefix not in raw:
            return raw
        message = message_class.FromString(raw)
        message.attributes[:] = [kv for kv in message.attributes if _key(kv) not in self._keys]
        encoded: bytes = message.SerializeToString()
        return encoded


def _key(key_value: bytes) -> str | None:
    """Return the key of an attribute nobody has looked into yet, None where it is broken (and stays as it is)."""
    try:
        return str(schema.KeyValue.FromString(key_value).key)
    except DecodeError:
        return None


@lru_cache(maxsize=4)
def _span_template(additions: Additions) -> tuple[bytes, list[int]]:
    """Return the attributes of fixed size with zeros for values, and where each value begins."""
    values = (_BOOL_VALUE + b"\0", *[_DOUBLE_VALUE + bytes(8)] * (3 if additions.detail is Detail.FULL else 1))
    template, columns = b"", []
    for key, value in zip(SPAN_KEYS, values, strict=False):
        template += _attribute(_SPAN_ATTRIBUTES, additions.attribute(key), value)
        columns.append(len(template) - len(value) + 1)
    return template, columns


@lru_cache(maxsize=4096)
def _version_attribute(version: str, additions: Additions) -> bytes:
    if additions.detail is Detail.MINIMAL:
        return b""
    return _attribute(_SPAN_ATTRIBUTES, additions.attribute(SPAN_KEYS[-1]), wire.field(1, version.encode()))


def _attribute(number: int, key: str, any_value: bytes) -> bytes:
    return wire.field(number, wire.field(1, key.encode()) + wire.field(2, any_value))


def _points(group: ScoredPoints, additions: Additions) -> list[bytes]:
    """Encode the data points of each of BAND_METRICS; a NaN (no forecast, no such edge) yields no point."""
    v = group.verdicts
    frames = _frames(group, additions)
    values = np.stack([v.yhat, v.lower, v.upper, v.score, np.where(np.isnan(v.yhat), np.nan, v.anomaly)])
    is_given = ~np.isnan(values) & ~np.isnan(v.yhat) & np.array(additions.gauges)[:, np.newaxis]
    whole = _Laid.out(frames, group.time_unix_nano) if is_given.all(axis=1).any() else None
    encoded = []
    for name, value, given in zip(BAND_METRICS, values, is_given, strict=True):
        laid = whole
        if laid is None or not given.all():
            chosen = [frame for frame, shown in zip(frames, given.tolist(), strict=True) if shown]
            laid = _Laid.out(chosen, group.time_unix_nano[given])
        encoded.append(laid.with_values(value[given], is_flag=name == "anomaly"))
    return encoded


_Frame = tuple[int, bytes]
"""A data point without time and value, and where its head begins."""


def _frames(group: ScoredPoints, additions: Additions) -> list[_Frame]:
    """Return the frame of each point; they are made once per set of attributes."""
    table = _FRAMES.table(group.source.metric, group.statistic, additions)
    frames = []
    for raw in group.attributes:
        frame = table.get(raw)
        if frame is None:
            frame = table[raw] = _frame(group, raw, additions)
            _FRAMES.bytes_left -= len(raw) + len(frame[1]) + _FRAME_OVERHEAD
        frames.append(frame)
    return frames


class _FrameTables:
    """Frames by raw attributes, a table per metric and statistic; past a bound in bytes they are made anew."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self.bytes_left = max_bytes
        self._tables: dict[tuple[str, Statistic, Additions], dict[bytes, _Frame]] = {}

    def table(self, metric: str, statistic: Statistic, additions: Additions) -> dict[bytes, _Frame]:
        """Return the frames of one metric's statistic."""
        if self.bytes_left < 0:
            self._tables, self.bytes_left = {}, self._max_bytes
        return self._tables.setdefault((metric, statistic, additions), {})


_FRAMES = _FrameTables(max_bytes=64 << 20)


def _frame(group: ScoredPoints, raw: bytes, additions: Additions) -> _Frame:
    ours = _Ours(additions, POINT_KEYS)
    added = b"".join(
        _attribute(_POINT_ATTRIBUTES, additions.attribute(key), wire.field(1, text.encode()))
        for key, text in zip(POINT_KEYS, (group.source.metric, group.statistic.value), strict=True)
    )
    tail = ours.taken_off(schema.RawPointAttributes, raw) + added
    tag = _DATA_POINT + wire.varint(_HEAD.itemsize + len(tail))
    return len(tag), tag + bytes(_HEAD.itemsize) + tail


@dataclass(frozen=True, slots=True)
class _Laid:
    """Data points one after the other, with times and without values; `values` `(n, 8)` are the places of these."""

    encoded: npt.NDArray[np.uint8]
    tags: Int64
    values: Int64

    @classmethod
    def out(cls, frames: Sequence[tuple[int, bytes]], time: Int64) -> "_Laid":
        """Join the frames and fill in the times."""
        joined = np.frombuffer(b"".join([frame for _, frame in frames]), np.uint8).copy()
        end = np.cumsum([len(frame) for _, frame in frames], dtype=np.int64)
        head = np.concatenate([[0], end[:-1]]) + np.array([at for at, _ in frames], np.int64) if frames else end
        joined[head] = _TIME_TAG
        joined[head[:, np.newaxis] + _TIME_BYTES] = np.ascontiguousarray(time, "<i8").view(np.uint8).reshape(-1, 8)
        return cls(joined, head + _VALUE_TAG_AT, head[:, np.newaxis] + _VALUE_BYTES)

    def with_values(self, value: npt.NDArray[Any], *, is_flag: bool) -> bytes:
        """Return the points with values, doubles or (`is_flag`) integers."""
        self.encoded[self.tags] = _AS_INT if is_flag else _AS_DOUBLE
        self.encoded[self.values] = (
            np.ascontiguousarray(value, "<i8" if is_flag else "<f8").view(np.uint8).reshape(-1, 8)
        )
        return self.encoded.tobytes()


def _resource_metrics(resource: bytes, scopes: dict[bytes, dict[tuple[str, str], list[bytes]]]) -> bytes:
    encoded = b"".join(_scope_metrics(scope, gauges) for scope, gauges in scopes.items() if gauges)
    return wire.field(1, wire.field(1, resource) + encoded) if encoded else b""


def _scope_metrics(scope: bytes, gauges: dict[tuple[str, str], list[bytes]]) -> bytes:
    metrics = b"".join(
        wire.field(2, wire.field(1, name.encode()) + wire.field(3, unit.encode()) + wire.field(5, b"".join(points)))
        for (name, unit), points in gauges.items()
    )
    return wire.field(2, wire.field(1, scope) + metrics)
