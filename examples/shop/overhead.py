"""Measure what HTTP and the SDK add on this machine to the work the model prescribes.

The back-fill adds the same to its simulated spans, so that live traffic continues the simulated history without a step.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from examples.shop.books import Books
from examples.shop.http import call
from examples.shop.model import ENTRIES, NO_BASKET, OPERATIONS, Basket, Faults, Operation
from examples.shop.service import Providers, Shop

_ROUNDS = 12
_PARALLEL = 2
_BASKET = Basket("card", "books", value=42.0, items=1)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Samples of time that is not work, in nanoseconds."""

    server: tuple[int, ...]
    """Inside server spans."""
    client: tuple[tuple[int, int], ...]
    """Inside client spans: before the server span starts, after it has ended."""

    def draw_server(self, rng: Random) -> int:
        """Draw one of the server's samples."""
        return self.server[int(rng.random() * len(self.server))]

    def draw_client(self, rng: Random) -> tuple[int, int]:
        """Draw one of the client's samples."""
        return self.client[int(rng.random() * len(self.client))]


NO_OVERHEAD = Overhead(server=(0,), client=((0, 0),))


def measure_overhead(rounds: int = _ROUNDS) -> Overhead:
    """Serve a few requests with known work times and return what their spans lasted beyond that (about 3 s)."""
    exporter = InMemorySpanExporter()
    shop = Shop(lambda _: _recording_providers(exporter), Books(), work=_median_work)
    try:
        with ThreadPoolExecutor(_PARALLEL) as customers:
            entries = [OPERATIONS[name] for name in ENTRIES] * rounds
            list(customers.map(lambda entry: _visit(shop, entry), entries))
    finally:
        shop.close()
    return overhead_of(exporter.get_finished_spans())


def overhead_of(spans: Sequence[ReadableSpan]) -> Overhead:
    """Return what complete traces of median work times lasted beyond their work."""
    children: dict[int, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        if span.parent:
            children[span.parent.span_id].append(span)
    server, client = [], []
    for span in spans:
        inner = children[_span_id(span)]
        if span.kind is SpanKind.SERVER:
            work = int(_operation_of(span).work_median_seconds * 1e9)
            server.append(max(0, _duration(span) - work - sum(map(_duration, inner))))
        elif inner:
            client.append((max(0, _start(inner[0]) - _start(span)), max(0, _end(span) - _end(inner[0]))))
    return Overhead(tuple(server), tuple(client))


def _recording_providers(exporter: InMemorySpanExporter) -> Providers:
    tracer = TracerProvider(shutdown_on_exit=False)
    tracer.add_span_processor(SimpleSpanProcessor(exporter))
    return Providers(tracer, MeterProvider(shutdown_on_exit=False))


def _median_work(operation: Operation, _rng: Random, _faults: Faults) -> float:
    return operation.work_median_seconds


def _visit(shop: Shop, entry: Operation) -> int:
    return call(entry, shop.ports[entry.service], _BASKET if entry.method == "POST" else NO_BASKET, {})


def _operation_of(span: ReadableSpan) -> Operation:
    service = (span.attributes or {})["server.address"]
    return next(op for op in OPERATIONS.values() if (op.service, op.span_name) == (service, span.name))


def _span_id(span: ReadableSpan) -> int:
    return span.context.span_id if span.context else 0


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def _end(span: ReadableSpan) -> int:
    return span.end_time or 0


def _duration(span: ReadableSpan) -> int:
    return _end(span) - _start(span)
