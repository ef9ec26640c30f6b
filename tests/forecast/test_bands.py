import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.forecast.bands import (
    alert_band,
    calibrated_band,
    clipped_yhat,
    combined_z,
    future_trend,
    prophet_band,
    prophet_half_widths,
)
from collector_processor.telemetry.points import Float64

NAN = float("nan")

finite = st.floats(-1e3, 1e3)
tolerances = st.floats(1e-3, 1e3)


def row(*values: float) -> Float64:
    return np.array([values], np.float64)


def one(value: float) -> Float64:
    return np.array([value], np.float64)


def bisected_edge(forecasts: Float64, tolerance: Float64, threshold: float, inside: float, direction: int) -> float:
    """Find where z crosses the threshold, between a value inside and one far outside."""
    near, far = inside, inside + direction * 1e5
    for _ in range(200):
        middle = 0.5 * (near + far)
        if combined_z(one(middle), forecasts, tolerance)[0] <= threshold:
            near = middle
        else:
            far = middle
    return near


def test_the_combined_score_is_the_fourth_power_mean_of_the_distances_in_tolerances() -> None:
    z = combined_z(one(10.0), row(8.0, 9.0), row(2.0, 4.0))
    assert z[0] == pytest.approx(((1.0**4 + 0.25**4) / 2) ** 0.25)


def test_an_absent_forecast_or_tolerance_takes_no_part() -> None:
    expected = combined_z(one(10.0), row(8.0), row(2.0))
    for forecasts, tolerance in [(row(8.0, NAN), row(2.0, 1.0)), (row(8.0, 9.0), row(2.0, NAN))]:
        np.testing.assert_allclose(combined_z(one(10.0), forecasts, tolerance), expected)
        band = alert_band(forecasts, tolerance, one(1.1))
        np.testing.assert_allclose([band.lower[0], band.upper[0]], [8.0 - 2.2, 8.0 + 2.2])


def test_without_any_forecast_there_is_no_score_and_no_band() -> None:
    band = alert_band(row(NAN, 1.0), row(1.0, NAN), one(1.1))
    assert np.isnan([band.lower[0], band.upper[0], band.threshold[0]]).all()
    assert not band.disagree[0]
    assert np.isnan(combined_z(one(1.0), row(NAN, NAN), row(1.0, 1.0)))[0]
    assert np.isnan(clipped_yhat(row(NAN, NAN), np.zeros(1, np.uint8), band))[0]


@settings(deadline=None, max_examples=60)
@given(st.tuples(finite, finite), st.tuples(tolerances, tolerances), st.floats(0.5, 3.0))
def test_the_band_is_where_bisection_finds_its_edges(
    f: tuple[float, float], w: tuple[float, float], threshold: float
) -> None:
    forecasts, tolerance = row(*f), row(*w)
    band = alert_band(forecasts, tolerance, one(threshold))
    inside = 0.5 * (band.lower[0] + band.upper[0])
    used, scale = float(band.threshold[0]), max(abs(band.upper[0] - band.lower[0]), 1e-9)
    assert used >= threshold
    lower = bisected_edge(forecasts, tolerance, used, inside, -1)
    upper = bisected_edge(forecasts, tolerance, used, inside, +1)
    assert band.lower[0] == pytest.approx(lower, rel=1e-12, abs=1e-6 * scale)
    assert band.upper[0] == pytest.approx(upper, rel=1e-12, abs=1e-6 * scale)


def test_the_edges_satisfy_the_equation_to_the_last_digits_for_many_forecasts() -> None:
    rng = np.random.default_rng(1)
    forecasts = rng.normal(size=(5000, 4)) * rng.lognormal(0, 2, (5000, 1))
    tolerance = rng.lognormal(0, 2, (5000, 4))
    forecasts[rng.random(forecasts.shape) < 0.2] = np.nan
    forecasts[:, 0] = 0.0
    band = alert_band(forecasts, tolerance, np.full(5000, 1.1))
    np.testing.assert_allclose(combined_z(band.lower, forecasts, tolerance), band.threshold, rtol=1e-9)
    np.testing.assert_allclose(combined_z(band.upper, forecasts, tolerance), band.threshold, rtol=1e-9)
    assert 0 < band.disagree.sum() < 5000


