"""Hold forecasts against the stored past: `foreband backtest`.

From each of some origins, a day apart, every forecast looks one day ahead, knowing only what came before. The value 24
hours earlier is the forecast that costs nothing: one that does not beat it is not worth drawing.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from collector_processor.clock import DAY
from collector_processor.errors import ForebandError
from collector_processor.forecast.backtest import origins
from collector_processor.forecast.bands import future_trend, prophet_band
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.seasonal import SeasonalForecaster
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.policy import Policies
from collector_processor.report.chart import BarRow, bars, legend_of
from collector_processor.report.page import heading, note, page, table
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.titles import full_title
from collector_processor.training.batch import Histories, History, keep_machine_code
from collector_processor.training.request import FitRequest
from collector_processor.training.task import history_of, read_in_parts

CONTENDERS = ("prophet", "median of the day", "24 h earlier")
_STYLES = ("yhat", "other")
_MOST_PLOTTED = 200


class NothingToTestError(ForebandError):
    """No chosen series has the two days of history a backtest takes."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Durations in nanoseconds; `interval_width` is that of Prophet's interval whose coverage is measured."""

    step: int
    window: int
    origins: int = 7
    interval_width: float = 0.95


@dataclass(frozen=True, slots=True)
class Result:
    """One series: mean absolute `error (3,)` of CONTENDERS over the points that all predicted; NaN without any.

    `covered` is the share of points inside Prophet's interval.
    """

    key: SeriesKey
    origins: int
    points: int
    error: Float64
    covered: float


def chosen_series(directory: Path, stable_ids: Sequence[str]) -> dict[int, SeriesKey]:
    """Return the modelled series of a store by dense id: those with the given ids, or all.

    Raises:
        StoreError: if the store can't be read.
        NothingToTestError: if an id is unknown, or there is no series at all.
    """
    with closing(open_reader(directory)) as reader:
        keys = {i: key for i, key in reader.catalog() if key.statistic.is_modelled}
    unknown = set(stable_ids) - {key.stable_id for key in keys.values()}
    if unknown:
        raise NothingToTestError(f"no modelled series has the id {', '.join(sorted(unknown))}")
    if not keys:
        raise NothingToTestError(f"the store in {directory} has no modelled series")
    return {i: key for i, key in keys.items() if not stable_ids or key.stable_id in stable_ids}


def run_backtest(
    directory: Path,
    series: dict[int, SeriesKey],
    settings: BacktestSettings,
    advance: Callable[[int], None],
    policies: Policies | None = None,
) -> list[Result]:
    """Test every series with at least two days of history; `advance` is told how many more were looked at.

    Each is fitted as the policies ask.

    Raises:
        StoreError: if the store can't be read.
        NothingToTestError: if no series is old enough.
    """
    keep_machine_code(directory)
    results: list[Result] = []
    wanted = policies or Policies()
    prophets = {i: wanted.forecast(key) for i, key in series.items()}
    for prophet in dict.fromkeys(prophets.values()):
        alike = {i: key for i, key in series.items() if prophets[i] == prophet}
        for requests, points in read_in_parts(_requests(directory, alike, settings)):
            histories = {r.series: history_of(r, points) for r in requests}
            results += _test({series[i]: h for i, h in histories.items() if h.value.size}, settings, prophet)
            advance(len(requests))
    if not results:
        raise NothingToTestError("no series has two days of history yet")
    return results


