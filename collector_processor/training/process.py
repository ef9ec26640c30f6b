"""One fit process as seen from the pool: start it, hand it a request, take the outcome, kill it.

It is a new interpreter, not a fork (gRPC's threads don't survive one), in its own session, so that one signal reaches
it and the Stan programs it starts, and a Ctrl-C on the terminal reaches neither.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Pipe

from collector_processor.training.task import FitOutcome, FitRequest, FitStatus
from collector_processor.training.worker import Task

_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PROGRAM = "from collector_processor.training.worker import main; main()"


class FitProcess:
    """A process and at most one request; `deadline` is monotonic nanoseconds."""

    def __init__(self, task: Task, memory_limit: int | None) -> None:
        self.request: FitRequest | None = None
        self.deadline = 0
        self.fits = 0
        self.is_stopped = False
        self._directory = tempfile.mkdtemp(prefix="foreband-fit-")  # Stan's files; gone with the process
        self.connection, theirs = Pipe()
        with theirs:
            self._process = _start(theirs.fileno(), self._directory)
        self._send((task, memory_limit))

    @property
    def pid(self) -> int:
        """Process id, also that of its group."""
        return self._process.pid

    def take(self, request: FitRequest, deadline: int) -> None:
        """Work on a request until `deadline`."""
        self.request, self.deadline = request, deadline
        self._send(request)

    def receive(self) -> FitOutcome:
        """Return the outcome that is waiting; without one the process has died, and is stopped."""
        request = self._release()
        try:
            outcome: FitOutcome = self.connection.recv()
        except (EOFError, ConnectionError):
            return FitOutcome(request, FitStatus.DIED, f"the fit process ended with exit code {self.stop()}")
        self.fits += 1
        return outcome

    def give_up(self) -> FitOutcome:
        """Stop the process, and say that its request took too long."""
        request = self._release()
        self.stop()
        return FitOutcome(request, FitStatus.TIMED_OUT, "the fit took too long and was stopped")

    def stop(self) -> int:
        """Kill the process and what it started; return its exit code."""
        self.connection.close()
        with suppress(ProcessLookupError, PermissionError):  # it may be gone already
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self.is_stopped = True
        return code

    def _release(self) -> FitRequest:
        if self.request is None:
            raise RuntimeError("this fit process has nothing to do")
        request, self.request = self.request, None
        return request

    def _send(self, message: object) -> None:
        with suppress(ConnectionError):  # it died while idle: `receive` will find out
            self.connection.send(message)


def _start(descriptor: int, directory: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-c", _PROGRAM, str(descriptor), directory],
        pass_fds=[descriptor],
        env={
            **os.environ,
            **_SINGLE_THREADED,
            "TMPDIR": directory,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
