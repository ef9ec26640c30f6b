"""What breaks Prophet on telemetry, through the product's own path: fitted sanely, or left with a stated reason.

"Sanely" is what an operator would accept: yhat one day ahead stays near what the series has ever been, the band
is finite and as wide as the series' own noise asks for.
"""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.forecast.bands import future_trend, prophet_half_widths
from collector_processor.forecast.fleet import FleetModel
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.training.request import FitOutcome, FitRequest, FitStatus, Solver
from collector_processor.training.task import fit_chunk, fit_points

NOW = 1_767_225_600 * NANOS_PER_SECOND + 37 * DAY
WEEK = NOW - 7 * DAY + 5 * MINUTE * np.arange(2016, dtype=np.int64)
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(0.0, 0.3, WEEK.size)
DAILY = np.sin(2 * np.pi * (WEEK % DAY) / DAY) + NOISE
INDEX = np.arange(WEEK.size)


def fitted(time: Int64, value: Float64) -> FitOutcome:
    request = FitRequest(Path(), 0, int(time.min()) if time.size else 0, int(time.max()) + 1 if time.size else 1)
    return fit_points([request], PointBatch(np.zeros(time.size, np.int32), time, np.asarray(value, np.float64)))[0]


def fleet(outcome: FitOutcome) -> FleetModel:
    assert outcome.status is FitStatus.FITTED, outcome.reason
    return FleetModel.from_records([outcome.record(1, outcome.trained_end_unix_nano)])


def day_ahead(outcome: FitOutcome) -> tuple[Float64, Float64, Float64]:
    """Return Prophet's yhat, half of its 95 % band, and the seasonal forecast of the day after the history."""
    model = fleet(outcome)
    assert model.unreadable == 0
    ahead = outcome.trained_end_unix_nano + 5 * MINUTE * np.arange(1, 289, dtype=np.int64)
    forecasts = model.forecasts(np.zeros(ahead.size, np.int32), ahead)
    names = ("changepoint_rate", "mean_delta", "sigma")
    rate, mean_delta, sigma = (model.fact(name, np.zeros(1, np.int32)) for name in names)
    trend = future_trend(np.arange(1.0, 289.0), np.array(5 * MINUTE / DAY), rate, mean_delta)
    half = prophet_half_widths(sigma, trend, (0.95,))[0]
    return forecasts[:, FORECASTS.index("prophet")], half, forecasts[:, FORECASTS.index("seasonal")]


@pytest.mark.parametrize("level", [0.0, 42.0, -1e12])
def test_a_constant_is_expected_to_stay(level: float) -> None:
    yhat, half, seasonal = day_ahead(fitted(WEEK, np.full(WEEK.size, level)))
    np.testing.assert_allclose(yhat, level)
    np.testing.assert_allclose(seasonal, level)
    assert (half <= 1e-6 * max(1.0, abs(level))).all()


@pytest.mark.parametrize("offset", [1e9, 1e12])
def test_a_huge_offset_leaves_the_noise_its_size(offset: float) -> None:
    yhat, half, _ = day_ahead(fitted(WEEK, offset + DAILY))
    plain, half_plain, _ = day_ahead(fitted(WEEK, DAILY))
    np.testing.assert_allclose(yhat - offset, plain, atol=0.01)
    np.testing.assert_allclose(half, half_plain, rtol=0.01)


def test_a_relative_jitter_of_1e_9_is_measured() -> None:
    yhat, half, _ = day_ahead(fitted(WEEK, 1.0 + 1e-9 * NOISE))
    np.testing.assert_allclose(yhat, 1.0, atol=1e-9)
    assert (half > 0.2e-9).all()
    assert (half < 2e-9).all()


def test_nothing_finite_is_not_enough_data_and_says_so() -> None:
    outcome = fitted(WEEK, np.full(WEEK.size, np.nan))
    assert outcome.status is FitStatus.NOT_ENOUGH_DATA
    assert "no finite value" in outcome.reason


@pytest.mark.parametrize("points", [1, 2, 3, 10, 50])
def test_few_points_have_a_level_and_no_prophet_with_the_reason(points: int) -> None:
    outcome = fitted(WEEK[:points], 10.0 + DAILY[:points])
    yhat, _, seasonal = day_ahead(outcome)
    assert outcome.solver is Solver.NONE
    assert outcome.reason == "Prophet can't be fitted to so few points"
    assert np.isnan(yhat).all()
    assert (np.abs(seasonal - np.median(10.0 + DAILY[:points])) < 2.0).all()


def test_two_points_of_one_time_count_as_one() -> None:
    outcome = fitted(np.repeat(WEEK[:1], 2), np.array([1.0, 3.0]))
    np.testing.assert_allclose(day_ahead(outcome)[2], 2.0)


def test_duplicate_times_change_nothing() -> None:
    once, twice = fitted(WEEK, DAILY), fitted(np.repeat(WEEK, 2), np.repeat(DAILY, 2))
    np.testing.assert_allclose(day_ahead(twice)[0], day_ahead(once)[0], atol=1e-9)


