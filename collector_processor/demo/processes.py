"""The processes of a demo, each with a log of its own, which are stopped when the demo ends."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from collector_processor.errors import ForebandError

_LAST_LINES = 12


class DemoError(ForebandError):
    """The demo cannot go on; the message says where to look."""


class Processes:
    """Python modules, started as a user would start them."""

    def __init__(self, directory: Path, running: ExitStack) -> None:
        self._directory = directory
        self._running = running
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start a module, whose output goes to its log."""
        log = self._running.enter_context(self._log(name).open("wb"))
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=log, stderr=log)
        self._running.callback(_stop, process)
        self._started[name] = process

    def wait_for(self, is_done: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Wait until something is done.

        Raises:
            DemoError: if a process ended meanwhile, or it took too long; it quotes the end of a log.
        """
        end = time.monotonic() + seconds
        while not is_done():
            for name, process in self._started.items():
                if process.poll() is not None:
                    raise DemoError(f"{name} ended with code {process.returncode}:\n{self._tail(name)}")
            if time.monotonic() > end:
                raise DemoError(f"{complaint} within {seconds:.0f} s; the logs:\n{self._tail('foreband')}")
            time.sleep(0.5)

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _tail(self, name: str) -> str:
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-_LAST_LINES:])


def free_port(wanted: int) -> int:
    """Return the wanted port, or a free one where it is taken.

    Raises:
        DemoError: if there is none.
    """
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as server:
                return int(server.getsockname()[1])
        except OSError:
            continue
    raise DemoError("no free port on 127.0.0.1")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
