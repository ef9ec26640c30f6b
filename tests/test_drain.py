"""Stopping, and not starting: what a sender, an operator and the next start see."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import grpc
import pytest

from collector_processor.ledger import Signal
from collector_processor.store.sqlite import open_reader
from collector_processor.system_limits import require_address_space
from tests.house import Moment
from tests.process import Process, Sender, end, wait_until

SECOND = 1_000_000_000
_COLUMNS = " or ".join(f'label_replace(vector(time() / 7), "n", "{n}", "", "")' for n in range(10))
MEGABYTES = "/prom/api/v1/query_range?" + urlencode({"query": _COLUMNS, "start": 1, "end": 10_000, "step": 1})
"""The address of an answer that no socket buffers whole."""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    process.start()
    yield process
    process.kill()


def gauge_sender(process: Process, name: str) -> Sender:
    """Send a series of its own, its values are the numbers of the requests."""

    def build(number: int) -> bytes:
        body: bytes = Moment(time.time_ns(), "shop").gauge(name, (0, number)).SerializeToString()
        return body

    return Sender(process.otlp, Signal.METRICS, build)


class Readiness(Thread):
    """Asks again and again whether the process is ready; `answers` are the status codes, 0 = nobody listens."""

    def __init__(self, process: Process) -> None:
        super().__init__(daemon=True)
        self.answers: set[int] = set()
        self._url = f"http://{process.http}/readyz"
        self._done = Event()
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.002):
            self.answers.add(self._ask())

    def stop(self) -> None:
        self._done.set()
        self.join(5)

    def _ask(self) -> int:
        try:
            with urlopen(self._url, timeout=5) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0


def stored(process: Process) -> dict[str, list[float]]:
    reader = open_reader(process.store)
    try:
        names = {series: key.metric for series, key in reader.catalog()}
        points = reader.read_points(reader.last_points().series, 0, 2**62)
    finally:
        reader.close()
    found: dict[str, list[float]] = {}
    for series, value in zip(points.series.tolist(), points.value.tolist(), strict=True):
        found.setdefault(names[series], []).append(value)
    return found


def test_sigterm_under_load_finishes_what_was_taken_and_sends_the_rest_away(process: Process) -> None:
    readiness = Readiness(process)
    senders = {f"g{i}": gauge_sender(process, f"g{i}") for i in range(12)}
    assert all(sender.wait_for(10) for sender in senders.values())
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    readiness.stop()
    for sender in senders.values():
        sender.give_up()
    assert readiness.answers <= {200, 503, 0}
    assert {code for sender in senders.values() for code, _ in sender.codes} == {grpc.StatusCode.UNAVAILABLE}
    found = stored(process)
    for name, sender in senders.items():
        acknowledged = [float(number) for number in sender.acknowledged]
        assert found[name][: len(acknowledged)] == acknowledged
        assert len(found[name]) <= len(acknowledged) + 1  # the last answer may not have arrived
    process.assert_log_is_calm()


def test_a_reader_that_does_not_read_does_not_hold_up_the_end(process: Process) -> None:
    with socket.create_connection(process.http_address) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):
            reader.sendall(f"GET {MEGABYTES} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_second_sigterm_ends_it_at_once(process: Process) -> None:
    with socket.create_connection(process.http_address) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):
            reader.sendall(f"GET {MEGABYTES} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert reader.recv(1)
        process.signal(signal.SIGTERM)
        assert wait_until(lambda: "stopping" in process.log())
        process.signal(signal.SIGSTOP)
        Event().wait(0.3)  # else the two could be one
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)
        assert process.wait() == 1


def test_two_signals_at_once_are_one_wish(process: Process) -> None:
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        process.signal(number)
    assert process.wait() == 0
    assert "nothing acknowledged was lost" in process.log()


def test_sigterm_while_it_starts_ends_it(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.run()
    process.signal(signal.SIGTERM)
    assert process.wait() in {0, -signal.SIGTERM}
    assert "Traceback" not in process.log()


def test_sighup_while_it_starts_waits_until_it_has_started(tmp_path: Path) -> None:
    process = Process(tmp_path)
    try:
        assert any(is_met_while_it_starts(process) for _ in range(3))  # a machine that stands still may miss it
        process.signal(signal.SIGHUP)
        assert wait_until(lambda: process.code() is not None or "the configuration was read again" in process.log())
        assert process.is_ready()
    finally:
        end(process)


def is_met_while_it_starts(process: Process) -> bool:
    """Start it and wait until it holds SIGHUP back; kill it where that was missed."""
    process.run()
    assert wait_until(lambda: is_held(signal.SIGHUP, process.pid) or process.is_ready())
    if is_held(signal.SIGHUP, process.pid):
        return True
    process.kill()
    return False


def is_held(number: signal.Signals, pid: int) -> bool:
    """Tell whether a signal is held back that nobody handles yet."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    blocked, caught = (int(status[name], 16) >> (number - 1) & 1 for name in ("SigBlk", "SigCgt"))
    return bool(blocked and not caught)