def test_points_that_come_out_of_order_and_twice_are_fitted_as_if_they_had_not(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(np.repeat(INDEX, 2))
    with closing(open_writer(tmp_path, StoreSettings(retention_nano=30 * DAY))) as store:
        for some in np.array_split(order, 5):
            store.commit(Commit(points=PointBatch(np.zeros(some.size, np.int32), WEEK[some], DAILY[some])))
    (outcome,) = fit_chunk((FitRequest(tmp_path, 0, int(WEEK[0]), int(WEEK[-1]) + 1),))
    np.testing.assert_array_equal(day_ahead(outcome)[0], day_ahead(fitted(WEEK, DAILY))[0])


def test_infinities_are_missing() -> None:
    holes = INDEX % 7 == 0
    infinite = np.where(holes, np.where(INDEX % 2 == 0, np.inf, -np.inf), DAILY)
    np.testing.assert_array_equal(
        day_ahead(fitted(WEEK, infinite))[0], day_ahead(fitted(WEEK, np.where(holes, np.nan, DAILY)))[0]
    )


@pytest.mark.parametrize("unit", [1e300, 1e-300, -1.0, 1e15])
def test_the_unit_scales_forecast_and_band_and_changes_nothing_else(unit: float) -> None:
    plain, half_plain, _ = day_ahead(fitted(WEEK, 5.0 + DAILY))
    yhat, half, _ = day_ahead(fitted(WEEK, unit * (5.0 + DAILY)))
    np.testing.assert_allclose(yhat / unit, plain, rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(half / abs(unit), half_plain, rtol=0.02)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of prophet on pandas 3.1: it is asked here
def test_denormal_numbers_are_fitted_or_left_to_the_seasonal_median() -> None:
    outcome = fitted(WEEK, 1e-320 * (5.0 + DAILY))
    yhat, _, seasonal = day_ahead(outcome)
    assert outcome.solver is not Solver.NONE or outcome.declined
    assert np.isnan(yhat).all() or (np.abs(yhat) < 1e-318).all()
    assert (np.abs(seasonal) < 1e-318).all()


def test_flapping_between_0_and_1_stays_in_sight_of_them() -> None:
    yhat, half, _ = day_ahead(fitted(WEEK, (INDEX % 13 < 3).astype(np.float64)))
    assert (yhat > -1.0).all()
    assert (yhat < 2.0).all()
    assert (half < 3.0).all()


def test_one_spike_of_a_million_blinds_no_band() -> None:
    yhat, half, _ = day_ahead(fitted(WEEK, np.where(INDEX == 1500, 1e6, DAILY)))
    plain, half_plain, _ = day_ahead(fitted(WEEK, DAILY))
    np.testing.assert_allclose(yhat, plain, atol=0.1)
    np.testing.assert_allclose(half, half_plain, rtol=0.05)


def test_the_raw_total_of_a_counter_that_resets_stays_within_its_range() -> None:
    total = np.asarray((INDEX % 450) * 1e5, np.float64)  # the product models its rate; a gauge may still look like this
    yhat, half, _ = day_ahead(fitted(WEEK, total))
    assert (np.abs(yhat - total.mean()) < 1.5 * np.ptp(total)).all()
    assert (half < 2.0 * np.ptp(total)).all()


@pytest.mark.parametrize("spacing", [NANOS_PER_SECOND, 10_000_000])
def test_fast_sampling_for_less_than_two_days_is_not_extrapolated(spacing: int) -> None:
    time = NOW - spacing * np.arange(2016, 0, -1, dtype=np.int64)
    outcome = fitted(time, 10.0 + DAILY)
    yhat, _, seasonal = day_ahead(outcome)
    assert np.isnan(yhat).all()
    assert (np.abs(seasonal - 10.0) < 2.0).all()
    assert "so few points" in outcome.reason


@pytest.mark.parametrize("share", [0.70, 0.95])
def test_after_a_step_of_ten_times_the_forecast_stays_in_the_range_of_the_series(share: float) -> None:
    value = (5.0 + DAILY) * np.where(share * WEEK.size < INDEX, 10.0, 1.0)
    yhat, half, seasonal = day_ahead(fitted(WEEK, value))
    for forecast in (yhat, seasonal):
        assert (forecast > value.min() - np.ptp(value)).all()
        assert (forecast < value.max() + np.ptp(value)).all()
    assert np.isfinite(half).all()


def test_a_gap_of_three_days_and_half_the_points_missing_are_fine() -> None:
    plain = day_ahead(fitted(WEEK, DAILY))[0]
    gap = (INDEX > 600) & (INDEX < 600 + 864)
    for missing in (gap, RANDOM.random(WEEK.size) < 0.5):
        yhat, half, _ = day_ahead(fitted(WEEK, np.where(missing, np.nan, DAILY)))
        np.testing.assert_allclose(yhat, plain, atol=0.3)
        assert (half < 2.0).all()


def test_irregular_times_are_fine() -> None:
    time = np.sort(RANDOM.integers(NOW - 7 * DAY, NOW, 1500))
    yhat, half, _ = day_ahead(fitted(time, np.sin(2 * np.pi * (time % DAY) / DAY) + RANDOM.normal(0.0, 0.3, 1500)))
    ahead = time[-1] + 5 * MINUTE * np.arange(1, 289)
    np.testing.assert_allclose(yhat, np.sin(2 * np.pi * (ahead % DAY) / DAY), atol=0.3)
    assert (half < 1.0).all()


def test_beyond_one_window_past_its_end_a_model_says_nothing() -> None:
    outcome = fitted(WEEK, DAILY)
    far = np.array([outcome.trained_end_unix_nano + 7 * DAY + HOUR])
    assert np.isnan(fleet(outcome).forecasts(np.zeros(1, np.int32), far)[0, FORECASTS.index("prophet")])
