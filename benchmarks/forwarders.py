"""Programs that take OTLP and pass it on, started on a core of their own, without compression.

What each does is not the same:

    foreband                           every point into its store, spans counted by operation, every request into a
                                       durable outbox, acknowledged after that; bytes leave as they came
    the Collector                      receiver, sending queue in memory, exporter; acknowledged before anything is sent
    the Collector, queue on the disk   the same, its queue in a file that is not synced
    the Collector, queue synced        the same, synced before it acknowledges
    the Collector, span metrics        in memory; limiter, batches, and spans counted by operation, as Foreband does
    Rotel                              receiver, batches in memory, exporter

The Collector is the one of `make collector`; Rotel is the program that ROTEL names (from the wheel `rotel`), left out
where it names none.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.ports import free_port, is_listening
from tests.process import Process, wait_until

_SCHEDULED = 2
"""Of the clock of a process, as `clock_getcpuclockid` names it: to the nanosecond, where /proc counts by hundredths."""


@dataclass(frozen=True, slots=True)
class Server:
    """A started server: where it listens, and the process whose CPU counts."""

    address: str
    pid: int

    def cpu(self) -> float:
        """Return the CPU seconds of the process itself: Foreband's forecasts are fitted in others."""
        return time.clock_gettime(~self.pid << 3 | _SCHEDULED)


Start = Callable[[Path, str], AbstractContextManager[Server]]
"""Start a server in a directory; what it takes it passes on to an address."""


def forwarders() -> dict[str, Start]:
    """Return how each of them is started; Foreband is the first."""
    built = Path(__file__).parent.parent / "tests" / "servers" / "build_collector.sh"
    collector = subprocess.run(["sh", built], capture_output=True, text=True, check=True).stdout.strip()
    found: dict[str, Start] = {
        "foreband": _foreband,
        "the Collector": partial(_collector, collector, ""),
        "the Collector, queue on the disk": partial(_collector, collector, "fsync: false"),
        "the Collector, queue synced": partial(_collector, collector, "fsync: true"),
        "the Collector, span metrics": partial(_counting_collector, collector),
    }
    if rotel := os.environ.get("ROTEL"):
        found["Rotel"] = partial(_rotel, rotel)
    return found


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


def _collector(binary: str, storage: str, directory: Path, sink: str) -> AbstractContextManager[Server]:
    """Start a Collector; `storage` says how the file of its queue is kept, empty: its queue is in memory."""
    queue = directory / "queue"
    queue.mkdir()
    extensions = f"extensions: {{file_storage: {{directory: '{queue}', {storage}}}}}\n" if storage else ""
    used = "extensions: [file_storage], " if storage else ""
    kept = ", sending_queue: {storage: file_storage}" if storage else ""
    both = ", ".join(f"{signal}: {{receivers: [otlp], exporters: [otlp_grpc]}}" for signal in ("metrics", "traces"))
    service = f"service: {{{used}{_QUIET}, pipelines: {{{both}}}}}\n"
    return _configured(binary, directory, f"{_exporter(sink, kept)}{extensions}{service}")


def _counting_collector(binary: str, directory: Path, sink: str) -> AbstractContextManager[Server]:
    """Start a Collector as its documentation wants it, that counts spans."""
    steps = "receivers: [otlp], processors: [memory_limiter, batch]"
    return _configured(
        binary,
        directory,
        f"{_exporter(sink)}"
        "processors: {memory_limiter: {check_interval: 1s, limit_mib: 2000}, batch: {}}\n"
        "connectors: {span_metrics: {}}\n"
        f"service: {{{_QUIET}, pipelines: {{metrics: {{{steps}, exporters: [otlp_grpc]}}, "
        f"traces: {{{steps}, exporters: [otlp_grpc, span_metrics]}}, "
        "metrics/red: {receivers: [span_metrics], exporters: [otlp_grpc]}}}\n",
    )


_QUIET = "telemetry: {metrics: {level: none}}"


def _exporter(sink: str, kept: str = "") -> str:
    return f"exporters: {{otlp_grpc: {{endpoint: '{sink}', tls: {{insecure: true}}, compression: none{kept}}}}}\n"


def _configured(binary: str, directory: Path, settings: str) -> AbstractContextManager[Server]:
    """Start a Collector with an OTLP receiver and these settings."""
    port, config = free_port(), directory / "collector.yaml"
    config.write_text(
        f"receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 16}}}}}}}}\n"
        f"{settings}"
    )
    return _program([binary, "--config", str(config)], directory, port)


def _rotel(binary: str, directory: Path, sink: str) -> AbstractContextManager[Server]:
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
