"""A chunk of fits, from requests to outcomes: a pure function of what the store holds, run in a worker process.

A request names a series and a time range, not data, so it can be repeated anywhere. Prophet is fitted on means over a
step (5 minutes): noise inside it says nothing about tomorrow. Forecasts are judged at full resolution.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from collector_processor.detect.level import levels_before
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.errors import StoreError
from collector_processor.forecast.backtest import Backtest, backtest, origins
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.packed import pack
from collector_processor.forecast.resample import standard_deviation
from collector_processor.forecast.seasonal import FittedSeasonal, SeasonalForecaster
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.band import LEVEL
from collector_processor.telemetry.forecast import Fitted
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.points import Int32, PointBatch
from collector_processor.training.batch import Histories, History, ProphetFit, keep_machine_code
from collector_processor.training.outcome import Fit, choose, keep, nothing_to_fit, outcome_of, provenance_of
from collector_processor.training.refit import asks_for_refit, refit
from collector_processor.training.request import Chunk, FitOutcome, FitRequest

_FIRST_READ = 16
_CELLS_AT_ONCE = 4_000_000  # points held, or cells of the grid, whatever is more: some 100 MB


def fit_chunk(chunk: Chunk) -> list[FitOutcome]:
    """Read the points of all requests and fit them together; outcomes are in the order of requests.

    Raises:
        StoreError: if the store can't be read.
    """
    keep_machine_code(chunk[0].directory)
    outcomes: dict[int, FitOutcome] = {}
    for part in _parts([request for request in chunk if asks_for_refit(request)]):
        outcomes.update((outcome.request.series, outcome) for outcome in refit(part, _read_means(part)))
    rest = tuple(request for request in chunk if request.series not in outcomes)
    for requests, points in read_in_parts(rest):
        outcomes.update((outcome.request.series, outcome) for outcome in fit_points(requests, points))
    return [outcomes[request.series] for request in chunk]


def fit_points(requests: Sequence[FitRequest], points: PointBatch) -> list[FitOutcome]:
    """Fit points sorted by (series, time) as requests ask; NaN and infinities are missing."""
    histories = [history_of(request, points) for request in requests]
    filled = [i for i, history in enumerate(histories) if history.value.size]
    outcomes = [nothing_to_fit(request) for request in requests]
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


def _parts(requests: Sequence[FitRequest]) -> Iterator[Sequence[FitRequest]]:
    """Yield as many requests at once as fit the memory meant for their grid."""
    longest = max((r.end_unix_nano - r.start_unix_nano for r in requests), default=1)
    size = max(1, _CELLS_AT_ONCE // (longest // requests[0].step + 1)) if requests else 1
    return (requests[at : at + size] for at in range(0, len(requests), size))


def _read_means(part: Sequence[FitRequest]) -> StepMeans:
    with _opened(part[0].directory) as reader:
        return reader.read_means(*_range_of(part), part[0].step)


def _read(part: Sequence[FitRequest]) -> PointBatch:
    with _opened(part[0].directory) as reader:
        return reader.read_points(*_range_of(part))


def _range_of(part: Sequence[FitRequest]) -> tuple[Int32, int, int]:
    series = np.array([request.series for request in part], np.int32)
    return series, min(r.start_unix_nano for r in part), max(r.end_unix_nano for r in part)


@contextmanager
def _opened(directory: Path) -> Iterator[SeriesReader]:
    try:
        yield _reader(directory)
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
    time, std = history.time_unix_nano, standard_deviation(history.value)
    tested = _backtest(request, history, prophets.before) if request.needs_backtest else None
    choice = keep(request) if tested is None or not tested.origins else choose(tested, request.end_unix_nano)
    prophet, settings = prophets.whole, request.settings
    parameters = pack(prophet.fitted, _medians(request, history), std)
    fit = Fit(parameters, int(time[0]), int(time[-1]), choice, prophet.solver, prophet.declined)
    outcome = outcome_of(request, fit, provenance_of(settings))
    if not request.needs_seed or tested is None:
        return outcome
    return replace(outcome, seed=_seed(tested, history, std))


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


def _seed(tested: Backtest, history: History, std: float) -> Seed | None:
    """Return the calibration the backtest would have left, that of the level included: it needs no model."""
    if not np.isfinite(tested.residual).any() or not np.isfinite(std):
        return None
    residual, days = tested.residual.copy(), tested.time_unix_nano.size
    residual[:, LEVEL] = (history.value - levels_before(history.time_unix_nano, history.value))[-days:]
    return seed_from_residuals(tested.time_unix_nano, residual, std)


@cache
def _reader(directory: Path) -> SeriesReader:
    """Return this process' one reader of a store: it remembers the part of it that changes."""
    return open_reader(directory)
