from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.packed import unpack
from collector_processor.forecast.regressors import Regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, solve
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import LEVEL
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.training import batch, task
from collector_processor.training.batch import Histories, History
from collector_processor.training.request import FitOutcome, FitRequest, FitStatus, Solver
from collector_processor.training.task import fit_chunk
from tests.forecast.fleets import designs_of, forecasts_of
from tests.forecast.shapes import NOW, daily, times

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # prophet 1.5 on pandas 3.1

REQUEST = FitRequest(Path("no such store"), 3, NOW - 28 * DAY, NOW)
TESTED = replace(REQUEST, needs_backtest=True, needs_seed=True)


def fit_points(request: FitRequest, time: Int64, value: Float64) -> FitOutcome:
    points = PointBatch(np.full(time.size, request.series, np.int32), time, value)
    (outcome,) = task.fit_points([request], points)
    return outcome


def fleet_of(outcome: FitOutcome) -> FleetModel:
    return FleetModel.from_records([outcome.record(1, NOW)])


def trending(time: Int64) -> Float64:
    """Return what Prophet knows better than the median of the day."""
    return np.asarray(daily(time) + 2 * (time - NOW) / DAY)


def test_an_outcome_is_a_model_that_forecasts() -> None:
    time = times(5 * 288, 5 * MINUTE)
    outcome = fit_points(REQUEST, time, daily(time))
    assert outcome.status is FitStatus.FITTED
    assert (outcome.trained_start_unix_nano, outcome.trained_end_unix_nano) == (time[0], time[-1])
    ahead = NOW + 10 * MINUTE * np.arange(100)
    found = forecasts_of(fleet_of(outcome), 3, ahead)[:, :LEVEL]
    assert np.abs(found - daily(ahead, noise=0.0)[:, np.newaxis]).max() < 0.5
    assert fleet_of(outcome).fact("std", np.array([3], np.int32))[0] == pytest.approx(np.std(daily(time)))


def test_the_first_fit_is_of_the_seasonal_median_alone_so_that_it_is_quick() -> None:
    time = times(300, 15 * MINUTE)
    outcome = fit_points(replace(REQUEST, is_first=True), time, daily(time))
    assert (outcome.status, outcome.forecaster) == (FitStatus.FITTED, "seasonal")
    assert unpack(outcome.parameters)[0] is None


def test_a_series_of_a_day_gets_no_prophet_that_would_run_away_along_its_trend() -> None:
    time = times(96, 15 * MINUTE)
    assert unpack(fit_points(REQUEST, time, trending(time)).parameters)[0] is None


def test_without_a_backtest_the_earlier_choice_is_kept() -> None:
    time = times(300, 15 * MINUTE)
    earlier = {"reason": "prophet won last time", "end_unix_nano": NOW - HOUR, "origins": 3, "mean_absolute_error": {}}
    first = fit_points(REQUEST, time, daily(time))
    assert (first.forecaster, first.backtest, first.seed) == ("seasonal", None, None)
    kept = fit_points(replace(REQUEST, forecaster="prophet", backtest=earlier), time, daily(time))
    assert (kept.forecaster, kept.reason, kept.backtest) == ("prophet", "prophet won last time", earlier)
    assert orjson.loads(kept.provenance)["backtest"] == earlier


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
    prophet, medians, _ = unpack(outcome.parameters)
    assert prophet is None
    assert [median.is_level for median in medians] == [True, True]
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
    assert forecasts_of(fleet_of(outcome), 3, np.array([NOW]))[0, 1] == 4.0


def test_the_points_of_the_request_are_read_from_the_store(tmp_path: Path) -> None:
    time = times(300, 5 * MINUTE)
    series = np.repeat(np.array([3, 4], np.int32), 300)
    points = PointBatch(series, np.concatenate([time, time]), np.concatenate([daily(time), np.full(300, 9e9)]))
    writer = open_writer(tmp_path, StoreSettings(reserve_bytes=0))
    try:
        writer.commit(Commit(points=points))
        request = replace(REQUEST, directory=tmp_path, start_unix_nano=int(time[100]), end_unix_nano=int(time[200]))
        (outcome,) = fit_chunk((request,))
    finally:
        writer.close()
    expected = fit_points(request, time[100:200], daily(time)[100:200])
    assert outcome.parameters == expected.parameters
    assert (outcome.trained_start_unix_nano, outcome.trained_end_unix_nano) == (time[100], time[199])


def test_without_a_store_the_fit_fails_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        fit_chunk((replace(REQUEST, directory=tmp_path / "absent"),))