def test_forecasts_that_disagree_raise_the_threshold_a_tenth_above_the_smallest_z() -> None:
    band = alert_band(row(0.0, 10.0), row(1.0, 1.0), one(1.1))
    assert band.disagree[0]
    assert band.threshold[0] == pytest.approx(1.1 * 5.0)
    assert 0.0 < band.lower[0] < 5.0 < band.upper[0] < 10.0
    assert band.lower[0] + band.upper[0] == pytest.approx(10.0)


def test_the_band_does_not_shrink_to_nothing_just_before_forecasts_disagree() -> None:
    apart = np.linspace(0.0, 4.0, 401)
    band = alert_band(np.stack([-apart / 2, apart / 2], axis=1), np.ones((401, 2)), np.full(401, 1.1))
    width = band.upper - band.lower
    assert width.min() > 0.5
    assert np.abs(np.diff(width)).max() < 0.05  # no jump where the threshold begins to rise


def test_a_zero_width_band_accepts_only_an_exact_hit() -> None:
    for tolerance in [row(0.0, 0.0), row(0.0, 3.0), row(0.0, NAN)]:
        band = alert_band(row(5.0, 5.0), tolerance, one(1.1))
        assert (band.lower[0], band.upper[0], band.disagree[0]) == (5.0, 5.0, False)
    z = combined_z(np.array([5.0, np.nextafter(5.0, 6.0)]), np.full((2, 2), 5.0), np.zeros((2, 2)))
    assert list(z) == [0.0, np.inf]


def test_an_exact_forecast_far_from_a_loose_one_keeps_its_value_and_says_so() -> None:
    band = alert_band(row(5.0, 9.0), row(0.0, 1.0), one(1.1))
    assert (band.lower[0], band.upper[0], band.disagree[0]) == (5.0, 5.0, True)


def test_exact_forecasts_that_contradict_each_other_are_the_limit_of_small_tolerances() -> None:
    torn = alert_band(row(5.0, 9.0), row(0.0, 0.0), one(1.1))
    nearly = alert_band(row(5.0, 9.0), row(1e-9, 1e-9), one(1.1))
    assert torn.disagree[0]
    np.testing.assert_allclose([torn.lower[0], torn.upper[0]], [nearly.lower[0], nearly.upper[0]])


@pytest.mark.parametrize("offset", [1e12, -1e12, 2.0**50])
def test_a_huge_offset_costs_no_precision(offset: float) -> None:
    small = alert_band(row(0.25, -0.5), row(1.0, 0.5), one(1.1))
    huge = alert_band(row(offset + 0.25, offset - 0.5), row(1.0, 0.5), one(1.1))
    spacing = np.spacing(abs(offset))
    assert huge.lower[0] - offset == pytest.approx(small.lower[0], abs=spacing)
    assert huge.upper[0] - offset == pytest.approx(small.upper[0], abs=spacing)


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e30, 1e200])
def test_extreme_units_neither_overflow_nor_underflow(unit: float) -> None:
    band = alert_band(unit * row(0.0, 9.0), unit * row(1.0, 2.0), one(1.1))
    plain = alert_band(row(0.0, 9.0), row(1.0, 2.0), one(1.1))
    np.testing.assert_allclose([band.lower[0] / unit, band.upper[0] / unit], [plain.lower[0], plain.upper[0]])
    assert band.threshold[0] == pytest.approx(plain.threshold[0])


def test_a_row_is_the_same_alone_and_among_others() -> None:
    rng = np.random.default_rng(2)
    forecasts, tolerance = rng.normal(size=(200, 2)) * 2, rng.lognormal(size=(200, 2))
    tolerance[::7] = 0.0
    together = alert_band(forecasts, tolerance, np.full(200, 1.1))
    for i in range(200):
        alone = alert_band(forecasts[i : i + 1], tolerance[i : i + 1], one(1.1))
        assert alone.lower[0] == together.lower[i]
        assert alone.upper[0] == together.upper[i]


