import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import MINUTE
from collector_processor.forecast.resample import means, standard_deviation


def test_each_step_with_values_becomes_its_middle_and_their_mean() -> None:
    time = np.array([0, 1, 59, 60, 240, 299], np.int64)
    value = np.array([1.0, 2.0, 6.0, 7.0, np.nan, -1.0])
    middle, mean = means(time, value, 60)
    assert middle.tolist() == [30, 90, 270]
    assert mean.tolist() == [3.0, 7.0, -1.0]


def test_steps_are_aligned_to_the_epoch_whatever_the_first_time() -> None:
    time = 7 * MINUTE + np.arange(5) * 10 * MINUTE
    assert (means(time, np.ones(5), 15 * MINUTE)[0] % (15 * MINUTE) == 15 * MINUTE // 2).all()


@pytest.mark.parametrize("value", [[], [np.nan, np.inf]])
def test_no_finite_value_gives_no_step(value: list[float]) -> None:
    middle, mean = means(np.arange(len(value), dtype=np.int64), np.array(value), 60)
    assert middle.size == mean.size == 0
    assert standard_deviation(np.array(value)) == 0.0


def test_huge_values_do_not_overflow() -> None:
    value = np.full(1000, 1.7e308)
    value[::2] *= -1
    assert np.isfinite(means(np.arange(1000, dtype=np.int64), value, 100)[1]).all()
    assert standard_deviation(value) == pytest.approx(1.7e308)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(-1e9, 1e9)), min_size=1, max_size=80), st.integers(1, 700))
def test_means_are_those_of_the_points_in_each_step(points: list[tuple[int, float]], step: int) -> None:
    points.sort()
    time, value = (np.array(column) for column in zip(*points, strict=True))
    middle, mean = means(time, value, step)
    expected = {t // step for t, _ in points}
    assert (middle // step).tolist() == sorted(expected)
    for block, average in zip((middle // step).tolist(), mean.tolist(), strict=True):
        assert average == pytest.approx(np.mean([v for t, v in points if t // step == block]), abs=1e-3)
