"""Self-made telemetry: one week of five-minute points, a hundred series that differ in kind."""

import csv
import os
from pathlib import Path

import numpy as np

from collector_processor.forecast.regressors import Grid
from collector_processor.telemetry.points import Float64

STEP_NANO = 300 * 10**9
WEEK = Grid(1_700_000_000 * 10**9, STEP_NANO, 2016)
KINDS = 10


def corpus(count: int = 100, seed: int = 7, grid: Grid = WEEK) -> Float64:
    """Return `(count, size)`; every third series has 5 % missing points, every ninth a day's gap as well."""
    random = np.random.default_rng(seed)
    y = np.stack([_series(i % KINDS, random, grid) for i in range(count)])
    y[::3][random.random(y[::3].shape) < 0.05] = np.nan
    y[::9, grid.size // 3 : grid.size // 3 + grid.size // 7] = np.nan
    y[4::20, : grid.size // 5] = np.nan
    return y


def recorded() -> Float64:
    """Return five-minute windows of recorded telemetry below FOREBAND_DATA, `(0, 2016)` where it is not set."""
    root = os.environ.get("FOREBAND_DATA", "")
    files = sorted(Path(root).glob("**/realAWSCloudwatch/*.csv")) if root else []
    windows = [w for w in map(_window, files) if w is not None]
    return np.stack(windows) if windows else np.empty((0, WEEK.size))


def _window(path: Path) -> Float64 | None:
    with path.open(newline="") as file:
        rows = [row["value"] for row in csv.DictReader(file)]
    values = np.array(rows[: WEEK.size], dtype=np.float64)
    return values if len(values) == WEEK.size and values.min() < values.max() else None


def _series(kind: int, random: np.random.Generator, grid: Grid) -> Float64:
    """Draw one series; `kind` chooses its shape."""
    days = np.arange(grid.size) * grid.step_nano / 86_400e9
    noise = random.normal(size=grid.size)
    daily = np.sin(2 * np.pi * (days + random.random())) + 0.3 * np.sin(4 * np.pi * (days + random.random()))
    level = random.uniform(1.0, 50.0)
    shapes = {
        0: level + 3 * daily + noise,
        1: level + 0.2 * daily + np.cumsum(noise) * 0.1,
        2: level * np.exp(0.3 * daily + 0.05 * noise),
        3: level + 10 * (days > random.uniform(1, 6)) + daily + noise,
        4: level + 2 * np.maximum(days - 3, 0) - 4 * np.maximum(days - 5, 0) + daily + 0.3 * noise,
        5: 1e3 * level + 5 * daily + noise,
        6: level + daily + noise + 200 * (random.random(grid.size) < 0.002),
        7: random.poisson(np.maximum(3 + 2 * daily, 0.1)).astype(np.float64),
        8: level + random.standard_t(2, size=grid.size) + daily,
        9: -level + 0.01 * daily + 1e-3 * noise,
    }
    shape: Float64 = shapes[kind]
    return shape