def test_the_arguments_are_left_as_they_were() -> None:
    forecasts, tolerance, threshold = row(1.0, 30.0), row(0.0, 2.0), one(1.1)
    alert_band(forecasts, tolerance, threshold)
    assert (forecasts == row(1.0, 30.0)).all()
    assert (tolerance == row(0.0, 2.0)).all()
    assert threshold[0] == 1.1


def test_yhat_is_the_winner_and_stays_inside_the_band() -> None:
    forecasts = np.array([[0.0, 10.0], [0.0, 0.5], [NAN, 0.5]])
    band = alert_band(forecasts, np.ones((3, 2)), np.full(3, 1.1))
    yhat = clipped_yhat(forecasts, np.array([1, 1, 0], np.uint8), band)
    assert band.lower[0] < yhat[0] < band.upper[0]  # the winner itself is outside
    assert yhat[1] == 0.5
    assert yhat[2] == 0.5  # the winner is absent


def test_the_calibrated_band_adds_its_offsets_to_yhat() -> None:
    lower, upper = calibrated_band(one(10.0), row(-1.0, -2.0), row(3.0, 4.0))
    assert lower.tolist() == [[9.0, 8.0]]
    assert upper.tolist() == [[13.0, 14.0]]


def test_prophets_band_is_normal_while_its_trend_is_certain() -> None:
    lower, upper = prophet_band(one(10.0), one(3.0), future_trend(one(0.0), one(0.01), one(25.0), one(9.0)), 0.95)
    assert upper[0] - 10.0 == pytest.approx(1.959963984540054 * 3.0)
    assert 10.0 - lower[0] == pytest.approx(upper[0] - 10.0)


@pytest.mark.parametrize("width", [0.0, 1.0, 95.0])
def test_an_interval_width_outside_zero_to_one_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=str(width)):
        prophet_band(one(0.0), one(1.0), future_trend(one(1.0), one(0.1), one(1.0), one(1.0)), width)


def test_without_noise_the_band_is_that_of_the_trend_alone() -> None:
    trend = future_trend(np.array([0.0, 50.0]), one(0.1), one(2.0), one(1.0))
    silent, quiet = (prophet_half_widths(np.full(2, sigma), trend, (0.8,)) for sigma in (0.0, 1e-6))
    assert silent[0, 0] == 0.0
    np.testing.assert_allclose(silent[0, 1], quiet[0, 1], rtol=1e-5)


def test_a_series_without_a_model_has_no_band() -> None:
    trend = future_trend(np.full(2, 30.0), one(0.1), np.array([np.nan, 2.0]), np.array([np.nan, 1.0]))
    half = prophet_half_widths(np.array([np.nan, 1.0]), trend, (0.8, 0.95))
    assert np.isnan(half[:, 0]).all()
    assert (half[:, 1] > 0.0).all()


def test_the_trend_varies_as_prophets_own_simulation_of_it() -> None:
    rate, step, scale, horizon, draws = 25.0, 0.01, 0.3, 40, 40_000
    rng = np.random.default_rng(3)
    happens = rng.uniform(size=(draws, horizon)) < rate * step
    jump = rng.laplace(0.0, scale, (draws, horizon)) * happens
    previous = np.concatenate([np.zeros((draws, 1)), jump[:, :-1]], axis=1)
    path = ((jump + previous) / 2).cumsum(axis=1).cumsum(axis=1) * step
    expected = future_trend(np.arange(1.0, horizon + 1), one(step), one(rate), one(scale)).sd
    np.testing.assert_allclose(path.std(axis=0), expected, rtol=0.03)


def test_the_trend_is_certain_within_the_history() -> None:
    assert future_trend(np.zeros(2), one(0.1), one(25.0), one(1.0)).sd.tolist() == [0.0, 0.0]