def refused(process: Process, *, code: int, says: str, lines: int = 1) -> None:
    """Start what must not start: one clear line, no stack trace, and nothing listens."""
    process.run()
    assert process.wait() == code, process.log()
    said = process.log().splitlines()
    assert len(said) == lines, said
    assert all(line.startswith("foreband: ") for line in said[:1])
    assert says in said[0]


def test_a_wrong_setting_ends_it_before_a_port_opens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]  # if it came so far, it would complain about that
        process = Process(tmp_path, "series.limt=5", f"receiver.listen=127.0.0.1:{port}")
        refused(process, code=2, says="limt")
    assert not process.store.exists()


def test_beyond_loopback_without_leave_it_does_not_start(tmp_path: Path) -> None:
    refused(Process(tmp_path, "grafana.listen=0.0.0.0:0"), code=2, says="allow_insecure_bind")


def test_too_little_address_space_is_said_before_anything_opens(tmp_path: Path) -> None:
    command = (
        f"ulimit -v {600 << 10}; exec {sys.executable} -m collector_processor run --set store.directory={tmp_path}/data"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "limited to 600 MiB (ulimit -v, RLIMIT_AS) and 1280 MiB are needed" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("limit_mib", "memory_mib", "warns"), [(3000, 2048, True), (3400, 2048, False), (1300, 512, True)]
)
def test_what_does_not_fit_beside_the_memory_limit_is_warned_of(
    limit_mib: int, memory_mib: int, warns: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit_mib << 20, limit_mib << 20))
    require_address_space(64, memory_mib << 20)
    assert ("memory.limit above" in caplog.text) == warns


@pytest.mark.parametrize("setting", ["receiver.listen", "receiver.http_listen", "grafana.listen"])
def test_a_taken_port_is_named(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(Process(tmp_path, f"{setting}=127.0.0.1:{port}"), code=2, says=f"127.0.0.1:{port}")


def test_a_second_process_on_the_directory_leaves_it_alone(process: Process, tmp_path: Path) -> None:
    second = Process(tmp_path / "second", f"store.directory={process.store}")
    refused(second, code=1, says="another Foreband is writing")
    assert process.is_ready()


@pytest.mark.parametrize("what", ["file", "no parent", "garbage", "world-writable"])
def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path, what: str) -> None:
    process = Process(tmp_path)
    match what:
        case "file":
            process.store.write_text("not a directory")
        case "no parent":
            (tmp_path / "f").write_text("")
            process = Process(tmp_path, f"store.directory={tmp_path / 'f' / 'data'}")
        case "garbage":
            process.store.mkdir(mode=0o700)
            (process.store / "foreband.db").write_bytes(os.urandom(8192))
        case _:
            process.store.mkdir()
            process.store.chmod(0o777)
    refused(process, code=1, says="store")
