"""Twenty dashboards that refresh every ten seconds, and what they cost the senders of telemetry.

A whole `foreband run` holds a fleet with days of history and takes 10,000 points a second from another process. The
dashboards look and look away in turn, so that both halves see the same store, machine and minute.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.parse import urlencode

import numpy as np

from benchmarks.figures import Figure
from benchmarks.fleet_store import preload
from benchmarks.requests import POINTS, Fleet
from collector_processor.telemetry.points import Float64
from tests.process import Process

DASHBOARDS, REFRESH_SECONDS = 20, 10.0
POINTS_PER_SECOND = 10_000
TURN_SECONDS, SETTLE_SECONDS = 10.0, 1.5
PRELOADED_DAYS = 3.0
MUST_GROW = 1.2

_PANELS = (
    "foreband_actual{%s}",
    "foreband_yhat{%s}",
    'foreband_lower{band="alert",%s}',
    'foreband_upper{band="alert",%s}',
    "sum by (service_name) (foreband_anomaly{%s} != bool 0)",
)
_NOW = "foreband_anomaly != 0"


def measure(series: int = 10_000, minutes: float = 2.0) -> list[Figure]:
    """Return how the acknowledgement grows while the dashboards look, and how long their panels take."""
    with tempfile.TemporaryDirectory(prefix="foreband-dashboards-") as directory:
        fleet, process = Fleet(series), Process(Path(directory), f"series.limit={series}")
        preload(process.store, fleet, time.time_ns(), PRELOADED_DAYS)
        process.start()
        try:
            looking, away, panels = _in_turns(process, series, minutes * 60, Path(directory) / "rows")
        finally:
            process.kill()
    beside, alone = (1e3 * float(np.nanquantile(rows, 0.99)) for rows in (looking, away))
    name = f"{DASHBOARDS} dashboards each {REFRESH_SECONDS:g} s over {series} series"
    return [
        Figure(f"{name}: acknowledgement, p99", beside, "ms", 1 / MUST_GROW, alone, alone / beside),
        Figure(f"{name}: requests refused", float(np.isnan(looking).sum()), "", 0.0),
        Figure(f"{name}: panels refused", float(np.isnan(panels).sum()), "", 0.0),
        Figure(f"{name}: a panel, median", 1e3 * float(np.nanmedian(panels)), "ms"),
        Figure(f"{name}: a panel, p95", 1e3 * float(np.nanquantile(panels, 0.95)), "ms"),
    ]


def _in_turns(process: Process, series: int, seconds: float, file: Path) -> tuple[Float64, Float64, list[float]]:
    """Return seconds to the acknowledgement with the dashboards and without, and seconds of each panel."""
    looked: list[tuple[float, float]] = []
    panels: list[float] = []
    arguments = [process.otlp, series, POINTS_PER_SECOND, seconds, file]
    with subprocess.Popen([sys.executable, "-m", "benchmarks.sender", *map(str, arguments)]) as sender:
        if others := set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0):
            os.sched_setaffinity(sender.pid, others)
        while sender.poll() is None:
            time.sleep(TURN_SECONDS)
            began = time.time()
            with _dashboards(process, series, panels):
                time.sleep(TURN_SECONDS)
            looked.append((began, time.time()))
    rows = np.fromfile(file).reshape(-1, 2)
    during, unclear = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for began, ended in looked:
        during |= (rows[:, 0] >= began + SETTLE_SECONDS) & (rows[:, 0] < ended)
        unclear |= (rows[:, 0] >= began) & (rows[:, 0] < began + SETTLE_SECONDS)
        unclear |= (rows[:, 0] >= ended) & (rows[:, 0] < ended + SETTLE_SECONDS)
    return rows[during, 1], rows[~during & ~unclear, 1], panels


@contextmanager
def _dashboards(process: Process, series: int, panels: list[float]) -> Iterator[None]:
    """Let them refresh, spread over the interval, until the block ends."""
    stopping = Event()
    threads = [Thread(target=_look, args=(process, series, n, panels, stopping)) for n in range(DASHBOARDS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _look(process: Process, series: int, number: int, panels: list[float], stopping: Event) -> None:
    """Ask for the panels of one dashboard, all at once after the other, at every refresh."""
    one = number * series // DASHBOARDS
    place = one % POINTS
    name = f'metric="fleet.metric.{place // 100}",service_name="service-{one // POINTS}",host_name="host-{place % 100}"'
    stopping.wait(number * REFRESH_SECONDS / DASHBOARDS)
    while not stopping.is_set():
        end = int(time.time())
        for text in _PANELS:
            asked = urlencode({"query": text % name, "start": end - 6 * 3600, "end": end, "step": 60})
            panels.append(_seconds(process, f"/prom/api/v1/query_range?{asked}"))
        panels.append(_seconds(process, f"/prom/api/v1/query?{urlencode({'query': _NOW})}"))
        stopping.wait(REFRESH_SECONDS)


def _seconds(process: Process, path: str) -> float:
    """Return how long an answer took, NaN where it was refused."""
    began = time.monotonic()
    try:
        process.get(path)
    except HTTPError:
        return float("nan")
    return time.monotonic() - began
