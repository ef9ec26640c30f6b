"""Measure the detector: what a judged point costs, and what a series weighs in memory.

CPU time of one core, median of all ticks. `must` is the promise: the value has to stay below it. The peer of the first
row is the same work one series at a time, that of the second the same by NumPy, before compiled code is loaded.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.figures import Figure
from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND
from collector_processor.detect import calm
from collector_processor.detect.detector import Detector
from collector_processor.detect.seed import seed_from_residuals
from collector_processor.forecast.bands import alert_band
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import PointBatch
from tests.detect.judging import by_numpy

START = 19_700 * DAY
TICK = 10 * NANOS_PER_SECOND
TICKS = 60
F = len(FORECASTS)


def measure(series: int = 10_000) -> list[Figure]:
    calm.KERNEL.load()
    with by_numpy():
        plain = ticks(seeded(series), series, start=START, step=TICK)
    detector = seeded(series)
    every = ticks(detector, series, start=START, step=TICK)
    rollover = ticks(detector, series, start=START + 2 * HOUR, step=HOUR)
    one = ticks(seeded(1), 1, start=START, step=TICK)
    rng = np.random.default_rng(2)
    forecasts, threshold = rng.normal(size=(series, F)), np.full(series, 1.1)
    band = microseconds(lambda: alert_band(forecasts, np.full((series, F), 2.0), threshold))
    resident = sum(len(blob) for blob in detector.save().values()) / series
    return [
        Figure(f"judge and learn, tick of {series}", every / series, "us/point", peer=one, ratio=one * series / every),
        Figure(
            "judge and learn by compiled code", every / series, "us/point", peer=plain / series, ratio=plain / every
        ),
        Figure("judge and learn by NumPy", plain / series, "us/point", 2.0),
        Figure("judge and learn, each tick a new hour", rollover / series, "us/point"),
        Figure("judge and learn, one series alone", one, "us/point"),
        Figure("alert band alone", band / series, "us/point"),
        Figure("state", resident, "bytes/series", 3072.0),
    ]


def seeded(series: int) -> Detector:
    """Return a detector whose series all have a week of calibration."""
    detector, rng = Detector(), np.random.default_rng(1)
    history = START - 7 * DAY + np.arange(0, 7 * DAY, HOUR // 4)
    seed = seed_from_residuals(history, rng.normal(size=(history.size, F)), std=1.0)
    detector.adopt(np.arange(series, dtype=np.int32), [seed] * series, np.zeros(series, np.uint8))
    return detector


def ticks(detector: Detector, series: int, *, start: int, step: int) -> float:
    """Return the microseconds that one tick of all series takes, median."""
    rng, ids = np.random.default_rng(3), np.arange(series, dtype=np.int32)
    winner, forecasts = np.zeros(series, np.uint8), np.full((series, F), 100.0)
    forecasts[:, 1] += 0.2
    spent = []
    for k in range(TICKS):
        points = PointBatch(ids, np.full(series, start + k * step), 100.0 + rng.normal(size=series))
        began = time.process_time_ns()
        detector.judge(points, forecasts, winner)
        spent.append(time.process_time_ns() - began)
    return statistics.median(spent) / 1e3


def microseconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(TICKS):
        began = time.process_time_ns()
        work()
        spent.append(time.process_time_ns() - began)
    return statistics.median(spent) / 1e3
