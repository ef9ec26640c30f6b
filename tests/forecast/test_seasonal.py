import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.errors import NotEnoughDataError
from collector_processor.forecast.local_time import wall_clock
from collector_processor.forecast.seasonal import SLOT, SLOTS, FittedSeasonal, SeasonalForecaster, median_days
from collector_processor.telemetry.points import Float64, Int64
from tests.forecast.shapes import NOW, awkward, daily, times


def oracle(time: Int64, value: Float64) -> list[float]:
    """Return the profile the slow way: dictionaries of lists, one slot after the other."""
    by_slot: dict[int, list[float]] = {}
    for moment, number in zip(time.tolist(), value.tolist(), strict=True):
        by_slot.setdefault(moment // SLOT, []).append(number)
    last = int(time[-1]) // SLOT
    window = range(last - 7 * SLOTS + 1, last + 1)
    mean = {slot: float(np.mean(by_slot[slot])) for slot in window if slot in by_slot}
    profile = []
    for slot_of_day in range(SLOTS):
        days = []
        for slot in window:
            around = [mean[s] for s in range(slot - 2, slot + 3) if s in mean]
            if slot % SLOTS == slot_of_day and around:
                days.append(float(np.mean(around)))
        profile.append(float(np.median(days)))
    return profile


@pytest.mark.parametrize("end", [NOW, NOW - 5 * HOUR, NOW - NOW % DAY, NOW - NOW % DAY + 1])
def test_the_profile_is_the_median_of_smoothed_days(end: int) -> None:
    time = times(10 * 288, 5 * MINUTE, end)
    time = time[np.random.default_rng(3).random(time.size) > 0.2]
    value = daily(time, 5)
    np.testing.assert_allclose(SeasonalForecaster().fit(time, value).profile, oracle(time, value), rtol=1e-12)


def test_days_before_the_last_seven_do_not_count() -> None:
    time = times(20 * 96, SLOT)
    value = daily(time)
    recent = time >= time[-1] - 8 * DAY
    forgotten = np.where(recent, value, 1e6)
    np.testing.assert_array_equal(
        SeasonalForecaster().fit(time, forgotten).profile, SeasonalForecaster().fit(time, value).profile
    )


def test_one_bad_day_in_seven_changes_little() -> None:
    time = times(7 * 96, SLOT)
    value = daily(time)
    bad = np.where((time >= NOW - 2 * DAY) & (time < NOW - DAY), value * 50, value)
    difference = SeasonalForecaster().fit(time, bad).profile - SeasonalForecaster().fit(time, value).profile
    assert np.abs(difference).max() < 1.0


def test_a_centre_of_a_slot_is_met_exactly_and_between_centres_it_is_linear() -> None:
    profile = np.random.default_rng(0).normal(size=SLOTS)
    fitted = FittedSeasonal(profile)
    midnight = NOW - NOW % DAY
    centres = midnight + SLOT // 2 + SLOT * np.arange(SLOTS)
    np.testing.assert_array_equal(fitted.predict(centres), profile)
    np.testing.assert_allclose(fitted.predict(centres + SLOT // 2), (profile + np.roll(profile, -1)) / 2)
    np.testing.assert_allclose(fitted.predict(np.array([midnight])), (profile[0] + profile[-1]) / 2)


def test_slots_without_values_are_filled_along_the_line_round_midnight() -> None:
    time = times(7 * 96, SLOT)
    of_day = time % DAY
    seen = (of_day >= 6 * HOUR) & (of_day < 18 * HOUR)
    value = np.where(of_day < 12 * HOUR, 0.0, 1.0)
    fitted = SeasonalForecaster().fit(time[seen], value[seen])
    midnight = NOW - NOW % DAY
    assert fitted.predict(np.array([midnight])).item() == pytest.approx(0.5, abs=0.02)
    assert (np.diff(fitted.profile[: 5 * 4]) < 0).all()


@pytest.mark.parametrize("span", [HOUR, DAY, 47 * HOUR])
def test_a_young_series_gets_the_level_of_its_last_three_hours(span: int) -> None:
    time = times(span // MINUTE, MINUTE)
    value = daily(time)
    fitted = SeasonalForecaster().fit(time, value)
    assert fitted.is_level
    expected = np.median(value[time >= time[-1] - 3 * HOUR])
    np.testing.assert_array_equal(fitted.predict(NOW + HOUR * np.arange(48)), expected)


def test_a_series_of_two_days_gets_a_profile() -> None:
    time = times(2 * 24 * 60 + 1, MINUTE)
    assert not SeasonalForecaster().fit(time, daily(time)).is_level


@pytest.mark.parametrize("name", awkward())
def test_awkward_series_are_fitted_within_their_range_or_refused(name: str) -> None:
    shape = awkward()[name]
    try:
        fitted = SeasonalForecaster().fit(shape.time, shape.value)
    except NotEnoughDataError:
        assert not np.isfinite(shape.value).any()
        return
    finite = shape.value[np.isfinite(shape.value)]
    slack = 1e-9 * np.abs(finite).max()
    ahead = fitted.predict(NOW + HOUR * np.arange(100))
    assert ((ahead >= finite.min() - slack) & (ahead <= finite.max() + slack)).all()


def test_json_keeps_every_bit() -> None:
    time = times(7 * 96, SLOT)
    fitted = SeasonalForecaster().fit(time, daily(time, offset=1e12))
    np.testing.assert_array_equal(FittedSeasonal.from_json(fitted.to_json()).profile, fitted.profile)


@pytest.mark.parametrize("profile", [[1.0] * 95, [1.0] * 95 + [float("nan")], "flat", None])
def test_a_profile_of_another_shape_is_refused(profile: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        FittedSeasonal.from_parameters({"profile": profile})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60), st.integers(1, 3 * HOUR // NANOS_PER_SECOND))
def test_any_series_gives_a_forecast_within_its_range(values: list[float], step_seconds: int) -> None:
    time = times(len(values), step_seconds * NANOS_PER_SECOND)
    profile = SeasonalForecaster().fit(time, np.array(values)).profile
    assert profile.min() >= min(values) - 1e-6
    assert profile.max() <= max(values) + 1e-6


@pytest.mark.parametrize("change", ["2024-03-31T01:00", "2024-10-27T01:00"])
def test_the_day_after_a_change_of_the_clocks_is_as_the_clocks_say(change: str) -> None:
    at = int(np.datetime64(change, "ns").astype(np.int64))
    time, ahead = at + 5 * MINUTE * np.arange(-7 * 288, 48), at + 5 * MINUTE * np.arange(48, 48 + 288)
    value, expected = (np.sin(2 * np.pi * wall_clock(t, "Europe/Berlin") / DAY) for t in (time, ahead))
    fitted = SeasonalForecaster("Europe/Berlin").fit(time, value)
    assert np.abs(fitted.predict(ahead) - expected).max() < 0.02
    assert np.abs(SeasonalForecaster().fit(time, value).predict(ahead) - expected).max() > 0.2
    again = FittedSeasonal.from_json(fitted.to_json())
    np.testing.assert_array_equal(again.predict(ahead), fitted.predict(ahead))


def test_a_time_zone_that_nobody_knows_is_refused() -> None:
    with pytest.raises((KeyError, ValueError)):
        FittedSeasonal.from_parameters({"profile": [0.0] * SLOTS, "time_zone": "Mars/Base"})


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_many_rows_at_once_are_as_each_alone(zone: str) -> None:
    autumn = 1_792_972_800 * NANOS_PER_SECOND  # the day after the clocks are put back
    forecasters = SeasonalForecaster(zone), SeasonalForecaster.recent(zone)
    for end in (NOW, autumn):
        time = times(9 * 288, 5 * MINUTE, end)
        random = np.random.default_rng(1)
        y = random.normal(size=(6, time.size)) * 10.0 ** np.array([[0], [300], [-300], [5], [0], [0]])
        y[3] += 1e12
        y[4, random.random(time.size) < 0.7] = np.nan
        y[5, time % DAY < 6 * HOUR] = np.nan
        y[:2, -40:] = np.nan
        for row, days in zip(y, median_days(time, y, zone), strict=True):
            for profile, forecaster in zip(days, forecasters, strict=True):
                expected = forecaster.fit(time, row).profile
                np.testing.assert_allclose(profile, expected, rtol=1e-11, atol=1e-12 * np.nanmax(np.abs(row)))
