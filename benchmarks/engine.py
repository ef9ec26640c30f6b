"""Fit a fleet with the batched solver, against the prophet library and prophet-batch: CPU seconds of one core.

One week of five-minute points, 5 % missing. `must` of a time a series is what 10,000 series a second need.
"""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import forecast_tick, stored_history
from benchmarks.cpu import cpu
from benchmarks.figures import Figure
from collector_processor.clock import DAY, MINUTE
from collector_processor.forecast.bands import future_trend, prophet_half_widths
from collector_processor.forecast.columns import Numbers
from collector_processor.forecast.design import Design
from collector_processor.forecast.reference import frame, new_prophet
from collector_processor.forecast.regressors import Grid, build_regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, solve
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float32, Float64

GRID = Grid(1_700_006_400 * 10**9, 5 * MINUTE, 7 * DAY // (5 * MINUTE))
PARITY = ProphetSettings(weekly_seasonality=True, mask_passes=0)
ROBUST = replace(PARITY, mask_passes=3)
SERIES = 5_000
STORED = 1_024
CHUNK = 256
TARGET = 50  # series that are scraped together, and missed together
BANDS_AT_ONCE = 128  # what they take stays in the cache
PEER_SERIES = 10
BATCH_PEER_SERIES = 100
STEPS = 288
MUST_US = 100
US = 1e6
_TREND = ("sigma", "changepoint_rate", "mean_delta")


def measure() -> list[Figure]:
    """Take all figures in one run."""
    logging.disable(logging.WARNING)
    history = make_history()
    forecast(_fit(history[:CHUNK], PARITY))
    parity = cpu(lambda: _fit(history, PARITY)) / SERIES
    robust = cpu(lambda: _fit(history, ROBUST)) / SERIES
    ready = cpu(lambda: forecast(_fit(history, PARITY))) / SERIES
    fits = _fit(history, ROBUST)
    bands = cpu(lambda: forecast(fits)) / SERIES
    prophet_fit, prophet_both = prophet_seconds(history)
    batch = prophet_batch_seconds(history)
    return [
        Figure("fit, as Prophet", parity * US, "us a series", 2000, prophet_fit * US, prophet_fit / parity),
        Figure("the same, against prophet-batch", parity * US, "us a series", 100, batch * US, batch / parity),
        Figure("fit, outliers masked", robust * US, "us a series"),
        Figure("hourly refit of 1,000,000 series, the solver alone", robust * US / 36, "% of a core", 5),
        Figure("fit, 288 steps, 3 bands", ready * US, "us a series", 2000, prophet_both * US, prophet_both / ready),
        Figure("the same", ready * US, "us a series", MUST_US),
        Figure("288 steps, 3 bands alone", bands * US, "us a series"),
        Figure("series not converged", float(sum((f.status == Status.NOT_CONVERGED).sum() for f in fits)), "", 0),
        *stored(history[:STORED]),
        *scattered(history[:STORED]),
        *forecast_tick.measure(),
    ]


def make_history() -> Float32:
    """Return different weeks of daily load, drift and noise; series scraped together miss the same points."""
    random = np.random.default_rng(0)
    days = np.arange(GRID.size) / 288
    phase = random.random((SERIES, 2, 1))
    y = random.uniform(5, 50, (SERIES, 1)) + random.uniform(0.5, 3, (SERIES, 1)) * np.sin(
        2 * np.pi * (days + phase[:, 0])
    )
    y += 0.5 * np.sin(4 * np.pi * (days + phase[:, 1]))
    y += np.cumsum(random.normal(size=y.shape), axis=1) * random.uniform(0, 0.03, (SERIES, 1))
    y += random.normal(size=y.shape) * random.uniform(0.1, 0.6, (SERIES, 1))
    y[np.repeat(random.random((SERIES // TARGET, GRID.size)) < 0.05, TARGET, axis=0)] = np.nan
    return y.astype(np.float32)


def stored(history: Float32) -> list[Figure]:
    """Measure the same from the store's file, as a fit process reads it, and all that a fit process does."""
    with tempfile.TemporaryDirectory() as directory:
        store = stored_history.Stored(Path(directory), GRID, history.astype(np.float64))
        chunks = store.chunks(CHUNK)
        read = cpu(lambda: [store.read(chunk) for chunk in chunks]) / len(history)
        ready = cpu(lambda: forecast(_fit_chunks([store.read(chunk) for chunk in chunks]))) / len(history)
        refit = cpu(lambda: [store.refit(chunk) for chunk in chunks]) / len(history)
        at_rest, rollups = store.bytes_a_point()
    return [
        Figure("stored history, fit, 288 steps, 3 bands", ready * US, "us a series", MUST_US),
        Figure("  of which reading the store", read * US, "us a series"),
        Figure("hourly refit of 1,000,000 series, as a fit process does it", refit * US / 36, "% of a core", 5),
        Figure("points of a series each 5 minutes, at rest", at_rest, "B a point"),
        Figure("  and their rollups", rollups, "B a point"),
    ]


def scattered(history: Float32) -> list[Figure]:
    """Measure both where each series misses points of its own, so that no two series share their times."""
    gaps = np.random.default_rng(1).random(history.shape) < 0.05
    found = stored(np.where(gaps, np.nan, history).astype(np.float32))
    return [replace(figure, name=f"{figure.name}, gaps of its own") for figure in (found[0], found[2])]


def forecast(fits: list[BatchFit]) -> list[tuple[Float64, Float64]]:
    """Return yhat `(B, 288)` and half of each band `(3, B, 288)` of the next day."""
    return [
        _forecast(columns.theta()[some], {name: columns.numbers[name][some] for name in _TREND}, columns.design)
        for fit in fits
        for _, columns in fit.columns()
        for some in _slices(len(columns.numbers["k"]))
    ]


def _forecast(theta: Float64, trend: Numbers, design: Design) -> tuple[Float64, Float64]:
    x = design.evaluate(GRID.times_after(STEPS))
    sigma, rate, mean_delta = (trend[name][:, np.newaxis] for name in _TREND)
    future = future_trend(np.arange(1.0, STEPS + 1), np.array(GRID.step_nano / DAY), rate, mean_delta)
    return theta @ x.T, prophet_half_widths(sigma, future, INTERVAL_WIDTHS)


def _slices(size: int) -> Iterator[slice]:
    return (slice(first, first + BANDS_AT_ONCE) for first in range(0, size, BANDS_AT_ONCE))


def prophet_seconds(history: Float32) -> tuple[float, float]:
    """Return the library's seconds a series, of it and its Stan process, for fit and for fit and predict."""
    future = frame(GRID.times_after(STEPS), np.zeros(STEPS))
    sample = history[:: SERIES // PEER_SERIES].astype(np.float64)

    def fitted(y: Float64) -> object:
        return new_prophet(PARITY).fit(frame(GRID.times(), y))

    def predicted(y: Float64) -> object:
        model = new_prophet(PARITY)
        model.uncertainty_samples = 1000
        return model.fit(frame(GRID.times(), y)).predict(future)

    predicted(sample[0])
    fit = cpu(lambda: [fitted(y) for y in sample]) / len(sample)
    return fit, cpu(lambda: [predicted(y) for y in sample]) / len(sample)


def prophet_batch_seconds(history: Float32) -> float:
    """Return prophet-batch's seconds a series for its fit of a hundred."""
    import pandas as pd
    from prophet_batch import fit_many

    sample = history[:: SERIES // BATCH_PEER_SERIES].astype(np.float64)
    table = pd.concat([frame(GRID.times(), y).assign(id=i) for i, y in enumerate(sample)])
    return cpu(lambda: fit_many(table, id_col="id", weekly_seasonality=True, n_jobs=1)) / len(sample)


def _fit(history: Float32, settings: ProphetSettings) -> list[BatchFit]:
    regressors = build_regressors(GRID, settings)
    return [solve(history[i : i + CHUNK], regressors) for i in range(0, len(history), CHUNK)]


def _fit_chunks(chunks: list[tuple[Grid, Float64]]) -> list[BatchFit]:
    grid = chunks[0][0]
    regressors = build_regressors(grid, PARITY)
    return [solve(y, regressors) for _, y in chunks]
