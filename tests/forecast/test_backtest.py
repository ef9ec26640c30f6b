from collections.abc import Sequence

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.forecast.backtest import Backtest, backtest, origins
from collector_processor.forecast.seasonal import FittedSeasonal
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.forecast import Fitted
from tests.forecast.shapes import NOW, daily, times


class Spy:
    """Forecasts a constant and the truth; remembers what it was asked for."""

    def __init__(self, truth: FittedSeasonal) -> None:
        self.truth = truth
        self.asked: list[int] = []

    def __call__(self, origin: int) -> Sequence[Fitted | None]:
        self.asked.append(origin)
        return FittedSeasonal(np.full(96, 40.0)), self.truth, self.truth, None


@pytest.mark.parametrize(("days", "expected"), [(0.5, 0), (1.99, 0), (2, 1), (3.5, 2), (4, 3), (28, 3)])
def test_there_are_as_many_origins_as_days_after_the_first_at_most_three(days: float, expected: int) -> None:
    start = NOW - int(days * DAY)
    found = origins(start, NOW)
    assert found == [NOW - DAY * i for i in range(expected, 0, -1)]
    assert all(origin - start >= DAY for origin in found)


def test_every_residual_is_out_of_sample() -> None:
    time = times(5 * 96, 15 * MINUTE)
    truth = FittedSeasonal(np.arange(96.0))
    spy = Spy(truth)
    tested = backtest(time, truth.predict(time), spy)
    assert tested.origins == 3
    assert spy.asked == [time[-1] + 1 - 3 * DAY, time[-1] + 1 - 2 * DAY, time[-1] + 1 - DAY]
    np.testing.assert_array_equal(tested.time_unix_nano, time[time > time[-1] - 3 * DAY])
    np.testing.assert_array_equal(tested.residual[:, 1], 0.0)
    assert tested.mean_absolute_error()[0] > 1.0
    assert tested.mean_absolute_error()[1] == 0.0


def test_a_day_without_points_costs_no_fit() -> None:
    time = times(5 * 24, HOUR)
    kept = (time < NOW - 3 * DAY) | (time >= NOW - DAY)
    spy = Spy(FittedSeasonal(np.zeros(96)))
    tested = backtest(time[kept], daily(time)[kept], spy)
    assert len(spy.asked) == 1
    assert tested.residual.shape == (24, len(FORECASTS))


def test_a_young_series_has_no_backtest() -> None:
    time = times(47, HOUR)
    tested = backtest(time, daily(time), Spy(FittedSeasonal(np.zeros(96))))
    assert (tested.origins, tested.residual.shape) == (0, (0, len(FORECASTS)))
    assert np.isnan(tested.mean_absolute_error()).all()


def test_forecasts_are_compared_on_points_that_both_predicted() -> None:
    nan = np.nan
    tested = Backtest(1, np.arange(3), np.array([[1.0, 3.0], [100.0, nan], [-3.0, 1.0]]))
    assert tested.mean_absolute_error().tolist() == [2.0, 2.0]
    assert np.isnan(Backtest(1, np.arange(1), np.array([[nan, 1.0]])).mean_absolute_error()).all()
