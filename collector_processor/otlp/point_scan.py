"""Metric requests read by compiled code, once so much comes in that it pays.

The parser makes an object of every metric and every point, and Python cuts and looks up the attributes of each;
`point_kernel` does both at once. It is loaded as late as the kernel for spans, and for the same reason.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import NamedTuple

import numpy as np

from collector_processor.kernels import MUCH_BYTES, LateKernel
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.raw_points import POINT_ATTRIBUTES
from collector_processor.otlp.set_table import SetTable
from collector_processor.otlp.sources import NumberHeader
from collector_processor.telemetry.points import Bool, Int32, Int64

LEAST_BYTES = 32 << 10
"""Of a request: below it, setting up costs more than is saved."""

_LEAST_POINT, _LEAST_PART = 20, 64  # bytes, on average


class ScannedMetric(NamedTuple):
    """A metric of a request: its place and size, and of a gauge or sum what it says and how many points it has."""

    place: tuple[int, int]
    header: NumberHeader | None
    points: int


class ScannedScope(NamedTuple):
    """A scope, raw, and its metrics."""

    raw: bytes
    metrics: list[ScannedMetric]


class ScannedResource(NamedTuple):
    """A resource, raw, and its scopes."""

    raw: bytes
    scopes: list[ScannedScope]


@dataclass(frozen=True, slots=True)
class PointTable:
    """The metrics of a request, and the points of its gauges and sums as columns, one metric after the other.

    `place (2, n)` says where in the body each point begins and its size, `sets (2, n)` the same of its attributes.
    Where `is_odd`, a point was found, but not read. `bits` are those of its value, which is a double or an int.
    """

    body: bytes
    resources: list[ScannedResource]
    place: Int32
    sets: Int32
    is_odd: Bool
    is_int: Bool
    start: Int64
    time: Int64
    bits: Int64

    def piece(self, begin: int, size: int) -> bytes:
        """Return bytes of the request."""
        return self.body[begin : begin + size]

    def only(self, rows: Bool) -> "PointTable":
        """Return a table of some of its points."""
        return replace(
            self,
            place=self.place[:, rows],
            sets=self.sets[:, rows],
            is_odd=self.is_odd[rows],
            is_int=self.is_int[rows],
            start=self.start[rows],
            time=self.time[rows],
            bits=self.bits[rows],
        )


class PointScanner:
    """Scans requests once the kernel is loaded, which begins when much came in within a short time; for any thread."""

    def __init__(self) -> None:
        self._kernel = LateKernel("reading points", _loaded, MUCH_BYTES)
        self._sets = SetTable(POINT_ATTRIBUTES, max_bytes=64 << 20)

    def scan(self, body: bytes) -> PointTable | None:
        """Return the points of a request, None where the parser has to read it."""
        kernel = self._kernel.loaded_for(len(body)) if len(body) >= LEAST_BYTES else None
        return None if kernel is None else scanned(kernel, body)

    def attributes(self, table: PointTable, budget: Budget) -> tuple[list[bytes], Int64]:
        """Return the attributes of each point of a table, and how many; nothing for points that were not read.

        Raises:
            MalformedRequestError, TooLargeError: if some can't be parsed, or all new ones together cost too much.
        """
        kernel = self._kernel.loaded
        assert kernel is not None
        return self._sets.measured(kernel, table.body, np.where(table.is_odd, 0, table.sets), budget)

    def load(self) -> None:
        """Load the kernel now."""
        self._kernel.load()


def scanned(kernel: ModuleType, body: bytes) -> PointTable | None:
    """Return what the kernel finds, None where the request is not plain."""
    parts = np.zeros((len(body) // _LEAST_PART + 16, kernel.PART_COLUMNS), np.int32)
    most = len(body) // _LEAST_POINT + 16
    points, said = np.empty((kernel.POINT_COLUMNS, most), np.int32), np.empty((kernel.SAID_COLUMNS, most), np.int64)
    count, found = kernel.scan(np.frombuffer(body, np.uint8), parts, points, said)
    if count == kernel.NOT_PLAIN:
        return None
    points, said = points[:, :found].copy(), said[:, :found].copy()
    return PointTable(
        body,
        resources=_resources(kernel, body, parts[:count], found),
        place=points[[kernel.POINT_BEGIN, kernel.POINT_SIZE]],
        sets=points[[kernel.SET_BEGIN, kernel.SET_SIZE]],
        is_odd=points[kernel.VALUE_TAG] == kernel.ODD,
        is_int=points[kernel.VALUE_TAG] == kernel.INT,
        start=said[kernel.START],
        time=said[kernel.TIME],
        bits=said[kernel.VALUE],
    )


def _resources(kernel: ModuleType, body: bytes, parts: Int32, points: int) -> list[ScannedResource]:
    """Return what is in a table of parts, one in the other."""
    found: list[ScannedResource] = []
    metrics: list[ScannedMetric] = []
    counts = np.diff(parts[:, kernel.FIRST], append=points).tolist()
    for row, count in zip(parts.tolist(), counts, strict=True):
        level, _, begin, size, form, _, own, own_size, name, name_size, unit, unit_size, _, temporality, _, is_it = row
        if level == kernel.OF_METRIC:
            header = None
            if form in (kernel.GAUGE, kernel.SUM):
                name, unit = body[name : name + name_size], body[unit : unit + unit_size]
                header = (form == kernel.SUM, name, unit, temporality, is_it != 0)
            metrics.append(ScannedMetric((begin, size), header, count))
        elif level == kernel.OF_SCOPE:
            metrics = []
            found[-1].scopes.append(ScannedScope(body[own : own + own_size], metrics))
        else:
            found.append(ScannedResource(body[own : own + own_size], []))
    return found


def _loaded() -> ModuleType:
    from collector_processor.otlp import point_kernel

    table = scanned(point_kernel, _ONE_POINT)
    assert table is not None
    SetTable(POINT_ATTRIBUTES, max_bytes=1 << 10).measured(point_kernel, _ONE_POINT, table.sets, Budget(1))
    return point_kernel


_ONE_POINT = b"\x0a\x0a\x12\x08\x12\x06\x2a\x04\x0a\x02\x3a\x00"
"""A request of one gauge with a point of which nothing is known."""
