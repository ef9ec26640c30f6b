"""A chunk of fits, from requests to outcomes: a pure function of what the store holds, run in a worker process.

A request names a series and a time range, not data, so it can be repeated anywhere. Prophet is fitted on means over a
step (5 minutes): noise inside it says nothing about tomorrow. Forecasts are judged at full resolution.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from collector_processor.detect.level import levels_before
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.errors import StoreError
from collector_processor.forecast.backtest import Backtest, backtest, origins
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.packed import pack
from collector_processor.forecast.resample import standard_deviation
from collector_processor.forecast.seasonal import FittedSeasonal, SeasonalForecaster
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.forecast import Fitted
from collector_processor.telemetry.points import PointBatch
from collector_processor.training.batch import Histories, History, ProphetFit, keep_machine_code
from collector_processor.training.request import Chunk, FitOutcome, FitRequest, FitStatus

_FIRST_READ = 16
_CELLS_AT_ONCE = 4_000_000  # points held, or cells of the grid, whatever is more: some 100 MB


def fit_chunk(chunk: Chunk) -> list[FitOutcome]:
    """Read the points of all requests and fit them together; outcomes are in the order of requests.

    Raises:
        StoreError: if the store can't be read.
    """
    keep_machine_code(chunk[0].directory)
    outcomes: list[FitOutcome] = []
    for requests, points in read_in_parts(chunk):
        outcomes += fit_points(requests, points)
    return outcomes


def fit_points(requests: Sequence[FitRequest], points: PointBatch) -> list[FitOutcome]:
    """Fit points sorted by (series, time) as requests ask; NaN and infinities are missing."""
    histories = [history_of(request, points) for request in requests]
    filled = [i for i, history in enumerate(histories) if history.value.size]
    outcomes = [FitOutcome(r, FitStatus.NOT_ENOUGH_DATA, "there is no finite value in the window") for r in requests]
    found = _fit_prophets([requests[i] for i in filled], [histories[i] for i in filled])
    for i, prophets in zip(filled, found, strict=True):
        outcomes[i] = _outcome(requests[i], histories[i], prophets)
    return outcomes


def read_in_parts(chunk: Chunk) -> Iterator[tuple[Sequence[FitRequest], PointBatch]]:
    """Yield a few requests with their points, then as many at once as fit the memory meant for it."""
    at, size = 0, _FIRST_READ
    while at < len(chunk):
        part = chunk[at : at + size]
        points = _read(part)
        yield part, points
        at += len(part)
        rows = max(r.end_unix_nano - r.start_unix_nano for r in part) // part[0].step
        size = max(1, _CELLS_AT_ONCE // max(rows, len(points) // len(part)))


def history_of(request: FitRequest, points: PointBatch) -> History:
    """Return the finite points of a request, maintenance left out, out of points sorted by (series, time)."""
    bounds = np.array([request.series, request.series + 1], points.series.dtype)  # of one type, or all are converted
    first, last = np.searchsorted(points.series, bounds)
    time, value = points.time_unix_nano[first:last], points.value[first:last]
    kept = np.isfinite(value) & (time >= request.start_unix_nano) & (time < request.end_unix_nano)
    kept &= ~request.settings.maintenance.covers(time)
    return History(time, value) if kept.all() else History(time[kept], value[kept])


@dataclass(frozen=True, slots=True)
class _Prophets:
    """Prophet fitted on a whole history, and before the origins of a backtest."""

    whole: ProphetFit
    before: Mapping[int, FittedProphet | None]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which forecast is drawn, why, and what the backtest said."""

    forecaster: str
    reason: str
    backtest: dict[str, Any] | None


def _read(part: Sequence[FitRequest]) -> PointBatch:
    directory, series = part[0].directory, np.array([r.series for r in part], np.int32)
    try:
        return _reader(directory).read_points(
            series, min(r.start_unix_nano for r in part), max(r.end_unix_nano for r in part)
        )
    except StoreError:
        _reader.cache_clear()  # the next chunk opens the store anew
        raise


def _fit_prophets(requests: Sequence[FitRequest], histories: Sequence[History]) -> list[_Prophets]:
    """Fit whole histories, then all that a backtest needs one, two, three days before their ends."""
    grown = [i for i, request in enumerate(requests) if not request.is_first]
    result = [_Prophets(ProphetFit(), {}) for _ in requests]
    if not grown:
        return result
    together = Histories([histories[i] for i in grown], requests[0].step, requests[0].settings)
    days = [_origins(requests[i], histories[i]) for i in grown]
    before: list[dict[int, FittedProphet | None]] = [{} for _ in grown]
    for turn in range(max(map(len, days))):
        rows = [row for row, origin in enumerate(days) if len(origin) > turn]
        until = [days[row][turn] for row in rows]
        fits = together.fit_before(np.array(rows, np.int64), np.array(until, np.int64))
        for row, origin, fit in zip(rows, until, fits, strict=True):
            before[row][origin] = fit.fitted
    for i, whole, earlier in zip(grown, together.fit(), before, strict=True):
        result[i] = _Prophets(whole, earlier)
    return result


