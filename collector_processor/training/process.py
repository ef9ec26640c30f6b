"""One fit process as seen from the pool: start it, hand it a chunk, take the outcome, kill it.

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
from pathlib import Path

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.training.request import Chunk, ChunkOutcome, FitStatus, Solver
from collector_processor.training.worker import Task

_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ERRORS = "stderr"
_PROGRAM = "from collector_processor.training.worker import main; main()"


class FitProcess:
    """A process and at most one chunk; times are monotonic nanoseconds, `is_warm` means the solver is compiled.

    What it writes to standard error is no line of our log: the last one is kept as the reason where it dies.
    """

    def __init__(self, task: Task, memory_limit: int | None) -> None:
        self.chunk: Chunk | None = None
        self.deadline = 0
        self.chunks_done = 0
        self.is_warm = False
        self.is_stopped = False
        self._taken = 0
        self._directory = Path(tempfile.mkdtemp(prefix="foreband-fit-"))  # Stan's files; gone with the process
        self.connection, theirs = Pipe()
        with theirs:
            self._process = _start(theirs.fileno(), self._directory)
        self._send((task, memory_limit))

    @property
    def pid(self) -> int:
        """Process id, also that of its group."""
        return self._process.pid

    def take(self, chunk: Chunk, now: int, deadline: int) -> None:
        """Work on a chunk until `deadline`."""
        self.chunk, self._taken, self.deadline = chunk, now, deadline
        self._send(chunk)

    def receive(self, now: int) -> ChunkOutcome:
        """Return the outcome that is waiting; without one the process has died, and is stopped."""
        chunk = self._release()
        try:
            outcome: ChunkOutcome = self.connection.recv()
        except (EOFError, ConnectionError):
            last_words = self._last_words()
            reason = f"the fit process ended with exit code {self.stop()}{last_words}"
            return ChunkOutcome(chunk, FitStatus.DIED, reason, cpu_seconds=self._seconds(now))
        self.chunks_done += 1
        self.is_warm |= any(fit.solver is Solver.BATCH for fit in outcome.outcomes)
        return outcome

    def give_up(self, now: int) -> ChunkOutcome:
        """Stop the process, and say that its chunk took too long."""
        chunk = self._release()
        self.stop()
        reason = "the fit took too long and was stopped"
        return ChunkOutcome(chunk, FitStatus.TIMED_OUT, reason, cpu_seconds=self._seconds(now))

    def stop(self) -> int:
        """Kill the process and what it started; return its exit code."""
        self.connection.close()
        with suppress(ProcessLookupError, PermissionError):  # it may be gone already
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self.is_stopped = True
        return code

    def _seconds(self, now: int) -> float:
        return (now - self._taken) / NANOS_PER_SECOND

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._directory / _ERRORS).read_text(errors="replace").split("\n")
            return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
        return ""

    def _release(self) -> Chunk:
        if self.chunk is None:
            raise RuntimeError("this fit process has nothing to do")
        chunk, self.chunk = self.chunk, None
        return chunk

    def _send(self, message: object) -> None:
        with suppress(ConnectionError):  # it died while idle: `receive` will find out
            self.connection.send(message)


def _start(descriptor: int, directory: Path) -> "subprocess.Popen[bytes]":
    environment = {"TMPDIR": str(directory), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (directory / _ERRORS).open("wb") as errors:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-c", _PROGRAM, str(descriptor), str(directory)],
            pass_fds=[descriptor],
            env={**os.environ, **_SINGLE_THREADED, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
