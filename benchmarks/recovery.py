"""Measure how long a start takes after `kill -9`: from the command to the answer that it is ready."""

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from collector_processor.clock import MINUTE
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from tests.process import Process, end

SERIES = 1000


def measure(points: int = 1_000_000) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        left = left_behind(Path(directory), points)
        starts = []
        for number in range(3):
            shutil.copytree(left, Path(directory) / f"start-{number}" / "data")
            starts.append(seconds_to_ready(Path(directory) / f"start-{number}"))
    return [Figure(f"ready after kill -9 with {points:,} points", float(np.median(starts)), "s", must=5)]


def left_behind(directory: Path, points: int) -> Path:
    """Return a store as a killed process leaves it: nothing closed, the log full."""
    store = open_writer(directory / "running", StoreSettings(reserve_bytes=0))
    series, now = np.arange(SERIES, dtype=np.int32), time.time_ns() // MINUTE * MINUTE
    keys = [key(number) for number in range(SERIES)]
    store.commit(Commit(series=list(enumerate(keys))))
    minutes = points // SERIES
    for ago in range(minutes, 0, -1):
        values = np.sin(np.arange(SERIES) + ago / 60)
        store.commit(Commit(points=PointBatch(series, np.full(SERIES, now - ago * MINUTE), values)))
        store.maintain(now - ago * MINUTE, 0.01)
    target = directory / "left"
    shutil.copytree(directory / "running", target, ignore=shutil.ignore_patterns("*-shm"))
    store.close()
    return target


def key(number: int) -> SeriesKey:
    service = (("service.name", f"s{number % 10}"),)
    attributes = (("id", number),)
    return SeriesKey(service, Scope("", ""), "m", "1", Kind.GAUGE, Statistic.VALUE, attributes)


def seconds_to_ready(directory: Path) -> float:
    process = Process(directory)
    began = time.perf_counter()
    try:
        process.start()
        return time.perf_counter() - began
    finally:
        end(process)
