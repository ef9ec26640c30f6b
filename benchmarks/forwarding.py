"""OTLP in, OTLP out, beside a real Collector and Rotel: CPU seconds of the server for each item that came out.

The same client sends the same bytes to each, in turn, and the same kind of sink takes what comes out; the server has a
core of its own. `benchmarks.forwarders` says what each of them does with an item, which is not the same. Foreband has
no models yet here, so it adds nothing; it does not take attributes apart that it has seen before.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.decode import trace_body
from benchmarks.figures import Figure
from benchmarks.forwarders import Server, Start, forwarders
from benchmarks.requests import POINTS, Fleet
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.ledger import Signal
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.receiver import EXPORT_METHODS

SERIES, WARM, ROUNDS, REQUESTS = 10_000, 4, 7, 150
SECONDS = REQUESTS * POINTS // SERIES
"""That the points of a round cover; a round follows the one before, so that no point is late."""
MUST = {Signal.METRICS: 1.3, Signal.TRACES: 2.0}
_PATIENCE = 120.0
_IN_FLIGHT = 6


class Sink(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Takes everything and counts items."""

    def __init__(self) -> None:
        self.items = dict.fromkeys(Signal, 0)
        self._changed = Condition()
        options = [("grpc.max_receive_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self], options=options)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        """See `grpc.GenericRpcHandler`."""
        signal = {method: signal for signal, method in EXPORT_METHODS.items()}[handler_call_details.method]
        return grpc.unary_unary_rpc_method_handler(lambda body, _context: self._take(signal, body))

    def wait_for(self, signal: Signal, items: int) -> None:
        """Wait until so many items came.

        Raises:
            TimeoutError: if they do not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.items[signal] >= items, _PATIENCE):
                raise TimeoutError(f"{self.items[signal]} of {items} {signal} came out")

    def _take(self, signal: Signal, body: bytes) -> bytes:
        count = decode_metrics(body).received if signal is Signal.METRICS else decode_traces(body)[1].spans
        with self._changed:
            self.items[signal] += count
            self._changed.notify_all()
        return b""


@dataclass(frozen=True, slots=True)
class Passage:
    """A server and the sink behind it."""

    server: Server
    sink: Sink

    def send(self, signal: Signal, bodies: list[bytes]) -> float:
        """Send requests and wait until all came out; return the items per CPU second of the server."""
        items = len(bodies) * POINTS
        wanted, before = self.sink.items[signal] + items, self.server.cpu()
        _send(self.server.address, signal, bodies)
        self.sink.wait_for(signal, wanted)
        return items / (self.server.cpu() - before)


def measure() -> list[Figure]:
    """Return items per CPU second of Foreband, beside each of the others'."""
    figures = []
    with ExitStack() as started:
        passages = {name: started.enter_context(_passage(start)) for name, start in forwarders().items()}
        for signal, unit in ((Signal.METRICS, "points/s"), (Signal.TRACES, "spans/s")):
            found = _rates(list(passages.values()), signal)
            own, *others = found
            figures.append(Figure(f"{signal} taken, durable and forwarded", own, unit))
            figures += [
                Figure(f"{signal} beside {name}", own, unit, MUST[signal], peer, own / peer)
                for name, peer in zip(list(passages)[1:], others, strict=True)
            ]
    return figures


@contextmanager
def _passage(start: Start) -> Iterator[Passage]:
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="foreband-forwarding-") as name, start(Path(name), sink.address) as server:
        yield Passage(server, sink)


def _rates(passages: list[Passage], signal: Signal) -> list[float]:
    """Return items per CPU second of each, the median of some rounds in turn.

    The first are not counted: code is loaded once much comes in, which takes some seconds.
    """
    fleet, rounds = Fleet(SERIES), []
    first = time.time_ns() - (WARM + ROUNDS) * SECONDS * NANOS_PER_SECOND
    for number in range(WARM + ROUNDS):
        bodies = _points(fleet, first + number * SECONDS * NANOS_PER_SECOND) if signal is Signal.METRICS else _spans()
        rounds.append([passage.send(signal, bodies) for passage in passages])
    return [statistics.median(rates) for rates in zip(*rounds[WARM:], strict=True)]


def _points(fleet: Fleet, first: int) -> list[bytes]:
    """Return requests that hold one point each of the series, a second apart: in order, as senders send them."""
    return [fleet.body(n % fleet.requests, first + n // fleet.requests * NANOS_PER_SECOND) for n in range(REQUESTS)]


def _spans() -> list[bytes]:
    """Return requests of a thousand spans that ended just now."""
    request = ExportTraceServiceRequest.FromString(trace_body(POINTS))
    now, found = time.time_ns(), []
    for number in range(REQUESTS):
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.start_time_unix_nano, span.end_time_unix_nano = now - 50_000_000 - number, now - number
        found.append(request.SerializeToString())
    return found


def _send(address: str, signal: Signal, bodies: list[bytes]) -> None:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(EXPORT_METHODS[signal], None, None)
        under_way: list[Any] = []
        for body in bodies:
            under_way.append(call.future(body, timeout=_PATIENCE, wait_for_ready=True))
            if len(under_way) >= _IN_FLIGHT:
                under_way.pop(0).result()
        for last in under_way:
            last.result()
