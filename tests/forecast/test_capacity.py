import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR
from collector_processor.forecast.capacity import STEPS_A_DAY, Bound, Trend, breach, hourly, paths
from collector_processor.telemetry.points import Float64

CALM = Trend(0.0, 0.0)
NOW = 20_000 * DAY
DAYS = 30


def bound(limit: float, side: int = 1) -> Bound:
    return Bound(limit, side, DAYS * DAY)


def ahead(days: int = DAYS) -> Float64:
    return np.arange(0.5, days * STEPS_A_DAY)


def errors(scale: float, days: int = 14) -> Float64:
    return np.random.default_rng(4).normal(0.0, scale, (days, STEPS_A_DAY))


def test_a_leak_of_a_hundredth_a_day_reaches_its_bound_after_ten_days() -> None:
    found = breach(0.8 + 0.01 * ahead() / 24, errors(0.002), CALM, bound(0.9))
    assert found.probability == 1.0
    assert found.seconds / 86_400 == pytest.approx([10, 10, 10], abs=0.6)
    assert (np.diff(found.seconds) >= 0).all()


def test_a_seasonal_series_reaches_its_bound_at_the_peak_of_the_day_and_not_with_its_mean() -> None:
    hour = ahead()
    season = 0.5 + 0.3 * np.sin(2 * np.pi * hour / 24) + 0.01 * hour / 24
    found = breach(season, errors(0.001), CALM, bound(0.9))
    days, into = divmod(found.seconds[1] / 3600, 24)
    assert days == 10  # its mean is there after 40
    assert 4 <= into <= 8


def test_a_flat_series_never_reaches_a_bound_far_from_it() -> None:
    found = breach(np.full(720, 0.4), errors(0.01), CALM, bound(0.9))
    assert found.probability == 0.0
    assert np.isnan(found.seconds).all()


def test_a_bound_below_is_reached_from_above() -> None:
    found = breach(100.0 - ahead() / 24, errors(0.1), CALM, bound(90.0, -1))
    assert found.seconds[1] / 86_400 == pytest.approx(10, abs=0.6)


def test_a_slope_that_may_change_makes_the_time_less_certain() -> None:
    leak, limit = 0.8 + 0.01 * ahead() / 24, bound(0.9)
    sure, unsure = (breach(leak, errors(0.002), trend, limit).seconds for trend in (CALM, Trend(1.0, 0.002)))
    assert unsure[0] < sure[0]
    assert not unsure[2] <= sure[2]


def test_trends_spread_as_far_as_prophet_has_them() -> None:
    n, rate, delta = 240, 2.0, 0.5
    ends = paths(np.zeros(n), np.zeros((2, 24)), Trend(rate, delta))[:, -1]
    step = 1 / 24
    variance = 2 * rate * step * delta**2 * step**2 * n * (4 * n**2 - 1) / 12
    assert ends.std() == pytest.approx(np.sqrt(variance), rel=0.15)


def test_a_bad_hour_of_the_day_errs_in_that_hour_only() -> None:
    error = np.zeros((6, 24))
    error[::2, 5], error[1::2, 5] = 10.0, -10.0
    spread = paths(np.zeros(72), error, CALM).std(axis=0)
    assert set(np.flatnonzero(spread > 1).tolist()) == {5, 29, 53}


def test_gaps_are_no_errors() -> None:
    error = errors(1.0)
    error[3, 4:9] = np.nan
    assert np.isfinite(paths(np.zeros(48), error, CALM)).all()


def test_from_one_day_of_errors_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="no paths"):
        breach(np.zeros(24), np.zeros((1, 24)), CALM, bound(1.0))


def test_errors_are_means_by_the_hour_counted_back_from_now() -> None:
    time = np.arange(NOW - 3 * DAY, NOW, HOUR // 4)
    error = np.where((time >= NOW - DAY) & (time < NOW - DAY + HOUR), 8.0, 1.0)
    found = hourly(time, error, NOW, 3)
    assert found.shape == (3, 24)
    assert found[2, 0] == 8.0
    assert found[0, 0] == found[2, 1] == 1.0
    assert hourly(time[: 24 * 4], error[: 24 * 4], NOW, 3).shape == (1, 24)


def test_of_times_to_breach_eight_in_ten_lie_between_the_stated_tenth_and_nine_tenths() -> None:
    """Simulate series with a leak and errors that stay for a day, and see when they really get there."""
    random = np.random.default_rng(11)
    inside, tries = 0, 300
    hour = ahead()
    for _ in range(tries):
        level = np.repeat(random.normal(0.0, 0.02, 28 + DAYS), STEPS_A_DAY)
        missed = level + random.normal(0.0, 0.005, level.size)
        yhat = 0.8 + 0.005 * hour / 24 + 0.02 * np.sin(2 * np.pi * hour / 24)
        found = breach(yhat, missed[: 28 * 24].reshape(28, 24), CALM, bound(0.9))
        came = np.flatnonzero(yhat + missed[28 * 24 :] >= 0.9)[0] + 0.5
        inside += found.seconds[0] <= came * 3600 <= found.seconds[2]
    assert 0.72 <= inside / tries <= 0.88


def test_a_stated_probability_is_how_often_it_happens() -> None:
    random = np.random.default_rng(12)
    stated, came = [], []
    for distance in np.tile([0.06, 0.09, 0.12], 100):
        missed = np.repeat(random.normal(0.0, 0.03, 28 + 5), STEPS_A_DAY)
        found = breach(np.full(5 * 24, 0.9 - distance), missed[: 28 * 24].reshape(28, 24), CALM, bound(0.9))
        stated.append(found.probability)
        came.append((missed[28 * 24 :] >= distance).any())
    assert np.mean(stated) == pytest.approx(np.mean(came), abs=0.07)