def _origins(request: FitRequest, history: History) -> list[int]:
    if not request.needs_backtest:
        return []
    return origins(int(history.time_unix_nano[0]), int(history.time_unix_nano[-1]) + 1)


def _outcome(request: FitRequest, history: History, prophets: _Prophets) -> FitOutcome:
    time, value = history.time_unix_nano, history.value
    prophet = prophets.whole.fitted
    medians = _medians(request, history)
    std = standard_deviation(value)
    tested = _backtest(request, history, prophets.before) if request.needs_backtest else None
    choice = _keep(request) if tested is None or not tested.origins else _choose(tested, request.end_unix_nano)
    if prophet is None and not request.is_first:
        choice = replace(choice, forecaster="seasonal", reason="Prophet can't be fitted to so few points")
    return FitOutcome(
        request,
        FitStatus.FITTED,
        choice.reason,
        forecaster=choice.forecaster,
        parameters=pack(prophet, medians, std),
        provenance=_provenance(choice.backtest, request.settings),
        backtest=choice.backtest,
        trained_start_unix_nano=int(time[0]),
        trained_end_unix_nano=int(time[-1]),
        seed=_seed(tested, history, std) if request.needs_seed and tested is not None else None,
        solver=prophets.whole.solver,
        declined=prophets.whole.declined,
    )


def _backtest(request: FitRequest, history: History, before: Mapping[int, FittedProphet | None]) -> Backtest:
    time, value = history.time_unix_nano, history.value

    def fit(origin: int) -> tuple[Fitted | None, ...]:
        past = time < origin
        return before[origin], *_medians(request, History(time[past], value[past])), None

    return backtest(time, value, fit)


def _medians(request: FitRequest, history: History) -> tuple[FittedSeasonal, FittedSeasonal]:
    """Fit the medians of the day over seven days and over three."""
    zone = request.settings.time_zone
    time, value = history.time_unix_nano, history.value
    return SeasonalForecaster(zone).fit(time, value), SeasonalForecaster.recent(zone).fit(time, value)


def _keep(request: FitRequest) -> _Choice:
    if request.backtest is None:
        return _Choice("seasonal", "not backtested yet: that takes two days of history", None)
    return _Choice(request.forecaster, str(request.backtest["reason"]), request.backtest)


def _choose(tested: Backtest, end: int) -> _Choice:
    prophet, seasonal, recent = (float(error) for error in tested.mean_absolute_error())
    better = "recent" if recent < seasonal else "seasonal"
    better = "prophet" if prophet < min(seasonal, recent) else better  # not where Prophet has none: NaN is not less
    reason = (
        f"one day ahead, from {tested.origins} origins, Prophet missed by {prophet:.3g} on average, "
        f"the median of the day by {seasonal:.3g}, that of the last three days by {recent:.3g}"
    )
    error = dict(zip(FORECASTS[:LEVEL], map(_or_none, (prophet, seasonal, recent)), strict=True))
    return _Choice(
        better,
        reason,
        {"end_unix_nano": end, "origins": tested.origins, "mean_absolute_error": error, "reason": reason},
    )


def _seed(tested: Backtest, history: History, std: float) -> Seed | None:
    """Return the calibration the backtest would have left, that of the level included: it needs no model."""
    if not np.isfinite(tested.residual).any() or not np.isfinite(std):
        return None
    residual, days = tested.residual.copy(), tested.time_unix_nano.size
    residual[:, LEVEL] = (history.value - levels_before(history.time_unix_nano, history.value))[-days:]
    return seed_from_residuals(tested.time_unix_nano, residual, std)


def _provenance(tested: dict[str, Any] | None, settings: ProphetSettings) -> str:
    said: dict[str, Any] = {"backtest": tested}
    if settings.fingerprint:
        said |= {"fingerprint": settings.fingerprint, "settings": settings.changed()}
    return orjson.dumps(said).decode()


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None


@cache
def _reader(directory: Path) -> SeriesReader:
    """Return this process' one reader of a store: it remembers the part of it that changes."""
    return open_reader(directory)
