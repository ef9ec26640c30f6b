from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.forecast.fleet import FleetModel
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.training.task import FitOutcome, FitRequest, FitStatus, fit_points, fit_series
from tests.forecast.shapes import NOW, daily, times

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # prophet 1.5 on pandas 3.1

REQUEST = FitRequest(Path("no such store"), 3, NOW - 28 * DAY, NOW)
TESTED = replace(REQUEST, needs_backtest=True, needs_seed=True)


def fleet_of(outcome: FitOutcome) -> FleetModel:
    record = ModelRecord(
        outcome.request.series,
        1,
        NOW,
        outcome.trained_start_unix_nano,
        outcome.trained_end_unix_nano,
        outcome.forecaster,
        outcome.reason,
        outcome.parameters,
    )
    return FleetModel.from_records([record])


def trending(time: Int64) -> Float64:
    """Return what Prophet knows better than the median of the day."""
    return np.asarray(daily(time) + 2 * (time - NOW) / DAY)


def test_an_outcome_is_a_model_that_forecasts() -> None:
    time = times(5 * 288, 5 * MINUTE)
    outcome = fit_points(REQUEST, time, daily(time))
    assert outcome.status is FitStatus.FITTED
    assert (outcome.trained_start_unix_nano, outcome.trained_end_unix_nano) == (time[0], time[-1])
    ahead = NOW + 10 * MINUTE * np.arange(100)
    found = fleet_of(outcome).forecasts_of(3, ahead)
    assert np.abs(found - daily(ahead, noise=0.0)[:, np.newaxis]).max() < 0.5
    assert fleet_of(outcome).std[3] == pytest.approx(np.std(daily(time)))


def test_the_first_fit_is_of_the_seasonal_median_alone_so_that_it_is_quick() -> None:
    time = times(300, 15 * MINUTE)
    outcome = fit_points(replace(REQUEST, is_first=True), time, daily(time))
    assert (outcome.status, outcome.forecaster) == (FitStatus.FITTED, "seasonal")
    assert orjson.loads(outcome.parameters)["prophet"] is None


def test_a_series_of_a_day_gets_no_prophet_that_would_run_away_along_its_trend() -> None:
    time = times(96, 15 * MINUTE)
    assert orjson.loads(fit_points(REQUEST, time, trending(time)).parameters)["prophet"] is None


def test_without_a_backtest_the_earlier_choice_is_kept() -> None:
    time = times(300, 15 * MINUTE)
    earlier = {"reason": "prophet won last time", "end_unix_nano": NOW - HOUR, "origins": 3, "mean_absolute_error": {}}
    first = fit_points(REQUEST, time, daily(time))
    assert (first.forecaster, first.backtest, first.seed) == ("seasonal", None, None)
    kept = fit_points(replace(REQUEST, forecaster="prophet", backtest=earlier), time, daily(time))
    assert (kept.forecaster, kept.reason, kept.backtest) == ("prophet", "prophet won last time", earlier)
    assert orjson.loads(kept.parameters)["backtest"] == earlier


def test_the_backtest_finds_the_better_forecast_and_says_why() -> None:
    time = times(4 * 96 + 1, 15 * MINUTE)
    outcome = fit_points(TESTED, time, trending(time))
    assert outcome.forecaster == "prophet"
    assert outcome.backtest is not None
    error = outcome.backtest["mean_absolute_error"]
    assert error["prophet"] < error["seasonal"]
    assert "3 origins" in outcome.reason
    assert f"{error['prophet']:.3g}" in outcome.reason


def test_a_constant_series_draws_the_seasonal_forecast() -> None:
    time = times(4 * 96 + 1, 15 * MINUTE)
    assert fit_points(TESTED, time, np.full(time.size, 5.0)).forecaster == "seasonal"


def test_the_seed_knows_the_residuals_of_the_backtest() -> None:
    time = times(4 * 288 + 1, 5 * MINUTE)
    outcome = fit_points(TESTED, time, daily(time))
    assert outcome.seed is not None
    assert outcome.seed.std == pytest.approx(np.std(daily(time)))
    assert fit_points(replace(TESTED, needs_seed=False), time[::10], daily(time)[::10]).seed is None


def test_a_young_series_has_a_level_and_no_backtest() -> None:
    time = times(20, MINUTE)
    outcome = fit_points(TESTED, time, daily(time))
    parameters = orjson.loads(outcome.parameters)
    assert parameters["prophet"] is None
    assert len(set(parameters["seasonal"]["profile"])) == 1
    assert (outcome.forecaster, outcome.backtest, outcome.seed) == ("seasonal", None, None)
    assert "Prophet" in outcome.reason


def test_where_prophet_cannot_be_fitted_the_season_is_drawn_whatever_won_before() -> None:
    time = times(20, HOUR)
    assert fit_points(replace(REQUEST, forecaster="prophet"), time, daily(time)).forecaster == "seasonal"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_finite_is_too_little_data_not_a_failure(value: float) -> None:
    time = times(100, MINUTE)
    outcome = fit_points(REQUEST, time, np.full(100, value))
    assert outcome.status is FitStatus.NOT_ENOUGH_DATA
    assert not outcome.status.is_failure
    assert fit_points(REQUEST, time[:0], np.empty(0)).status is FitStatus.NOT_ENOUGH_DATA


def test_one_point_is_enough_for_a_level() -> None:
    outcome = fit_points(REQUEST, times(1, MINUTE), np.array([4.0]))
    assert fleet_of(outcome).forecasts_of(3, np.array([NOW]))[0, 1] == 4.0


def test_the_points_of_the_request_are_read_from_the_store(tmp_path: Path) -> None:
    time = times(300, 5 * MINUTE)
    series = np.repeat(np.array([3, 4], np.int32), 300)
    points = PointBatch(series, np.concatenate([time, time]), np.concatenate([daily(time), np.full(300, 9e9)]))
    writer = open_writer(tmp_path, StoreSettings(reserve_bytes=0))
    try:
        writer.commit(Commit(points=points))
        request = replace(REQUEST, directory=tmp_path, start_unix_nano=int(time[100]), end_unix_nano=int(time[200]))
        outcome = fit_series(request)
    finally:
        writer.close()
    expected = fit_points(request, time[100:200], daily(time)[100:200])
    assert outcome.parameters == expected.parameters
    assert (outcome.trained_start_unix_nano, outcome.trained_end_unix_nano) == (time[100], time[199])


def test_without_a_store_the_fit_fails_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        fit_series(replace(REQUEST, directory=tmp_path / "absent"))
