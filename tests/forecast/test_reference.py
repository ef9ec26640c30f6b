import json
import logging
from typing import Any

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.errors import NotEnoughDataError
from collector_processor.forecast.design import DEFAULT_DESIGN
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import (
    MIN_POINTS,
    ProphetForecaster,
    frame,
    from_prophet,
    new_prophet,
)
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.points import Float64, Int64
from tests.forecast.shapes import NOW, Shape, awkward, daily, ordinary, times, weekly

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # prophet 1.5 on pandas 3.1

PLAIN = ProphetSettings(mask_passes=0)


def around(shape: Shape) -> Int64:
    """Return times in the history and up to one window past it."""
    start, end = int(shape.time[0]), int(shape.time[-1])
    return np.linspace(start - (end - start) // 10, end + (end - start), 301).astype(np.int64)


def yhat_of(model: Any, time: Int64) -> Float64:
    """Ask the library itself."""
    return np.asarray(model.predict(frame(time, np.zeros(time.size)))["yhat"], np.float64)


@pytest.mark.parametrize("name", ordinary())
def test_predict_is_prophets_yhat_and_theta_continues_it(name: str) -> None:
    shape = ordinary()[name]
    model = new_prophet(PLAIN)
    finite = np.isfinite(shape.value)
    model.fit(frame(shape.time[finite], shape.value[finite]))
    fitted, time = from_prophet(model), around(shape)

    expected = yhat_of(model, time)
    np.testing.assert_allclose(fitted.predict(time), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    in_sample = yhat_of(model, shape.time)
    np.testing.assert_allclose(fitted.predict(shape.time), in_sample, rtol=1e-9, atol=1e-9 * np.abs(expected).max())

    after = time[time >= fitted.last_changepoint_unix_nano]
    assert after.size > 100
    theta = DEFAULT_DESIGN.evaluate(after) @ fitted.theta()
    np.testing.assert_allclose(theta, fitted.predict(after), rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_prophets_default_scaling_is_read_too() -> None:
    from prophet import Prophet

    shape = ordinary()["trend"]
    model = Prophet(uncertainty_samples=0).fit(frame(shape.time, shape.value))
    time = around(shape)
    np.testing.assert_allclose(from_prophet(model).predict(time), yhat_of(model, time), rtol=1e-9)


def test_the_fit_without_masking_is_prophets_own() -> None:
    shape = ordinary()["daily"]
    model = new_prophet(PLAIN).fit(frame(shape.time, shape.value))
    np.testing.assert_array_equal(
        ProphetForecaster(PLAIN).fit(shape.time, shape.value).predict(shape.time),
        from_prophet(model).predict(shape.time),
    )


def test_a_spike_does_not_move_the_forecast() -> None:
    time = times(600, 15 * MINUTE)
    clean = daily(time)
    spiked = np.where(np.arange(600) == 500, 1e6, clean)
    horizon = NOW + HOUR * np.arange(24)
    calm = ProphetForecaster().fit(time, clean).predict(horizon)
    assert np.abs(ProphetForecaster().fit(time, spiked).predict(horizon) - calm).max() < 0.3
    assert np.abs(ProphetForecaster(PLAIN).fit(time, spiked).predict(horizon) - calm).max() > 100.0


def test_shifting_and_scaling_the_series_shifts_and_scales_the_forecast() -> None:
    time = times(400, 15 * MINUTE)
    value = np.round(daily(time), 6)
    horizon = NOW + HOUR * np.arange(24)
    plain = ProphetForecaster().fit(time, value).predict(horizon)
    moved = ProphetForecaster().fit(time, value * 1024.0 + 2.0**20).predict(horizon)
    np.testing.assert_allclose((moved - 2.0**20) / 1024.0, plain, rtol=1e-3)


def test_seasonalities_follow_prophets_own_rules() -> None:
    hourly = times(24 * 15, HOUR)
    assert set(ProphetForecaster(PLAIN).fit(hourly, weekly(hourly)).beta) == {"daily", "weekly"}
    assert set(ProphetForecaster(PLAIN).fit(hourly[:72], weekly(hourly)[:72]).beta) == {"daily"}
    assert set(ProphetForecaster(PLAIN).fit(hourly[:40], weekly(hourly)[:40]).beta) == set()


@pytest.mark.parametrize("name", awkward())
def test_awkward_series_are_fitted_sanely_or_refused(name: str) -> None:
    shape = awkward()[name]
    before = shape.time.copy(), shape.value.copy()
    try:
        fitted = ProphetForecaster().fit(shape.time, shape.value)
    except NotEnoughDataError:
        assert (
            name in {"all NaN", "empty", "only infinities", "1e308 both signs"}
            or np.unique(shape.time).size < MIN_POINTS
        )
    else:
        ahead = fitted.predict(around(shape))
        finite = shape.value[np.isfinite(shape.value)]
        assert np.isfinite(ahead).all()
        assert np.abs(ahead - np.median(finite)).max() <= 2 * (np.ptp(finite) or 1.0)
        assert FittedProphet.from_json(fitted.to_json()).to_json() == fitted.to_json()
    np.testing.assert_array_equal(shape.time, before[0])
    np.testing.assert_array_equal(shape.value, before[1])


@pytest.mark.parametrize("offset", [0.0, 1e9, 1e12])
def test_sigma_is_that_of_the_noise_at_any_offset(offset: float) -> None:
    time = times(500, 15 * MINUTE)
    fitted = ProphetForecaster(PLAIN).fit(time, daily(time, offset=offset, noise=0.3))
    assert fitted.trend_parameters.sigma == pytest.approx(0.3, rel=0.15)


def test_a_constant_series_stays_what_it_is() -> None:
    time = times(100, 5 * MINUTE)
    fitted = ProphetForecaster().fit(time, np.full(100, 42.0))
    np.testing.assert_array_equal(fitted.predict(NOW + HOUR * np.arange(48)), 42.0)
    assert fitted.trend_parameters.sigma < 1e-6


def test_too_few_points_are_refused_with_their_number() -> None:
    time = times(MIN_POINTS - 1, HOUR)
    with pytest.raises(NotEnoughDataError, match=f"^{MIN_POINTS - 1} points"):
        ProphetForecaster().fit(time, daily(time))


def test_the_parameters_survive_json_exactly_and_carry_no_training_data() -> None:
    shape = ordinary()["weekly"]
    fitted = ProphetForecaster().fit(shape.time, shape.value)
    again = FittedProphet.from_json(fitted.to_json())
    time = NOW + HOUR * np.arange(1000)
    np.testing.assert_array_equal(again.predict(time), fitted.predict(time))
    np.testing.assert_array_equal(again.theta(), fitted.theta())
    assert again.trend_parameters == fitted.trend_parameters
    assert len(fitted.to_json()) < 4096


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("delta", [1.0]),
        ("span_nano", 0),
        ("k", "much"),
        ("m", float("nan")),
        ("beta", {"daily": [1.0]}),
        ("beta", {"hourly": []}),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(key: str, value: object) -> None:
    shape = ordinary()["forty minutes"]
    parameters = json.loads(ProphetForecaster(PLAIN).fit(shape.time, shape.value).to_json())
    with pytest.raises((KeyError, TypeError, ValueError)):
        FittedProphet.from_parameters(parameters | {key: value})


def test_models_with_other_parts_are_refused() -> None:
    from prophet import Prophet

    shape = ordinary()["daily"]
    model = Prophet(growth="flat", uncertainty_samples=0).fit(frame(shape.time, shape.value))
    with pytest.raises(ValueError, match="flat growth"):
        from_prophet(model)


def test_the_trend_interval_comes_from_prophets_changepoints() -> None:
    time = times(600, 15 * MINUTE)
    fitted = ProphetForecaster(PLAIN).fit(time, daily(time) + np.linspace(0, 40, 600))
    days = (time[-1] - time[0]) / DAY
    trend = fitted.trend_parameters
    assert trend.changepoint_rate == pytest.approx(25 / days)
    assert trend.mean_delta == pytest.approx(np.abs(fitted.delta).mean() * fitted.y_scale / days, rel=1e-3)


def test_fitting_says_nothing(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    shape = ordinary()["few points"]
    with caplog.at_level(logging.DEBUG):
        ProphetForecaster().fit(shape.time, shape.value)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
