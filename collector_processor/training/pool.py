"""A few processes that fit, so that no series can harm another or the fast path.

A fit that hangs is killed after its time with everything it started, a process that dies is replaced, and either costs
only the chunk it was about; Python's own process pool breaks as a whole when one of its processes is killed. The pool
has no thread of its own and is used by one.
"""

from dataclasses import dataclass
from multiprocessing.connection import wait

from collector_processor.clock import NANOS_PER_SECOND, Clock
from collector_processor.training.process import FitProcess
from collector_processor.training.request import Chunk, ChunkOutcome
from collector_processor.training.task import fit_chunk
from collector_processor.training.worker import Task

_MAX_RESTART_DELAY_SECONDS = 60.0
_SERIES_PER_TIMEOUT = 50


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many processes, how long a chunk may take, and how long a process lives.

    `timeout_seconds` is for one history of some series; with a backtest there are up to four, and a chunk has that much
    once more for every fifty series, because they have to be read. Until a process has used the batched solver it may
    take `startup_seconds` longer: it imports, and compiles where nothing is cached. After `recycle_after` chunks a
    process is replaced, so that no leak in a library lasts. `memory_limit` is in bytes of address space, None for none.
    """

    workers: int = 1
    timeout_seconds: float = 30.0
    startup_seconds: float = 120.0
    recycle_after: int = 200
    memory_limit: int | None = None


class FitPool:
    """Hands chunks to processes, at most one each, and collects outcomes."""

    def __init__(self, settings: PoolSettings, clock: Clock, task: Task = fit_chunk) -> None:
        self.started = 0
        self._settings = settings
        self._clock = clock
        self._task = task
        self._processes: list[FitProcess] = []
        self._deaths_in_a_row = 0
        self._not_before = 0

    @property
    def busy(self) -> int:
        """How many chunks are being worked on."""
        return sum(process.chunk is not None for process in self._processes)

    @property
    def free(self) -> int:
        """How many chunks can be submitted now."""
        may_start = self._clock.monotonic_nano() >= self._not_before
        return (self._settings.workers if may_start else len(self._processes)) - self.busy

    @property
    def pids(self) -> list[int]:
        """Process ids, each also that of its group."""
        return [process.pid for process in self._processes]

    def submit(self, chunk: Chunk) -> None:
        """Hand over a chunk, starting a process if none is idle.

        Raises:
            RuntimeError: if nothing is `free`.
        """
        if self.free <= 0:
            raise RuntimeError("every fit process is busy")
        process = next((p for p in self._processes if p.chunk is None), None) or self._start()
        seconds = max(r.fits for r in chunk) * self._settings.timeout_seconds * (1 + len(chunk) // _SERIES_PER_TIMEOUT)
        seconds += 0.0 if process.is_warm else self._settings.startup_seconds
        now = self._clock.monotonic_nano()
        process.take(chunk, now, now + round(seconds * NANOS_PER_SECOND))

    def collect(self, timeout_seconds: float) -> list[ChunkOutcome]:
        """Wait until something finishes, is overdue, or the time is over; every chunk gets one outcome."""
        busy = [process for process in self._processes if process.chunk is not None]
        if not busy:
            return []
        seconds_left = (min(p.deadline for p in busy) - self._clock.monotonic_nano()) / NANOS_PER_SECOND
        ready = wait([p.connection for p in busy], max(0.0, min(timeout_seconds, seconds_left)))
        now = self._clock.monotonic_nano()
        outcomes = [p.receive(now) for p in busy if p.connection in ready]
        outcomes += [p.give_up(now) for p in busy if p.chunk is not None and p.deadline <= now]
        self._part_with_spent()
        return outcomes

    def close(self) -> None:
        """Kill every process and what it started; unfinished chunks get no outcome."""
        for process in self._processes:
            process.stop()
        self._processes = []

    def _start(self) -> FitProcess:
        process = FitProcess(self._task, self._settings.memory_limit)
        self._processes.append(process)
        self.started += 1
        return process

    def _part_with_spent(self) -> None:
        for process in self._processes:
            if process.is_stopped:
                self._count_death(process)
            elif process.chunk is None and process.chunks_done >= self._settings.recycle_after:
                process.stop()
            elif process.chunks_done:
                self._deaths_in_a_row = 0
        self._processes = [process for process in self._processes if not process.is_stopped]

    def _count_death(self, process: FitProcess) -> None:
        """Delay the next start where processes die before their first outcome: a broken installation, no memory."""
        self._deaths_in_a_row = 0 if process.chunks_done else self._deaths_in_a_row + 1
        if self._deaths_in_a_row > 1:
            delay = min(_MAX_RESTART_DELAY_SECONDS, 2.0 ** (self._deaths_in_a_row - 2))
            self._not_before = self._clock.monotonic_nano() + round(delay * NANOS_PER_SECOND)
