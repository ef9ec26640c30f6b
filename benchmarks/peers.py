"""The batched solver, robust, against MSTL of statsforecast and augurs: CPU seconds, and the error one day ahead.

On windows of a week of recorded five-minute series below FOREBAND_DATA. The peers have an environment of their own
(`make peers`). Where either is missing it says so. Errors are in units of the mean absolute difference between a value
and that of the day before; the figure is the median over all windows.
"""

import csv
import os
import subprocess
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.cpu import cpu
from benchmarks.engine import GRID, PARITY, STEPS, forecast
from benchmarks.figures import Figure
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.forecast.reference import frame, new_prophet
from collector_processor.forecast.regressors import Regressors, build_regressors
from collector_processor.forecast.resample import means
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import solve
from collector_processor.telemetry.points import Float64

PYTHON = Path(".venv-peers/bin/python")
SCRIPT = Path(__file__).parent / "peer_mstl.py"
WINDOWS = 3  # of each series
LEAST_SEEN = 0.95


def measure() -> list[Figure]:
    """Return our speed and error beside those of each peer, on the same windows."""
    windows = recorded_windows(os.environ.get("FOREBAND_DATA", ""))
    if not len(windows):
        print("peers: skipped, FOREBAND_DATA names no directory with recorded five-minute series")
        return []
    past, future = windows[:, : GRID.size], windows[:, GRID.size :]
    seconds = cpu(lambda: robust_forecast(past)) / len(past)
    ours = scaled_error(robust_forecast(past), past, future)
    prophet = scaled_error(prophet_forecast(past), past, future)
    figures = [_error("prophet, weekly season on", ours, prophet, 4 / 3)]
    if not PYTHON.exists():
        print(f"peers: MSTL is skipped, there is no {PYTHON}; `make peers` installs it")
        return figures
    for peer in ("statsforecast", "augurs"):
        yhat, theirs = peer_forecast(peer, past)
        name = f"robust fit, 288 steps, 3 bands; {peer} MSTL"
        figures.append(Figure(name, 1e6 * seconds, "us a series", 100, 1e6 * theirs, theirs / seconds))
        figures.append(_error(f"{peer} MSTL", ours, scaled_error(yhat, past, future), 1.0))
    return figures


def recorded_windows(root: str) -> Float64:
    """Return windows `(B, 2016 + 288)` of all series with a point in five minutes, short gaps filled along a line."""
    files = sorted(Path(root).glob("**/*.csv")) if root else []
    recorded = [file for file in files if "artificial" not in file.parent.name]
    found = [window for file in recorded for window in _windows(file)]
    return np.stack(found) if found else np.empty((0, GRID.size + STEPS))


def robust_forecast(past: Float64) -> Float64:
    """Return yhat `(B, 288)` of Prophet's model with its own rules for seasons and outliers masked."""
    fit = solve(past, _regressors())
    found, order = forecast([fit]), np.concatenate([which for which, _ in fit.columns()])
    return np.concatenate([yhat for yhat, _ in found])[np.argsort(order)]


def prophet_forecast(past: Float64) -> Float64:
    """Return the library's yhat with its defaults, but the weekly season on."""
    future = frame(GRID.times_after(STEPS), np.zeros(STEPS))
    fits = (new_prophet(PARITY).fit(frame(GRID.times(), y)) for y in past)
    return np.stack([model.predict(future)["yhat"].to_numpy() for model in fits])


def peer_forecast(peer: str, past: Float64) -> tuple[Float64, float]:
    """Return a peer's yhat and its CPU seconds a series."""
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "in.npz", Path(directory) / "out.npz"
        np.savez(source, history=past)
        subprocess.run([PYTHON, SCRIPT, peer, source, target], check=True, capture_output=True)
        with np.load(target) as found:
            return found["yhat"], float(found["seconds"]) / len(past)


def scaled_error(yhat: Float64, past: Float64, future: Float64) -> float:
    """Return the median over windows of the mean absolute error, in units of the day-to-day difference before."""
    naive = np.abs(past[:, STEPS:] - past[:, :-STEPS]).mean(axis=1)
    return float(np.median(np.abs(yhat - future).mean(axis=1) / naive))


@cache
def _regressors() -> Regressors:
    """Return what a fleet on one grid shares; a fit process keeps it too."""
    return build_regressors(GRID, ProphetSettings())


def _windows(file: Path) -> list[Float64]:
    """Cut one series into windows that do not overlap in what is to be forecast, newest first."""
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    if header != ["timestamp", "value"]:
        return []
    time = np.array([datetime.fromisoformat(when).timestamp() for when, _ in rows]).astype(np.int64) * NANOS_PER_SECOND
    value = np.array([value for _, value in rows], np.float64)
    if time.size < GRID.size or np.median(np.diff(time)) != GRID.step_nano:
        return []
    middle, mean = means(time, value, GRID.step_nano)
    step = (middle - middle[0]) // GRID.step_nano
    whole = np.full(int(step[-1]) + 1, np.nan)
    whole[step] = mean
    length = GRID.size + STEPS
    cut = [whole[end - length : end] for end in range(whole.size, length - 1, -STEPS)]
    usable = [window for window in cut if np.isfinite(window).mean() >= LEAST_SEEN and np.nanstd(window) > 0.0]
    return [_filled(window) for window in usable[:WINDOWS]]


def _filled(window: Float64) -> Float64:
    seen = np.flatnonzero(np.isfinite(window))
    return np.interp(np.arange(window.size), seen, window[seen])


def _error(peer: str, ours: float, theirs: float, must: float) -> Figure:
    return Figure(f"error one day ahead; {peer}", ours, "day-naive errors", must, theirs, theirs / ours)
