"""OTLP in, OTLP out, beside a real Collector and Rotel: CPU seconds of the server for each item that came out.

The same client sends the same bytes to each, and the same sink takes what comes out; the server has a core of its own.
What each does is not the same. The Collector (receiver, sending queue, exporter) and Rotel (receiver, batches, and
exporter) pass items on and hold them in memory. Foreband writes every point to its store, counts spans by operation,
puts every request into a durable outbox, and acknowledges after that; there are no models yet, so it adds nothing. It
does not take attributes apart that it has seen before, and passes requests on as the bytes that came.

The Collector is the one of `make collector`; Rotel is the program that ROTEL names (from the wheel `rotel`), left out
where it names none.
"""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.decode import trace_body
from benchmarks.figures import Figure
from benchmarks.requests import POINTS, Fleet
from collector_processor.ledger import Signal
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.receiver import EXPORT_METHODS
from tests.process import Process, free_port, is_listening, wait_until

SERIES, ROUNDS, REQUESTS = 10_000, 5, 100
MUST = {Signal.METRICS: 1.3, Signal.TRACES: 2.0}
_PATIENCE = 120.0
_IN_FLIGHT = 6


@dataclass(frozen=True, slots=True)
class Server:
    """A started server: where it listens, and the process whose CPU counts."""

    address: str
    pid: int


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


def measure() -> list[Figure]:
    """Return items per CPU second of each server, Foreband's beside the others'."""
    found = {name: _measure_server(start) for name, start in _servers().items()}
    figures = []
    for signal, unit in ((Signal.METRICS, "points/s"), (Signal.TRACES, "spans/s")):
        own = found["foreband"][signal]
        figures.append(Figure(f"{signal} taken, durable and forwarded", own, unit))
        for name in found.keys() - {"foreband"}:
            peer = found[name][signal]
            figures.append(Figure(f"the same beside {name}", own, unit, MUST[signal], peer, own / peer))
    return figures


def _servers() -> dict[str, Callable[[Path, str], Any]]:
    built = Path(__file__).parent.parent / "tests" / "servers" / "build_collector.sh"
    collector = subprocess.run(["sh", built], capture_output=True, text=True, check=True).stdout.strip()
    servers: dict[str, Callable[[Path, str], Any]] = {
        "foreband": _foreband,
        "the Collector": lambda directory, sink: _collector(collector, directory, sink),
    }
    if rotel := os.environ.get("ROTEL"):
        servers["Rotel"] = lambda directory, sink: _rotel(rotel, directory, sink)
    return servers


def _measure_server(start: Callable[[Path, str], Any]) -> dict[Signal, float]:
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="foreband-forwarding-") as name, start(Path(name), sink.address) as server:
        return {signal: _measure_signal(server, sink, signal) for signal in MUST}


def _measure_signal(server: Server, sink: Sink, signal: Signal) -> float:
    """Return items per CPU second, the median of some rounds after one that is not counted."""
    fleet, spent = Fleet(SERIES), []
    for _ in range(ROUNDS + 1):
        bodies = _points(fleet) if signal is Signal.METRICS else _spans()
        wanted = sink.items[signal] + REQUESTS * POINTS
        before = _own_cpu(server)
        _send(server.address, signal, bodies)
        sink.wait_for(signal, wanted)
        spent.append(_own_cpu(server) - before)
    return REQUESTS * POINTS / statistics.median(spent[1:])


def _own_cpu(server: Server) -> float:
    """Return the CPU seconds of the process itself: Foreband's forecasts are fitted in others."""
    user, system = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _points(fleet: Fleet) -> list[bytes]:
    """Return requests that hold one point each of the series, a second apart."""
    now = time.time_ns()
    return [
        fleet.body(n % fleet.requests, now - (REQUESTS - n) // fleet.requests * 1_000_000_000) for n in range(REQUESTS)
    ]


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


@contextmanager
def _foreband(directory: Path, sink: str) -> Iterator[Server]:
    settings = (f"forward.endpoint=http://{sink}", "forward.compression=none", "forward.loop_check=0s")
    process = Process(directory, *settings, "forecast.refit_interval=7d")
    process.start()
    _pin(process.pid)
    try:
        yield Server(process.otlp, process.pid)
    finally:
        process.kill()


def _collector(binary: str, directory: Path, sink: str) -> Any:
    port = free_port()
    config = directory / "collector.yaml"
    exporter = f"{{endpoint: '{sink}', tls: {{insecure: true}}, compression: none}}"
    pipelines = ", ".join(f"{signal}: {{receivers: [otlp], exporters: [otlp_grpc]}}" for signal in MUST)
    config.write_text(
        f"receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 16}}}}}}}}\n"
        f"exporters: {{otlp_grpc: {exporter}}}\n"
        f"service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{{pipelines}}}}}\n"
    )
    return _program([binary, "--config", str(config)], directory, port)


def _rotel(binary: str, directory: Path, sink: str) -> Any:
    port = free_port()
    options = {
        "otlp-grpc-endpoint": f"127.0.0.1:{port}",
        "otlp-http-endpoint": f"127.0.0.1:{free_port()}",
        "otlp-grpc-max-recv-msg-size-mib": "16",
        "exporter": "otlp",
        "otlp-exporter-endpoint": f"http://{sink}",
        "otlp-exporter-protocol": "grpc",
        "otlp-exporter-compression": "none",
    }
    command = [binary, "start", *(text for name, value in options.items() for text in (f"--{name}", value))]
    return _program(command, directory, port)


@contextmanager
def _program(command: list[str], directory: Path, port: int) -> Iterator[Server]:
    pinned = ["taskset", "-c", str(_core()), *command]
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(pinned, stdout=log, stderr=log) as process,
    ):
        try:
            if not wait_until(lambda: process.poll() is not None or is_listening(f"127.0.0.1:{port}")):
                raise TimeoutError((directory / "log").read_text())
            yield Server(f"127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()


def _pin(pid: int) -> None:
    """Give a running server, all its threads, its core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {_core()})


def _core() -> int:
    """Return the server's core, the last; the client and the sink have the first."""
    return (os.cpu_count() or 1) - 1
