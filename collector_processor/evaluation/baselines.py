"""What everybody has already: simple detectors in the same run, each silent for its first day.

They see the points a replay took, in order, and know only what came before a point.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from collector_processor.clock import DAY, HOUR
from collector_processor.evaluation.dataset import LabelledSeries
from collector_processor.evaluation.kmeans import unlike_all
from collector_processor.evaluation.plain_prophet import outside_prophet
from collector_processor.evaluation.trace import Trace
from collector_processor.telemetry.points import Bool, Float64

FLOOR = "seasonal naive, 1.5 x 7-day 99.9 % quantile"

_Floats = npt.NDArray[np.floating[Any]]
_QUIET = DAY
_MAD = 1.4826
_TINY = 1e-12  # of the largest value: below it a spread is rounding


def flags(series: LabelledSeries, trace: Trace) -> dict[str, Bool]:
    """Return, by detector, which points `(n,)` it flags."""
    warm = trace.time_unix_nano >= trace.time_unix_nano[:1] + _QUIET
    return {name: flag(series, trace) & warm for name, flag in BASELINES.items()}


def _floor(_: LabelledSeries, trace: Trace) -> Bool:
    residual = np.abs(trace.value - trace.day_before)
    usual = _rolling(trace, residual, 7 * DAY).quantile(0.999).to_numpy()
    return _beyond(residual, 1.5 * usual, trace)


def _rolling_z(_: LabelledSeries, trace: Trace) -> Bool:
    window = _rolling(trace, trace.value, DAY)
    return _beyond(np.abs(trace.value - window.mean().to_numpy()), 5.0 * window.std().to_numpy(), trace)


def _naive_mad(_: LabelledSeries, trace: Trace) -> Bool:
    residual = trace.value - trace.day_before
    away = np.abs(residual - _rolling(trace, residual, 7 * DAY).median().to_numpy())
    return _beyond(away, 8.0 * _MAD * _rolling(trace, away, 7 * DAY).median().to_numpy(), trace)


def _prophet(series: LabelledSeries, trace: Trace) -> Bool:
    return outside_prophet(trace.time_unix_nano, trace.value, max(5 * HOUR // 60, series.step))


def _kmeans(series: LabelledSeries, trace: Trace) -> Bool:
    return unlike_all(trace.value, max(1, DAY // series.step))


def _random(_: LabelledSeries, trace: Trace) -> Bool:
    return np.random.default_rng(trace.value.size).random(trace.value.size) < 0.001


BASELINES: dict[str, Callable[[LabelledSeries, Trace], Bool]] = {
    FLOOR: _floor,
    "rolling z-score > 5, 1 day": _rolling_z,
    "seasonal naive + MAD > 8": _naive_mad,
    "Prophet refitted daily, 99 % band": _prophet,
    "k-means, Netdata style": _kmeans,
    "random 0.1 % of points": _random,
}


def _rolling(trace: Trace, column: Float64, length: int) -> "pd.api.typing.Rolling[pd.Series[float]]":
    """Return a window over what came before each point."""
    index = pd.to_datetime(trace.time_unix_nano)
    return pd.Series(column, index).rolling(pd.Timedelta(length, "ns"), min_periods=20, closed="left")


def _beyond(distance: _Floats, reach: _Floats, trace: Trace) -> Bool:
    rounding = _TINY * float(np.abs(trace.value).max(initial=0.0))
    return np.asarray(distance > np.maximum(reach, rounding))