def test_a_chunk_of_different_series_is_fitted_as_each_of_them_alone(tmp_path: Path) -> None:
    lengths = {0: 5 * 288, 2: 9 * 288, 3: 20, 5: 15 * 288, 9: 0, 11: 3 * 288}
    columns = [(np.full(n, s, np.int32), times(n, 5 * MINUTE) - s * HOUR, daily(times(n, 5 * MINUTE), s))
               for s, n in lengths.items()]  # fmt: skip
    points = PointBatch(*(np.concatenate(c) for c in zip(*columns, strict=True)))
    chunk = tuple(replace(TESTED, directory=tmp_path, series=s, needs_backtest=s % 2 == 1) for s in (9, 11, 2, 0, 5, 3))
    with closing(open_writer(tmp_path, StoreSettings(reserve_bytes=0))) as writer:
        writer.commit(Commit(points=points))
        together = fit_chunk(chunk)
        alone = [fit_chunk((request,))[0] for request in chunk]
    assert [outcome.request for outcome in together] == list(chunk)
    assert together[0].status is FitStatus.NOT_ENOUGH_DATA
    ahead = NOW + HOUR * np.arange(24)
    for one, other in zip(together[1:], alone[1:], strict=True):
        series = one.request.series
        expected = forecasts_of(fleet_of(other), series, ahead)
        np.testing.assert_allclose(forecasts_of(fleet_of(one), series, ahead), expected, rtol=1e-7)
        assert (one.forecaster, one.solver) == (other.forecaster, other.solver)
        assert (one.seed is None) == (other.seed is None) == (not one.request.needs_backtest or series == 3)


def test_large_chunks_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "_CELLS_AT_ONCE", 20_000)
    time = times(100, 30 * MINUTE)
    series = np.repeat(np.arange(40, dtype=np.int32), 100)
    with closing(open_writer(tmp_path, StoreSettings(reserve_bytes=0))) as writer:
        writer.commit(Commit(points=PointBatch(series, np.tile(time, 40), np.tile(daily(time), 40))))
        chunk = tuple(replace(REQUEST, directory=tmp_path, series=s) for s in range(40))
        outcomes = fit_chunk(chunk)
    assert [o.request.series for o in outcomes] == list(range(40))
    assert {o.solver for o in outcomes} == {Solver.BATCH}
    assert len({o.parameters for o in outcomes}) == 1


def test_what_the_batched_solver_declines_goes_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    time = times(300, 15 * MINUTE)

    def declining(y: Float64, regressors: Regressors) -> BatchFit:
        fit = solve(y, regressors)
        fit.status[:] = Status.NOT_CONVERGED
        return fit

    by_batch = fit_points(REQUEST, time, daily(time))
    monkeypatch.setattr(batch, "solve", declining)
    by_library = fit_points(REQUEST, time, daily(time))
    assert (by_batch.solver, by_batch.declined) == (Solver.BATCH, "")
    assert (by_library.solver, by_library.declined) == (Solver.LIBRARY, "not_converged")
    ahead = NOW + HOUR * np.arange(24)
    np.testing.assert_allclose(
        forecasts_of(fleet_of(by_library), 3, ahead), forecasts_of(fleet_of(by_batch), 3, ahead), atol=0.1
    )


def test_a_model_knows_the_settings_it_was_fitted_with() -> None:
    time = times(5 * 288, 5 * MINUTE)
    settings = ProphetSettings(time_zone="Asia/Tokyo", changepoint_prior_scale=0.5, daily_seasonality=6)
    outcome = fit_points(replace(REQUEST, settings=settings), time, daily(time))
    said = orjson.loads(outcome.provenance)
    assert said["fingerprint"] == settings.fingerprint
    assert said["settings"] == {"changepoint_prior_scale": 0.5, "daily_seasonality": 6}
    assert {design.time_zone for design in designs_of(fleet_of(outcome))} == {"Asia/Tokyo"}
    assert outcome.solver is Solver.BATCH
    assert "fingerprint" not in orjson.loads(fit_points(REQUEST, time, daily(time)).provenance)


def test_growth_and_modes_beyond_the_solver_go_to_the_library_with_the_reason() -> None:
    time = times(300, 15 * MINUTE)
    reasons = {}
    for settings in (
        ProphetSettings(growth="logistic", cap=20.0, scaling="absmax"),
        ProphetSettings(seasonality_mode="multiplicative", scaling="absmax"),
        ProphetSettings(growth="flat"),
    ):
        outcome = fit_points(replace(REQUEST, settings=settings), time, daily(time))
        reasons[outcome.declined] = outcome.solver
        ahead = NOW + HOUR * np.arange(24)
        found = forecasts_of(fleet_of(outcome), 3, ahead)[:, 0]
        assert np.abs(found - daily(ahead, noise=0.0)).max() < 0.6
    assert reasons == {
        "logistic growth": Solver.LIBRARY,
        "multiplicative seasonality": Solver.LIBRARY,
        "": Solver.BATCH,
    }


def test_no_forecast_before_an_origin_knows_what_came_after_it() -> None:
    time = times(6 * 288, 5 * MINUTE)
    value, origin = daily(time), NOW - DAY + 2 * MINUTE
    spoiled = np.where(time >= origin, 1e6, value)
    clean, late = (Histories([History(time, v)], 15 * MINUTE) for v in (value, spoiled))
    found = [h.fit_before(np.array([0]), np.array([origin]))[0].fitted for h in (clean, late)]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_allclose(found[0].theta(), found[1].theta(), rtol=1e-9, atol=1e-9)
