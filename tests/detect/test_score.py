import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.detect.score import Scored, judge
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.rule import LIMITS_DTYPE, NO_LIMITS

NAN = float("nan")
finite = st.floats(-1e6, 1e6)
tolerances = st.floats(1e-3, 1e4)


def judged(
    value: Float64 | list[float],
    forecasts: tuple[float, float] = (10.0, 11.0),
    tolerance: tuple[float, float] = (2.0, 3.0),
    *,
    winner: int = 0,
    is_active: bool = True,
    limits: tuple[float, float, float, float] = NO_LIMITS,
) -> Scored:
    x = np.asarray(value, np.float64)
    n = x.size
    return judge(
        x,
        np.tile(np.array(forecasts), (n, 1)),
        np.full(n, winner, np.uint8),
        np.tile(np.array(tolerance), (n, 1)),
        np.full(n, 1.1),
        np.full(n, np.array(limits, LIMITS_DTYPE)),
        np.full(n, is_active),
    )


def test_the_edge_scores_exactly_one_and_yhat_exactly_zero() -> None:
    band = judged([0.0]).verdicts
    lower, upper, yhat = band.lower[0], band.upper[0], band.yhat[0]
    verdicts = judged([lower, yhat, upper]).verdicts
    assert verdicts.score.tolist() == [-1.0, 0.0, 1.0]
    assert verdicts.anomaly.tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=60)
@given(st.tuples(finite, finite), st.tuples(tolerances, tolerances), st.integers(0, 1))
def test_a_value_is_flagged_exactly_when_it_is_outside_the_band(
    forecasts: tuple[float, float], tolerance: tuple[float, float], winner: int
) -> None:
    band = judged([0.0], forecasts, tolerance, winner=winner).verdicts
    edges = [band.lower[0], band.upper[0]]
    near = [math.nextafter(e, d) for e in edges for d in (-math.inf, math.inf)]
    x = np.array([*edges, *near, band.yhat[0], -1e9, 1e9, *forecasts])
    verdicts = judged(x, forecasts, tolerance, winner=winner).verdicts
    outside = np.where(x > edges[1], 1, np.where(x < edges[0], -1, 0))
    assert verdicts.anomaly.tolist() == outside.tolist()
    assert ((np.abs(verdicts.score) > 1.0) == (outside != 0)).all()
    assert (edges[0] <= verdicts.yhat).all()
    assert (verdicts.yhat <= edges[1]).all()


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-100.0, 100.0),
    st.tuples(st.floats(-10.0, 10.0), st.floats(-10.0, 10.0)),
    st.tuples(st.floats(0.1, 10.0), st.floats(0.1, 10.0)),
    st.integers(-60, 60),
    st.integers(0, 1),
)
def test_changing_the_unit_does_not_change_the_score(
    x: float, forecasts: tuple[float, float], tolerance: tuple[float, float], power: int, winner: int
) -> None:
    unit = math.pi * 2.0**power
    plain = judged([x], forecasts, tolerance, winner=winner).verdicts
    scaled = judged(
        [unit * x],
        (unit * forecasts[0], unit * forecasts[1]),
        (unit * tolerance[0], unit * tolerance[1]),
        winner=winner,
    ).verdicts
    assert scaled.score[0] == pytest.approx(plain.score[0], rel=1e-6, abs=1e-6)


def test_a_value_just_outside_scores_above_one_where_the_quotient_rounds_to_one() -> None:
    forecasts, tolerance = (-1e6, NAN), (1_000_001.0 / 1.1, NAN)
    upper = float(judged([0.0], forecasts, tolerance).verdicts.upper[0])
    value = math.nextafter(upper, math.inf)
    assert (value + 1e6) / (upper + 1e6) == 1.0
    verdicts = judged([value], forecasts, tolerance).verdicts
    assert verdicts.score[0] > 1.0
    assert verdicts.anomaly[0] == 1


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
def test_a_value_that_is_no_number_has_a_band_but_no_score(value: float) -> None:
    verdicts = judged([value]).verdicts
    assert np.isnan(verdicts.score[0])
    assert verdicts.anomaly[0] == 0
    assert np.isfinite([verdicts.yhat[0], verdicts.lower[0], verdicts.upper[0]]).all()


