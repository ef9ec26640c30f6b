"""One fit, from request to outcome: a pure function of what the store holds, run in a worker process.

A request names a series and a time range, not data, so it can be repeated anywhere. Prophet is fitted on means over a
step (15 minutes): the cost of a fit grows with the number of points, four weeks at 10 seconds would take minutes, and
noise inside a quarter of an hour says nothing about tomorrow. Forecasts are judged at full resolution.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.errors import NotEnoughDataError, StoreError
from collector_processor.forecast.backtest import MAX_ORIGINS, Backtest, backtest
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import ProphetForecaster
from collector_processor.forecast.resample import means, standard_deviation
from collector_processor.forecast.seasonal import FittedSeasonal, SeasonalForecaster
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int64

PROPHET_HISTORY = 2 * DAY  # by its own rules Prophet knows no time of day before


class FitStatus(StrEnum):
    """How a fit ended."""

    FITTED = "fitted"
    NOT_ENOUGH_DATA = "not_enough_data"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DIED = "died"

    @property
    def is_failure(self) -> bool:
        """Whether something went wrong; too little data is not wrong, only early."""
        return self in {FitStatus.FAILED, FitStatus.TIMED_OUT, FitStatus.DIED}


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Fit the points of one series in `[start, end)` on means over `step` nanoseconds.

    The first fit of a series is of the seasonal median alone: it takes milliseconds, so all of a new fleet has bands
    before Prophet gets to each. With `needs_backtest` the better forecast is found out; else `forecaster` is kept and
    `backtest`, what the backtest of an earlier model said, is carried over. `needs_seed` asks for a first calibration
    from the backtest's residuals.
    """

    directory: Path
    series: int
    start_unix_nano: int
    end_unix_nano: int
    step: int = 15 * MINUTE
    is_first: bool = False
    needs_backtest: bool = False
    needs_seed: bool = False
    forecaster: str = "seasonal"
    backtest: dict[str, Any] | None = None

    @property
    def fits(self) -> int:
        """How many histories are fitted at most."""
        return 1 + (MAX_ORIGINS if self.needs_backtest else 0)


@dataclass(frozen=True, slots=True)
class FitOutcome:
    """What became of a request; `reason` is one sentence for people.

    The rest comes with FITTED: `parameters` is the JSON of a ModelRecord, `backtest` is part of it, `seed` is there
    when it was asked for and the history is long enough.
    """

    request: FitRequest
    status: FitStatus
    reason: str
    forecaster: str = ""
    parameters: str = ""
    backtest: dict[str, Any] | None = None
    trained_start_unix_nano: int = 0
    trained_end_unix_nano: int = 0
    seed: Seed | None = None


def fit_series(request: FitRequest) -> FitOutcome:
    """Read the points of a request and fit them.

    Raises:
        StoreError: if the store can't be read.
    """
    series = np.array([request.series], np.int32)
    try:
        points = _reader(request.directory).read_points(series, request.start_unix_nano, request.end_unix_nano)
    except StoreError:
        _reader.cache_clear()  # the next request opens the store anew
        raise
    return fit_points(request, points.time_unix_nano, points.value)


def fit_points(request: FitRequest, time_unix_nano: Int64, value: Float64) -> FitOutcome:
    """Fit ascending times `(n,)` and values `(n,)` as a request asks; NaN and infinities are missing."""
    finite = np.isfinite(value)
    time, observed = time_unix_nano[finite], value[finite]
    if not time.size:
        return FitOutcome(request, FitStatus.NOT_ENOUGH_DATA, "there is no finite value in the window")
    prophet = None if request.is_first else _fit_prophet(time, observed, request.step)
    seasonal = SeasonalForecaster().fit(time, observed)
    std = standard_deviation(observed)
    tested = backtest(time, observed, lambda t, v: _fit_both(t, v, request.step)) if request.needs_backtest else None
    choice = _keep(request) if tested is None or not tested.origins else _choose(tested, request.end_unix_nano)
    if prophet is None and not request.is_first:
        choice = replace(choice, forecaster="seasonal", reason="Prophet can't be fitted to so few points")
    return FitOutcome(
        request,
        FitStatus.FITTED,
        choice.reason,
        forecaster=choice.forecaster,
        parameters=_parameters(prophet, seasonal, std, choice.backtest),
        backtest=choice.backtest,
        trained_start_unix_nano=int(time[0]),
        trained_end_unix_nano=int(time[-1]),
        seed=_seed(tested, std) if request.needs_seed and tested is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which forecast is drawn, why, and what the backtest said."""

    forecaster: str
    reason: str
    backtest: dict[str, Any] | None


def _keep(request: FitRequest) -> _Choice:
    if request.backtest is None:
        return _Choice("seasonal", "not backtested yet: that takes two days of history", None)
    return _Choice(request.forecaster, str(request.backtest["reason"]), request.backtest)


def _choose(tested: Backtest, end: int) -> _Choice:
    prophet, seasonal = (float(error) for error in tested.mean_absolute_error())
    better = "prophet" if prophet < seasonal else "seasonal"  # also where Prophet has none: NaN is not less
    reason = (
        f"one day ahead, from {tested.origins} origins, Prophet missed by {prophet:.3g} on average, "
        f"the median of the day by {seasonal:.3g}"
    )
    error = dict(zip(FORECASTS, (_or_none(prophet), _or_none(seasonal)), strict=True))
    return _Choice(
        better,
        reason,
        {"end_unix_nano": end, "origins": tested.origins, "mean_absolute_error": error, "reason": reason},
    )


def _fit_both(time: Int64, value: Float64, step: int) -> tuple[FittedProphet | None, FittedSeasonal]:
    """Fit in the order of FORECASTS; Prophet may refuse, a median never does."""
    return _fit_prophet(time, value, step), SeasonalForecaster().fit(time, value)


def _fit_prophet(time: Int64, value: Float64, step: int) -> FittedProphet | None:
    """Fit, unless the series is so young that Prophet would have no season and run away along its trend."""
    if time[-1] - time[0] < PROPHET_HISTORY:
        return None
    try:
        return ProphetForecaster().fit(*means(time, value, step))
    except NotEnoughDataError:
        return None


def _seed(tested: Backtest, std: float) -> Seed | None:
    if not np.isfinite(tested.residual).any() or not np.isfinite(std):
        return None
    return seed_from_residuals(tested.time_unix_nano, tested.residual, std)


def _parameters(
    prophet: FittedProphet | None, seasonal: FittedSeasonal, std: float, tested: dict[str, Any] | None
) -> str:
    return orjson.dumps(
        {
            "prophet": prophet.parameters() if prophet else None,
            "seasonal": seasonal.parameters(),
            "std": std,
            "backtest": tested,
        }
    ).decode()


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None


@cache
def _reader(directory: Path) -> SeriesReader:
    """Return this process' one reader of a store: it remembers the part of it that changes."""
    return open_reader(directory)
