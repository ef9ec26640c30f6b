"""Trace requests read by compiled code, once so much comes in that it pays.

The parser makes an object of every span, which takes a microsecond; `span_kernel` finds its fields in a fifth of that.
But numba takes 110 MiB and a third of a second of CPU to load, so whoever sends few spans never loads it.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from collector_processor.kernels import MUCH_BYTES, LateKernel
from collector_processor.telemetry.points import Int32, Int64

Bytes = npt.NDArray[np.uint8]

LEAST_BYTES = 16 << 10
"""Of a request: below it, setting up costs more than is saved."""

_LEAST_SPAN = 48  # bytes, on average: more than ids and times take
_WORD = 8


@dataclass(frozen=True, slots=True)
class SpanTable:
    """The spans of a request as columns: `place (n, 2)` in it with their sizes, `names[name[i]]`, their ids and so on.

    `resources` are raw, one for each group of spans, in `group`. Ids are little-endian, 0 where there is none.
    """

    body: bytes
    place: Int32
    resources: list[bytes]
    group: Int32
    scopes: int
    names: list[str]
    name: Int32
    kind: Int32
    start: Int64
    end: Int64
    status: Int32
    own_id: Int64
    parent_id: Int64

    def span(self, row: int) -> bytes:
        """Return the bytes of a span."""
        begin, size = self.place[row].tolist()
        return self.body[begin : begin + size]


class SpanScanner:
    """Scans requests once the kernel is loaded, which begins when much came in within a short time; for any thread."""

    def __init__(self) -> None:
        self._kernel = LateKernel("reading spans", _loaded, MUCH_BYTES)

    def scan(self, body: bytes) -> SpanTable | None:
        """Return the spans of a request, None where the parser has to read it."""
        kernel = self._kernel.loaded_for(len(body)) if len(body) >= LEAST_BYTES else None
        return None if kernel is None else scanned(kernel, body)

    def splice(self, body: bytes, rows: Bytes, size: Int32) -> bytes | None:
        """Return a request, behind each span the first `size (n,)` bytes of its row; None where the parser has to."""
        kernel = self._kernel.loaded
        return None if kernel is None or len(body) < LEAST_BYTES else spliced(kernel, body, rows, size)

    def load(self) -> None:
        """Load the kernel now."""
        self._kernel.load()


def scanned(kernel: ModuleType, body: bytes) -> SpanTable | None:
    """Return what the kernel finds, None where the request is not plain."""
    data, most = np.frombuffer(body, np.uint8), len(body) // _LEAST_SPAN + 1
    spans, resources = np.empty((most, kernel.COLUMNS), np.int32), np.zeros((most, 2), np.int32)
    groups, scopes, count = kernel.scan(data, spans, resources)
    if groups == kernel.NOT_PLAIN:
        return None
    spans = spans[:count]
    name, first = np.empty(count, np.int32), np.empty(count, np.int32)
    slots = np.full(1 << (2 * count).bit_length(), -1, np.int32)
    distinct = kernel.number_names(data, spans, slots, name, first)
    if distinct == kernel.NOT_PLAIN:
        return None
    try:
        names = [str(raw, "utf-8") for raw in _pieces(body, spans[first[:distinct], kernel.NAME : kernel.NAME + 2])]
    except UnicodeDecodeError:
        return None
    start, end, own_id, parent_id = (
        _words(body, spans[:, column], spans[:, column + 1])
        for column in (kernel.START, kernel.END, kernel.OWN_ID, kernel.PARENT_ID)
    )
    return SpanTable(
        body,
        place=spans[:, : kernel.SIZE + 1],
        resources=_pieces(body, resources[:groups]),
        group=spans[:, kernel.GROUP],
        scopes=scopes,
        names=names,
        name=name,
        kind=spans[:, kernel.KIND + 1],
        start=start,
        end=end,
        status=spans[:, kernel.STATUS + 1],
        own_id=own_id,
        parent_id=parent_id,
    )


def spliced(kernel: ModuleType, body: bytes, rows: Bytes, size: Int32) -> bytes | None:
    """Return a request with bytes behind its spans, None where it is not plain."""
    data, sizes = np.frombuffer(body, np.uint8), np.empty(len(body) // _LEAST_SPAN + 2, np.int32)
    length = kernel.measure(data, size, sizes)
    if length == kernel.NOT_PLAIN:
        return None
    found = np.empty(length, np.uint8)
    kernel.splice(data, np.ascontiguousarray(rows).ravel(), rows.shape[1], size, sizes, found)
    return found.tobytes()


def _loaded() -> ModuleType:
    from collector_processor.otlp import span_kernel

    scanned(span_kernel, _ONE_SPAN)
    spliced(span_kernel, _ONE_SPAN, np.zeros((1, 1), np.uint8), np.ones(1, np.int32))
    return span_kernel


def _words(body: bytes, place: Int32, size: Int32) -> Int64:
    """Return the eight bytes at each place, 0 where that is not their size."""
    words = np.ndarray(max(len(body) - _WORD + 1, 1), "<i8", body.ljust(_WORD), strides=(1,))  # they overlap
    return np.where(size == _WORD, words[place], 0)


def _pieces(body: bytes, places: Int32) -> list[bytes]:
    """Return the bytes at places `(n, 2)`, each with its size."""
    return [body[begin : begin + size] for begin, size in places.tolist()]


_ONE_SPAN = b"\x0a\x04\x12\x02\x12\x00"
"""A request of one span of which nothing is known."""
