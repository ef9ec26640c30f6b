import numpy as np
import pytest

from collector_processor.clock import HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.detect.level import Levels, levels_before
from collector_processor.telemetry.points import Float64, Int64

START = 472_000 * HOUR


def learned(time: Int64, value: Float64) -> Float64:
    """Return what one series was expected to be before each of its points."""
    levels, before = Levels(), np.empty(time.size)
    levels.grow(1)
    series = np.zeros(1, np.int32)
    for i in range(time.size):
        levels.advance(series, time[i : i + 1])
        before[i] = levels.at(series, time[i : i + 1])[0]
        levels.learn(series, value[i : i + 1])
    return before


@pytest.mark.parametrize("step", [10 * NANOS_PER_SECOND, MINUTE, 5 * MINUTE, 7 * MINUTE, HOUR])
def test_learning_live_gives_what_a_whole_history_gives(step: int) -> None:
    rng = np.random.default_rng(step % 97)
    gaps = np.where(rng.random(600) < 0.01, 5 * HOUR, rng.integers(1, 2 * step, 600))
    time, value = START + np.cumsum(gaps), rng.lognormal(size=600) + 1e9
    np.testing.assert_allclose(learned(time, value), levels_before(time, value), rtol=1e-15)


def test_the_level_is_the_median_of_complete_five_minutes_of_the_last_three_hours() -> None:
    time = START + 5 * MINUTE * np.arange(100)
    value = np.random.default_rng(1).normal(size=100)
    before = levels_before(time, value)
    assert np.isnan(before[0])
    for i in range(1, 100):
        assert before[i] == pytest.approx(np.median(value[max(0, i - 36) : i]))


def test_values_near_the_largest_double_have_no_level_and_the_next_ones_have() -> None:
    time = START + MINUTE * np.arange(40)
    before = learned(time, np.where(np.arange(40) < 10, 1.7e308, 3.0))
    assert np.isnan(before[:15]).all()
    assert (before[15:] == 3.0).all()


def test_a_burst_does_not_show_and_a_new_level_is_followed_in_an_hour_and_a_half() -> None:
    time = START + MINUTE * np.arange(600)
    burst = np.where((time >= START + 5 * HOUR) & (time < START + 6 * HOUR), 50.0, 1.0)
    assert set(levels_before(time, burst)[5:].tolist()) == {1.0}
    raised = np.where(time >= START + 5 * HOUR, 50.0, 1.0)
    followed = time[levels_before(time, raised) == 50.0][0]
    assert followed - (START + 5 * HOUR) == 95 * MINUTE


def test_after_three_silent_hours_there_is_no_level() -> None:
    levels, series = Levels(), np.zeros(1, np.int32)
    levels.grow(1)
    levels.advance(series, np.array([START]))
    levels.learn(series, np.array([7.0]))
    levels.advance(series, np.array([START + 5 * MINUTE]))
    assert levels.at(series, np.array([START + 3 * HOUR]))[0] == 7.0
    assert np.isnan(levels.at(series, np.array([START + 3 * HOUR + 5 * MINUTE]))[0])
    assert np.isnan(levels.at(series, np.array([START]))[0])
    levels.advance(series, np.array([START + 4 * HOUR]))
    assert np.isnan(levels.now(series)[0])


def test_nothing_has_no_level() -> None:
    assert levels_before(np.empty(0, np.int64), np.empty(0)).size == 0
