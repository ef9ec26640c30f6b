"""Detectors with a week of calibration, and points for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect import calm
from collector_processor.detect.detector import Detector
from collector_processor.detect.judge import Judgement
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.kernels import LateKernel
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from tests.detect.columns import all_forecasts

START = 19_000 * DAY
NAN = float("nan")


def seed(*, days: int = 7, scale: float = 1.0, std: float = 1.0, end: int = START) -> Seed:
    time = end - DAY * days + np.arange(0, days * DAY, 5 * MINUTE)
    residual = np.random.default_rng(1).normal(0.0, scale, (time.size, 2)).clip(-3 * scale, 3 * scale)
    return seed_from_residuals(time, all_forecasts(residual), std)


def batch(series: list[int], minutes: list[float], values: list[float]) -> PointBatch:
    time = START + (np.array(minutes) * MINUTE).astype(np.int64)
    return PointBatch(np.array(series, np.int32), time, np.array(values, np.float64))


def judge(detector: Detector, points: PointBatch, forecasts: Float64 | None = None) -> Judgement:
    f = np.full((len(points), 2), 100.0) if forecasts is None else forecasts
    return detector.judge(points, all_forecasts(f), np.zeros(len(points), np.uint8))


def seeded(n: int = 1) -> Detector:
    detector = Detector()
    for series in range(n):
        adopt(detector, series, seed())
    return detector


def adopt(detector: Detector, series: int, calibration: Seed) -> None:
    detector.adopt(np.array([series], np.int32), [calibration], np.zeros(1, np.uint8))


def state(detector: Detector) -> dict[str, bytes]:
    """Return what a later `save` returns if nothing changes until then."""
    detector.save()
    return detector.save()


def assert_same(a: VerdictBatch, b: VerdictBatch) -> None:
    for field in fields(VerdictBatch):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


@contextmanager
def by_numpy() -> Iterator[None]:
    """Judge without compiled code, however much comes."""
    kernel, calm.KERNEL = calm.KERNEL, LateKernel("nothing", calm.KERNEL._load, 1 << 60)
    try:
        yield
    finally:
        calm.KERNEL = kernel