def table_of(results: Sequence[Result], interval_width: float) -> Table:
    """Lay out results for people, the whole in the last row: medians of errors relative to '24 h earlier'."""
    table = Table("series", "origins", "points", *CONTENDERS, f"in {interval_width:.0%}", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for result in sorted(results, key=lambda r: full_title(r.key)):
        best = np.nanmin(result.error) if np.isfinite(result.error).any() else np.nan
        errors = [f"[green]{e:.4g}[/]" if e == best else f"{e:.4g}" for e in result.error]
        table.add_row(
            escape(full_title(result.key)),
            str(result.origins),
            f"{result.points:,}",
            *errors,
            _share(result.covered),
        )
    table.caption = "errors are mean absolute; of all series: the median error relative to that of 24 h earlier"
    table.add_section()
    table.add_row(
        f"[bold]all {len(results):,} series[/]",
        "",
        f"{sum(r.points for r in results):,}",
        *(f"{e:.3g}" for e in relative_error(results)),
        _share(float(np.nanmean([r.covered for r in results]))),
    )
    return table


def report_of(results: Sequence[Result], interval_width: float) -> str:
    """Return the same as an HTML page with plots, the worst series first."""
    ranked = sorted(results, key=_worst_first)[:_MOST_PLOTTED]
    names = [full_title(result.key) for result in ranked]
    total = relative_error(results)
    errors = [BarRow(f"all {len(results):,} series, median", tuple(total[:-1].tolist()))]
    errors += [BarRow(n, tuple(relative_error([r])[:-1].tolist())) for n, r in zip(names, ranked, strict=True)]
    covered = [BarRow("all, mean", (float(np.nanmean([r.covered for r in results])),))]
    covered += [BarRow(name, (result.covered,)) for name, result in zip(names, ranked, strict=True)]
    rows = [[row.label, *(f"{e:.3g}" for e in row.values)] for row in errors[:1]]
    return page(
        "Forecasts held against the stored past",
        [
            heading("Error one day ahead, in units of the value 24 hours earlier"),
            table(("", *CONTENDERS[:-1]), rows),
            legend_of(tuple(zip(CONTENDERS, _STYLES, strict=False))),
            bars(errors, _STYLES, 1.0),
            heading(f"Share of points inside Prophet's {interval_width:.0%} interval"),
            bars(covered, _STYLES[:1], interval_width),
            note(
                f"The {len(ranked)} series with the largest errors of {len(results):,}; the red line is what to reach."
            ),
        ],
    )


def relative_error(results: Sequence[Result]) -> Float64:
    """Return the median over the series of each contender's error in units of the last one's `(3,)`."""
    errors = np.array([r.error for r in results])
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = errors / errors[:, -1:]
    usable = np.isfinite(relative).all(axis=1)
    return np.median(relative[usable], axis=0) if usable.any() else np.full(len(CONTENDERS), np.nan)


def _worst_first(result: Result) -> float:
    relative = relative_error([result])[:-1]
    return -float(relative.min()) if np.isfinite(relative).all() else np.inf


def _requests(directory: Path, series: dict[int, SeriesKey], settings: BacktestSettings) -> tuple[FitRequest, ...]:
    with closing(open_reader(directory)) as reader:
        last = reader.last_points()
    ends = dict(zip(last.series.tolist(), (last.time_unix_nano + 1).tolist(), strict=True))
    known = [i for i in series if i in ends]
    return tuple(FitRequest(directory, i, ends[i] - settings.window, ends[i], settings.step) for i in known)


def _test(histories: dict[SeriesKey, History], settings: BacktestSettings, prophet: ProphetSettings) -> list[Result]:
    days = [_origins(history, settings.origins) for history in histories.values()]
    together = Histories(list(histories.values()), settings.step, prophet) if histories else None
    blocks: list[list[_Day]] = [[] for _ in days]
    for turn in range(max(map(len, days), default=0)):
        rows = [row for row, found in enumerate(days) if len(found) > turn]
        until = [days[row][turn] for row in rows]
        assert together is not None
        fits = together.fit_before(np.array(rows, np.int64), np.array(until, np.int64))
        for row, origin, fit in zip(rows, until, fits, strict=True):
            history = list(histories.values())[row]
            blocks[row].append(_look_ahead(history, origin, fit.fitted, prophet.time_zone, settings))
    return [_result(key, found) for key, found in zip(histories, blocks, strict=True) if found]


@dataclass(frozen=True, slots=True)
class _Day:
    """What became of one origin: residuals `(n, 3)` of CONTENDERS, and which points lay inside the interval."""

    residual: Float64
    is_inside: Bool


def _origins(history: History, most: int) -> list[int]:
    return origins(int(history.time_unix_nano[0]), int(history.time_unix_nano[-1]) + 1, most)


def _look_ahead(
    history: History, origin: int, prophet: FittedProphet | None, time_zone: str, settings: BacktestSettings
) -> _Day:
    time, value = history.time_unix_nano, history.value
    past, ahead = time < origin, (time >= origin) & (time < origin + DAY)
    forecasts = np.full((int(ahead.sum()), len(CONTENDERS)), np.nan)
    is_inside = np.zeros(len(forecasts), np.bool_)
    if past.any() and len(forecasts):
        forecasts[:, 1] = SeasonalForecaster(time_zone).fit(time[past], value[past]).predict(time[ahead])
        forecasts[:, 2] = _a_day_earlier(history, time[ahead], settings.step)
    if prophet is not None:
        forecasts[:, 0] = prophet.predict(time[ahead])
        lower, upper = _interval(prophet, time[ahead], forecasts[:, 0], settings)
        is_inside = (value[ahead] >= lower) & (value[ahead] <= upper)
    return _Day(value[ahead, np.newaxis] - forecasts, is_inside)


def _a_day_earlier(history: History, time: Int64, tolerance: int) -> Float64:
    """Return the newest value a day before each time, NaN where it is older than that by more than `tolerance`."""
    at = np.searchsorted(history.time_unix_nano, time - DAY, side="right") - 1
    is_near = (at >= 0) & (time - DAY - history.time_unix_nano[at] <= tolerance)
    return np.where(is_near, history.value[at], np.nan)


def _interval(
    prophet: FittedProphet, time: Int64, yhat: Float64, settings: BacktestSettings
) -> tuple[Float64, Float64]:
    trend = prophet.trend_parameters
    steps = np.maximum((time - prophet.trained_end_unix_nano) / settings.step, 0.0)
    rate, mean_delta = np.array(trend.changepoint_rate), np.array(trend.mean_delta)
    future = future_trend(steps, np.array(settings.step / DAY), rate, mean_delta)
    return prophet_band(yhat, np.array(trend.sigma), future, settings.interval_width)


def _result(key: SeriesKey, days: Sequence[_Day]) -> Result:
    residual = np.concatenate([day.residual for day in days])
    common = np.abs(residual[np.isfinite(residual).all(axis=1)])
    is_predicted = np.isfinite(residual[:, 0])
    inside = np.concatenate([day.is_inside for day in days])[is_predicted]
    error = common.mean(axis=0) if len(common) else np.full(len(CONTENDERS), np.nan)
    return Result(key, len(days), len(common), error, float(inside.mean()) if inside.size else np.nan)


def _share(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "-"
