"""The bands of scored points as gauges, encoded to be appended to a metrics request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from collector_processor.telemetry.points import Int64
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch

_ATTRIBUTES = 7  # their field number in a data point
_DATA_POINT = b"\x0a"  # tag of `data_points`
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
    ours = Ours(additions, POINT_KEYS)
    added = b"".join(
        attribute(_ATTRIBUTES, additions.attribute(key), wire.field(1, text.encode()))
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
