"""How much memory the process holds, and what is given up for it, in this order.

    of the limit    given up
    72 %            caches: what can be found again
    75 %            fits: no new one is begun
    78 %            new series; those that exist go on
    80 %  (soft)    telemetry: everybody is told to come again
    95 %  (hard)    queries

All of it is taken up again below 70 %; or, what the share allows, when it stayed below the soft limit for half a
minute, since then it is not a burst but what there is.
"""

import ctypes
import gc
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from pathlib import Path
from threading import Event, Thread

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
EASED = 0.70
_M_ARENA_MAX, _ARENAS = -8, 2  # glibc's malloc.h
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 1 << 20
_M_TRIM_THRESHOLD, _KEPT_BYTES = -1, 8 << 20
_LONGEST_COLLECTION, _OLDEST_GENERATION = 0.02, 2
_CALM_CHECKS = round(30 / CHECK_SECONDS)


class Pressure(IntEnum):
    """What is given up; each stage includes those before it."""

    NONE = 0
    CACHES = 1
    FITS = 2
    SERIES = 3
    TELEMETRY = 4
    QUERIES = 5


_SHARES = {
    Pressure.CACHES: 0.72,
    Pressure.FITS: 0.75,
    Pressure.SERIES: 0.78,
    Pressure.TELEMETRY: 0.80,
    Pressure.QUERIES: 0.95,
}


class Gauge:
    """Follows the share of the limit that is in use."""

    def __init__(self) -> None:
        self.pressure = Pressure.NONE
        self._calm = 0

    def read(self, share: float) -> Pressure:
        """Return the pressure at the next check."""
        reached = max((p for p, least in _SHARES.items() if share >= least), default=Pressure.NONE)
        self._calm = self._calm + 1 if share < _SHARES[Pressure.TELEMETRY] else 0
        is_eased = share < EASED or self._calm >= _CALM_CHECKS
        self.pressure = reached if is_eased else max(reached, self.pressure)
        return self.pressure


class MemoryWatch:
    """A thread that checks twice a second, and calls `apply` whenever the pressure changed."""

    def __init__(
        self,
        limit_bytes: int,
        apply: Callable[[Pressure], None],
        *,
        resident_bytes: Callable[[], float] | None = None,
        check_seconds: float | None = None,
    ) -> None:
        self.limit = limit_bytes
        self._apply = apply
        self._resident_bytes = resident_bytes or resident_memory
        self._check_seconds = check_seconds or CHECK_SECONDS
        self._gauge = Gauge()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._resident_bytes()  # opens what it reads, while there are file descriptors for sure
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._check_seconds):
            before = self._gauge.pressure
            used = self._resident_bytes()
            pressure = self._gauge.read(used / self.limit)
            if pressure is not before:
                told = "memory: %d MiB of %d MiB; given up: %s"
                log.warning(told, used / (1 << 20), self.limit >> 20, pressure.name.lower())
                self._apply(pressure)
            if pressure > before or pressure is Pressure.QUERIES:
                give_back()


def resident_memory() -> float:
    """Return the resident memory of this process now (Linux), or the largest so far (elsewhere), in bytes."""
    status = _status_of(os.getpid())
    if status is not None:
        return float(os.pread(status, 256, 0).split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


@cache
def _status_of(process: int) -> int | None:
    """Open a process's status once and for all: it is read also when no file descriptor is left."""
    path = Path(f"/proc/{process}/statm")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.exists() else None


def share_arenas() -> bool:
    """Let all threads share two of the C library's heaps; call it before they start. Tells whether that was possible.

    By default each thread may get a heap of its own, and what one has freed the others cannot use: after a hundred
    bodies of 16 MiB 438 MiB stayed resident, with two heaps 185 MiB, and the peak was 389 instead of 501 MiB.
    """
    return _set_option(_M_ARENA_MAX, _ARENAS)


def give_back_large_blocks() -> bool:
    """Let blocks of a mebibyte and more go back to the system once they are freed. Tells whether that was possible.

    Without it the first of them that is freed moves the bar up to its size, 32 MiB at most: columns of a compaction
    then come and go within the heap, and leave holes in it. Small blocks at its end are kept for reuse.
    """
    return _set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES) and _set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def spare_what_stays(longest_seconds: float = _LONGEST_COLLECTION) -> Callable[[], None]:
    """Let no full garbage collection look again at what one that took longer than this has left; return the undoing.

    What 100,000 series are made of stays as long as they do. It is half a million objects, and one look at them stops
    all threads for about a second. Spared is only what came in bulk, so that what is by chance in use does not add up.
    """
    began = 0.0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if info["generation"] < _OLDEST_GENERATION:
            return
        if phase == "start":
            began = time.perf_counter()
        elif time.perf_counter() - began > longest_seconds:
            gc.freeze()

    gc.callbacks.append(note)
    return lambda: gc.callbacks.remove(note)


def give_back() -> None:
    """Collect garbage, and return to the system what the C library keeps for later."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)


def _set_option(option: int, value: int) -> bool:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return bool(set_option and set_option(option, value))
