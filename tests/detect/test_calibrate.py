import numpy as np
import pytest

from collector_processor.detect.calibrate import QuantileTracker, seeded
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64, Int32

ONE = np.array([True])
FIRST = np.zeros(1, np.int32)


def ids(n: int) -> Int32:
    return np.arange(n, dtype=np.int32)


def tracker(n: int, residual: Float64 | None = None) -> QuantileTracker:
    """Return a tracker of `n` series, all seeded with the same residuals."""
    new = QuantileTracker()
    new.grow(n)
    if residual is not None:
        new.adopt(ids(n), np.zeros(n, np.int32), np.repeat(seeded(residual), n))
    return new


def coverage(of: QuantileTracker) -> Float64:
    share: Float64 = of.records["inside"] / of.records["scored"][:, np.newaxis]
    return share


@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy", "biased"])
def test_coverage_becomes_nominal_whatever_the_distribution(shape: str) -> None:
    rng = np.random.default_rng(7)
    draw = {
        "normal": rng.normal(size=(2500, 40)),
        "skewed": rng.exponential(size=(2500, 40)),
        "heavy": rng.standard_t(2, (2500, 40)),
        "biased": rng.normal(3.0, 1.0, (2500, 40)),
    }[shape]
    tracked = tracker(40, rng.normal(size=500))  # a seed of another distribution
    for k, residual in enumerate(draw):
        if k == 1000:
            tracked.records["inside"] = tracked.records["scored"] = 0  # by now it has found the scale
        tracked.learn(ids(40), residual, np.ones(40), np.zeros(40, np.bool_))
    np.testing.assert_allclose(coverage(tracked).mean(axis=0), INTERVAL_WIDTHS, atol=0.012)


def test_a_series_without_seed_calibrates_itself() -> None:
    rng = np.random.default_rng(8)
    tracked = tracker(40)
    for _ in range(2000):
        tracked.learn(ids(40), rng.normal(size=40), np.full(40, 3.0), np.zeros(40, np.bool_))
    assert tracked.records["scored"].tolist() == [1999] * 40  # the first one had no band yet
    np.testing.assert_allclose(coverage(tracked).mean(axis=0), INTERVAL_WIDTHS, atol=0.02)


def test_a_point_is_counted_before_it_is_learned_from() -> None:
    tracked = tracker(1, np.linspace(-1.0, 1.0, 101))
    tracked.learn(ids(1), np.array([1e6]), np.ones(1), ~ONE)
    assert tracked.records["inside"].tolist() == [[0, 0, 0]]
    assert tracked.records["scored"].tolist() == [1]


def test_wider_levels_contain_narrower_ones_and_sides_do_not_cross() -> None:
    rng = np.random.default_rng(9)
    tracked = tracker(30, rng.normal(size=50) * 0.01)
    for k in range(800):
        tracked.learn(ids(30), rng.normal(np.sin(k / 20.0) * 20.0, 1.0, 30), np.full(30, 20.0), rng.random(30) < 0.1)
        lower, upper = tracked.records["offset_lower"], tracked.records["offset_upper"]
        assert (np.diff(lower, axis=1) <= 0.0).all()
        assert (np.diff(upper, axis=1) >= 0.0).all()
        assert (lower[:, 0] <= upper[:, 0]).all()


def test_an_open_episode_slows_the_band_down() -> None:
    tracked = tracker(2, np.linspace(-1.0, 1.0, 101))
    before = tracked.records["offset_upper"].copy()
    tracked.learn(ids(2), np.full(2, 9.0), np.ones(2), np.array([False, True]))
    moved = tracked.records["offset_upper"] - before
    np.testing.assert_allclose(moved[1], tracked.records["step"][1] * np.array([0.9, 0.975, 0.995]))
    assert (moved[0] > 1.5 * moved[1]).all()


def test_a_long_anomaly_does_not_inflate_the_band() -> None:
    tracked = tracker(2, np.linspace(-1.0, 1.0, 101))
    for _ in range(100):
        tracked.learn(ids(2), np.full(2, 1e9), np.ones(2), np.array([False, True]))
    assert (tracked.records["offset_upper"][0] > 1e3).all()
    assert (tracked.records["offset_upper"][1] < 6.0).all()


def test_one_wild_residual_moves_the_band_by_one_step_only() -> None:
    tracked = tracker(1, np.linspace(-1.0, 1.0, 101))
    before = tracked.records["offset_upper"].copy()
    tracked.learn(ids(1), np.array([1e12]), np.ones(1), ~ONE)
    assert (tracked.records["offset_upper"] - before).max() < 0.1


def test_a_seed_gives_the_quantiles_of_its_residuals() -> None:
    seed = seeded(np.concatenate([np.linspace(-10.0, 30.0, 4001), [np.nan, np.inf]]))
    np.testing.assert_allclose(seed["offset_lower"][0], [-6.0, -9.0, -9.8])
    np.testing.assert_allclose(seed["offset_upper"][0], [26.0, 29.0, 29.8])
    assert seed["step"][0] == pytest.approx(0.05 * 28.0, rel=1e-3)


def test_offsets_are_replaced_only_when_another_forecast_is_drawn() -> None:
    tracked = tracker(1, np.linspace(-1.0, 1.0, 101))
    wide = seeded(np.linspace(-9.0, 9.0, 101))
    tracked.adopt(FIRST, FIRST, wide)
    assert abs(tracked.records["offset_upper"]).max() <= 1.0
    tracked.adopt(FIRST, FIRST + 1, wide)
    assert abs(tracked.records["offset_upper"]).max() > 8.0


def test_a_seed_without_residuals_leaves_the_offsets_alone() -> None:
    tracked = tracker(1, np.linspace(-1.0, 1.0, 101))
    before = tracked.records["offset_upper"].copy()
    tracked.adopt(FIRST, FIRST + 1, seeded(np.array([np.nan])))
    assert (tracked.records["offset_upper"] == before).all()
