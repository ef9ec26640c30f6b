"""A whole `foreband run` that ten senders give 10,000 points a second: how long acknowledgements take, what is held.

Each request holds a point of 1,000 series. `--series 100000 --minutes 30` is the whole for memory: a point of every
series each ten seconds. The process tree, first fits included, has one core; the senders are another process. The first
quarter, in which series are made and fits begin, counts for nothing but the most memory. Beside it a small file is
written and synced ten times a second: no acknowledgement is faster than the disk.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.process_tree import usage
from collector_processor.telemetry.points import Float64
from tests.process import Process

POINTS_PER_SECOND, SENDERS = 10_000, 10
MUST_P99_MS, MUST_GIBIBYTES = 20.0, 1.5
_LOOK_EVERY, _BLOCK = 0.1, bytes(64 << 10)
_SLOWEST = 0.99


def measure(series: int = 10_000, minutes: float = 2.0) -> list[Figure]:
    """Return quantiles of the acknowledgement, and the memory of the process tree and how it grows."""
    with tempfile.TemporaryDirectory(prefix="foreband-acknowledgement-") as name:
        process = Process(Path(name), f"series.limit={series}")
        process.start()
        try:
            rows, seen = _send(process, series, minutes * 60, Path(name))
        finally:
            process.kill()
    settled, (at, held, synced) = rows[len(rows) // 4 :, 1], seen[len(seen) // 4 :].T
    of = f"{series} series, {minutes:g} min"
    return [
        Figure(f"acknowledgement, {of}, median", 1e3 * float(np.nanmedian(settled)), "ms"),
        Figure(f"acknowledgement, {of}, p99", 1e3 * float(np.nanquantile(settled, _SLOWEST)), "ms", MUST_P99_MS),
        Figure("write and sync of 64 KiB to the same disk, median", 1e3 * float(np.median(synced)), "ms"),
        Figure("write and sync of 64 KiB to the same disk, p99", 1e3 * float(np.quantile(synced, _SLOWEST)), "ms"),
        Figure(f"requests refused, {of}", float(np.isnan(rows[:, 1]).sum()), "", 0.0),
        Figure(f"memory of the process tree, {of}, most", seen[:, 1].max() / (1 << 30), "GiB", MUST_GIBIBYTES),
        Figure(f"the same, growth, {of}", 60 * float(np.polyfit(at, held, 1)[0]) / (1 << 20), "MiB/min"),
    ]


def _send(process: Process, series: int, seconds: float, directory: Path) -> tuple[Float64, Float64]:
    """Return the sender's rows, and rows of time, memory held, and seconds of a synced write."""
    rows, seen = directory / "rows", list[tuple[float, float, float]]()
    arguments = [process.otlp, series, POINTS_PER_SECOND, seconds, rows, SENDERS]
    with (
        (directory / "synced").open("wb", buffering=0) as file,
        subprocess.Popen([sys.executable, "-m", "benchmarks.sender", *map(str, arguments)]) as sender,
    ):
        if others := set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0):
            os.sched_setaffinity(sender.pid, others)
        while sender.poll() is None:
            time.sleep(_LOOK_EVERY)
            began = time.monotonic()
            os.pwrite(file.fileno(), _BLOCK, 0)
            os.fdatasync(file.fileno())
            synced = time.monotonic() - began
            seen.append((time.time(), usage(process.pid).bytes_held if not len(seen) % 20 else seen[-1][1], synced))
    return np.fromfile(rows).reshape(-1, 2), np.array(seen, np.float64)