def test_without_a_forecast_or_a_tolerance_nothing_is_said() -> None:
    for verdicts in (judged([1.0], (NAN, NAN)).verdicts, judged([1.0], tolerance=(NAN, NAN)).verdicts):
        assert np.isnan([verdicts.yhat[0], verdicts.lower[0], verdicts.upper[0], verdicts.score[0]]).all()
        assert verdicts.anomaly[0] == 0


def test_while_warming_there_are_scores_but_no_anomalies() -> None:
    verdicts = judged([1000.0, -1000.0], is_active=False).verdicts
    assert verdicts.score[0] > 1.0
    assert verdicts.score[1] < -1.0
    assert verdicts.anomaly.tolist() == [0, 0]


def test_a_zero_width_band_accepts_only_an_exact_hit() -> None:
    verdicts = judged([5.0, math.nextafter(5.0, 6.0), 4.0], (5.0, 5.0), (0.0, 0.0)).verdicts
    assert verdicts.score.tolist() == [0.0, math.inf, -math.inf]
    assert verdicts.anomaly.tolist() == [0, 1, -1]


def test_yhat_of_a_winner_outside_the_band_is_moved_in_and_scores_stay_finite() -> None:
    scored = judged([30.0, -30.0], (0.0, 20.0), (1.0, 1.0), winner=1)
    assert scored.disagree.all()
    assert np.isfinite(scored.verdicts.score).all()
    assert (scored.verdicts.yhat < scored.verdicts.upper).all()


def test_a_winner_that_is_not_judged_by_is_drawn_within_the_band_of_the_others() -> None:
    verdicts = judged([10.0], (10.0, 21.0), (NAN, 1.0), winner=0).verdicts
    assert verdicts.lower[0] == pytest.approx(19.9)
    assert 19.9 < verdicts.yhat[0] < 20.2


def test_values_near_the_largest_number_do_not_break_the_score() -> None:
    verdicts = judged([1.7e308, -1.7e308], (0.0, 1.0), (1e-3, 1e-3)).verdicts
    assert verdicts.anomaly.tolist() == [1, -1]
    assert not np.isnan(verdicts.score).any()


@given(
    st.lists(finite, min_size=1, max_size=20), finite, finite, st.floats(0, 100), st.floats(0, 2), st.floats(-1e3, 1e3)
)
def test_with_limits_too_a_value_is_flagged_exactly_when_it_is_outside_the_drawn_band(
    values: list[float], one: float, other: float, least: float, share: float, low: float
) -> None:
    v = judged(values, (one, other), limits=(least, share, low, low + 500.0)).verdicts
    outside = (np.array(values) > v.upper) | (np.array(values) < v.lower)
    np.testing.assert_array_equal(v.anomaly != 0, outside)
    assert (v.lower >= low).all()
    assert (v.upper <= low + 500.0).all()
    assert (v.lower <= v.yhat).all()
    assert (v.yhat <= v.upper).all()


def test_a_minimum_deviation_widens_the_drawn_band_itself() -> None:
    plain, wide = judged([10.0]).verdicts, judged([10.0], limits=(5.0, 0.0, -np.inf, np.inf)).verdicts
    assert wide.upper[0] - wide.yhat[0] == pytest.approx(5.0)
    assert wide.upper[0] > plain.upper[0]
    assert judged([0.0], (100.0, 100.0), limits=(0.0, 0.5, -np.inf, np.inf)).verdicts.lower[0] == 50.0


def test_forecasts_and_bands_stay_within_the_bounds() -> None:
    v = judged([3.0], (-4.0, 1.0), (20.0, 20.0), limits=(0.0, 0.0, 0.0, 5.0)).verdicts
    assert (v.yhat[0], v.lower[0], v.upper[0]) == (0.0, 0.0, 5.0)
