"""`foreband run` as a process of its own, and senders that keep sending until they are told to stop."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from prometheus_client.parser import text_string_to_metric_families

from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from tests.ports import free_port

PATIENCE = 60.0


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    deadline, pause = time.monotonic() + seconds, Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


class Process:
    """One process on fixed ports; `start` may be called again after it ended."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.store = directory / "data"
        self.otlp, self.otlp_http, self.http = (f"127.0.0.1:{free_port()}" for _ in range(3))
        listen = [
            f"receiver.listen={self.otlp}",
            f"receiver.http_listen={self.otlp_http}",
            f"grafana.listen={self.http}",
            f"store.directory={self.store}",
        ]
        self._settings = [text for setting in (*listen, *settings) for text in ("--set", setting)]
        directory.mkdir(exist_ok=True)
        self._log = directory / "log"

    def set(self, *settings: str) -> None:
        """Add settings; they hold from the next start."""
        self._settings += [text for setting in settings for text in ("--set", setting)]

    @property
    def http_address(self) -> tuple[str, int]:
        host, _, port = self.http.rpartition(":")
        return host, int(port)

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.run()
        assert wait_until(lambda: self.code() is not None or self.is_ready())
        assert self.code() is None, self.log()

    def run(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "collector_processor", "run", *self._settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self._process.wait(seconds)

    def code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return self._log.read_text()

    def is_ready(self) -> bool:
        try:
            return bool(self.get("/readyz") == {"status": "ready"})
        except (URLError, OSError):
            return False

    def get(self, path: str) -> Any:
        with urlopen(f"http://{self.http}{path}", timeout=PATIENCE) as response:
            body = response.read().decode()
            return json.loads(body) if "json" in response.headers["Content-Type"] else body

    def metrics(self) -> dict[tuple[str, str], float]:
        """Return what `/metrics` says, by name and signal, summed over other labels."""
        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                key = sample.name, sample.labels.get("signal", "")
                found[key] = found.get(key, 0.0) + sample.value
        return found

    def assert_balanced(self) -> None:
        """Assert that every item received has one outcome, by what `/metrics` says."""
        found = self.metrics()
        for of in Signal:
            received, *outcomes = (
                found.get((f"foreband_{name}_total", of.value), 0.0)
                for name in ("received", "stored", "rejected", "refused")
            )
            assert received == sum(outcomes), found

    def assert_log_is_calm(self, *expected: str) -> None:
        """Assert that nothing was logged but what it did, and what is `expected` of what a test did."""
        lines = [json.loads(line) for line in self.log().splitlines()]
        odd = [line for line in lines if line["severity"] != "info" and not line["message"].endswith(expected)]
        assert not odd, odd


class Sender:
    """A thread that sends numbered requests one after the other, each until it is acknowledged.

    `acknowledged` are their numbers; `rejected` counts items not taken; `codes` what every call ended with.
    """

    def __init__(self, address: str, of: Signal, build: Callable[[int], bytes]) -> None:
        reconnect = {
            "initial_reconnect_backoff_ms": 50,
            "min_reconnect_backoff_ms": 50,
            "max_reconnect_backoff_ms": 200,
        }
        self._channel = grpc.insecure_channel(address, [(f"grpc.{k}", v) for k, v in reconnect.items()])
        self._call = self._channel.unary_unary(EXPORT_METHODS[of], None, None)
        self._build = build
        self._changed = Condition()
        self._stopping, self._giving_up = Event(), Event()
        self.acknowledged: list[int] = []
        self.codes: set[tuple[grpc.StatusCode, str]] = set()
        self.rejected = 0
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, more: int) -> bool:
        """Wait until so many more requests were acknowledged."""
        with self._changed:
            wanted = len(self.acknowledged) + more
            return self._changed.wait_for(lambda: len(self.acknowledged) >= wanted, PATIENCE)

    def finish(self) -> None:
        """Let the request under way be acknowledged, then end."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._channel.close()

    def give_up(self) -> None:
        """End, whether or not the request under way was acknowledged."""
        self._giving_up.set()
        self.finish()

    def _run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            body = self._build(number)
            while not self._is_taken(number, body):
                if self._giving_up.wait(0.02):
                    return
            number += 1

    def _is_taken(self, number: int, body: bytes) -> bool:
        try:
            answer = self._call(body, timeout=PATIENCE)
        except grpc.RpcError as error:
            refused: Any = error
            self.codes.add((refused.code(), refused.details()))
            return False
        partial = ExportMetricsServiceResponse.FromString(answer).partial_success
        with self._changed:
            self.acknowledged.append(number)
            self.rejected += partial.rejected_data_points
            self._changed.notify_all()
        return True


def end(process: Process) -> None:
    """Kill what a failed test left running."""
    if process.code() is None:
        process.kill()
