import numpy as np
import pytest

from collector_processor.detect.holding import RELEASE, Held, Holding, Now, look
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.rule import LIMITS_DTYPE, NO_LIMITS

ONE = np.array([0], np.int32)
NAN = float("nan")


def held(
    value: float,
    *,
    onset: tuple[float, ...] = (100.0, 100.0, 100.0, 100.0),
    forecasts: tuple[float, ...] = (100.0, 100.0, 100.0, 100.0),
    tolerance: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0),
    least: float = 0.0,
) -> Held:
    """Hold a value against an onset; the median of the last three hours is the level of `forecasts`."""
    holding, judged_by = Holding(), np.array([forecasts])
    holding.grow(1)
    holding.begin(ONE, np.array([onset]))
    judged_by[:, LEVEL] = holding.level(ONE, judged_by)
    limits = np.array([(least, *NO_LIMITS[1:])], LIMITS_DTYPE)
    one, yhat, median = np.array([value]), np.array([forecasts[0]]), np.array([forecasts[LEVEL]])
    return look(Now(one, yhat, median, judged_by, np.array([tolerance]), limits))


def test_a_value_is_usual_inside_the_band_at_the_release_edge() -> None:
    assert held(100.0 + 10.0 * RELEASE - 0.01).is_usual[0]
    assert not held(100.0 + 10.0 * RELEASE + 0.01).is_usual[0]
    assert not held(100.0 - 10.0 * RELEASE - 0.01).is_usual[0]


def test_a_level_that_has_followed_the_anomaly_does_not_explain_it() -> None:
    only_level = (NAN, NAN, NAN)
    assert not held(50.0, onset=(*only_level, 100.0), forecasts=(*only_level, 50.0)).is_usual[0]


def test_a_forecast_that_is_never_surprised_does_not_explain_it_either() -> None:
    assert not held(50.0, tolerance=(10.0, 10.0, 10.0, 500.0)).is_usual[0]


def test_the_level_that_is_held_goes_on_with_the_season() -> None:
    risen = (160.0, 160.0, 160.0, 300.0)
    assert held(160.0, forecasts=risen).is_usual[0]
    assert not held(100.0, forecasts=risen).is_usual[0]


def test_a_deviation_within_the_minimum_is_usual_so_that_an_episode_can_end() -> None:
    assert not held(115.0).is_usual[0]
    assert held(115.0, least=16.0).is_usual[0]


def test_what_is_drawn_explains_nothing_that_the_forecasts_together_do_not() -> None:
    followed = (50.0, 100.0, 100.0, 50.0)
    assert not held(50.0, forecasts=followed, least=5.0).is_usual[0]


def test_a_series_has_settled_when_the_median_of_three_hours_is_itself_unusual() -> None:
    settled = held(150.0, forecasts=(100.0, 102.0, 101.0, 149.0))
    assert (settled.before[0], settled.after[0]) == (101.0, 149.0)


@pytest.mark.parametrize("level", [100.0, 51.0, NAN])
def test_it_has_not_where_the_median_is_usual_elsewhere_or_unknown(level: float) -> None:
    assert np.isnan(held(150.0, forecasts=(100.0, 100.0, 100.0, level)).after[0])


def test_without_a_model_the_level_before_is_the_one_at_the_onset() -> None:
    nothing = (NAN,) * (len(FORECASTS) - 1)
    settled = held(50.0, onset=(*nothing, 100.0), forecasts=(*nothing, 51.0))
    assert (settled.before[0], settled.after[0]) == (100.0, 51.0)
