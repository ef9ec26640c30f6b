"""What runs in a fit process: take a chunk, answer with an outcome, until the pool hangs up.

The pool holds the other end of the connection. When that end closes, because the pool stops this process or died itself
in whatever way, the process kills its whole group at once: itself and the Stan program it may be waiting for.
"""

import os
import resource
import select
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from collector_processor.scheduling import take_usual_turns
from collector_processor.training.request import Chunk, ChunkOutcome, FitOutcome, FitStatus

Task = Callable[[Chunk], list[FitOutcome]]


def main() -> None:
    """Serve the connection of the file descriptor in `argv[1]`; `argv[2]` is a directory for temporary files."""
    descriptor, directory = int(sys.argv[1]), sys.argv[2]
    Thread(target=_die_at_hangup, args=(descriptor, directory), daemon=True).start()
    take_usual_turns()
    os.nice(10)  # receiving and judging telemetry comes first
    _do_without_plots()
    with suppress(EOFError, ConnectionError):
        _serve(Connection(descriptor))


def _serve(connection: "Connection[Any, Any]") -> None:
    task, memory_limit = connection.recv()
    if memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    while True:
        connection.send(_outcome(task, connection.recv()))


def _outcome(task: Task, chunk: Chunk) -> ChunkOutcome:
    before = _cpu_seconds()
    try:
        outcomes = tuple(task(chunk))
    except Exception as error:  # noqa: BLE001 - whatever a library raises fails this one chunk, and is reported with it
        reason = f"{type(error).__name__}: {error}"
        return ChunkOutcome(chunk, FitStatus.FAILED, reason, cpu_seconds=_cpu_seconds() - before)
    return ChunkOutcome(chunk, FitStatus.FITTED, outcomes=outcomes, cpu_seconds=_cpu_seconds() - before)


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the programs it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _do_without_plots() -> None:
    """Keep Prophet from importing plotting libraries: without them it starts a second sooner and 27 MB smaller."""
    for name in ("matplotlib", "plotly"):
        sys.modules[name] = None  # type: ignore[assignment]  # makes `import` raise ImportError


def _die_at_hangup(descriptor: int, directory: str) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # nothing but the hangup: what arrives is for the other thread
    poll.poll()
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
