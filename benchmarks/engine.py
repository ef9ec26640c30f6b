"""Fit a fleet with the batched solver, against the prophet library and prophet-batch: CPU seconds of one core."""

import logging
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.figures import Figure
from collector_processor.clock import DAY, MINUTE
from collector_processor.forecast.design import DEFAULT_DESIGN
from collector_processor.forecast.reference import frame, new_prophet
from collector_processor.forecast.regressors import Grid, build_regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, solve
from collector_processor.telemetry.points import Float32, Float64

GRID = Grid(1_700_000_000 * 10**9, 5 * MINUTE, 7 * DAY // (5 * MINUTE))
PARITY = ProphetSettings(weekly_seasonality=True, mask_passes=0)
ROBUST = replace(PARITY, mask_passes=3)
SERIES = 5_000
CHUNK = 250
ROUNDS = 3
PEER_SERIES = 10
BATCH_PEER_SERIES = 100
STEPS = 288


def measure() -> list[Figure]:
    """Take all figures from one week of five-minute points with 5 % missing."""
    logging.disable(logging.WARNING)
    history = make_history()
    _fit(history[:CHUNK], PARITY)
    parity = cpu(lambda: _fit(history, PARITY)) / SERIES
    robust = cpu(lambda: _fit(history, ROBUST)) / SERIES
    ready = cpu(lambda: forecast(_fit(history, ROBUST))) / SERIES
    fits = _fit(history, ROBUST)
    prophet_fit, prophet_both = prophet_seconds(history)
    batch = prophet_batch_seconds(history)
    us = 1e6
    return [
        Figure("fit, as Prophet", parity * us, "us a series", 2000, prophet_fit * us, prophet_fit / parity),
        Figure("the same, against prophet-batch", parity * us, "us a series", 100, batch * us, batch / parity),
        Figure("fit, outliers masked", robust * us, "us a series"),
        Figure("fit, masked, 288 steps ahead", ready * us, "us a series", 500, prophet_both * us, prophet_both / ready),
        Figure("hourly refit of 1,000,000 series", robust * us / 36, "% of a core", 10),
        Figure("series not converged", float(sum((f.status == Status.NOT_CONVERGED).sum() for f in fits)), "", 0),
    ]


def make_history() -> Float32:
    """Return different weeks of daily load, drift and noise."""
    random = np.random.default_rng(0)
    days = np.arange(GRID.size) / 288
    phase = random.random((SERIES, 2, 1))
    y = random.uniform(5, 50, (SERIES, 1)) + random.uniform(0.5, 3, (SERIES, 1)) * np.sin(
        2 * np.pi * (days + phase[:, 0])
    )
    y += 0.5 * np.sin(4 * np.pi * (days + phase[:, 1]))
    y += np.cumsum(random.normal(size=y.shape), axis=1) * random.uniform(0, 0.03, (SERIES, 1))
    y += random.normal(size=y.shape) * random.uniform(0.1, 0.6, (SERIES, 1))
    y[random.random(y.shape) < 0.05] = np.nan
    return y.astype(np.float32)


def forecast(fits: list[BatchFit]) -> list[Float64]:
    """Return yhat of the next day of every series, as the fleet does: rows of theta times x(t)."""
    x = DEFAULT_DESIGN.evaluate(GRID.times_after(STEPS)).T
    fitted = [[fit.fitted(i) for i in range(len(fit))] for fit in fits]
    return [np.array([one.theta() for one in chunk if one is not None]) @ x for chunk in fitted]


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


def cpu(work: Callable[[], object]) -> float:
    """Return the median CPU seconds of this process and its children."""
    spent = []
    for _ in range(ROUNDS):
        before = _cpu_now()
        work()
        spent.append(_cpu_now() - before)
    return median(spent)


def _fit(history: Float32, settings: ProphetSettings) -> list[BatchFit]:
    regressors = build_regressors(GRID, settings)
    return [solve(history[i : i + CHUNK], regressors) for i in range(0, len(history), CHUNK)]


def _cpu_now() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
