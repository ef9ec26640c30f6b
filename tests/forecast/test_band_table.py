import numpy as np
import pytest

from collector_processor.forecast.band_table import expected_changes, half_widths
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64

NORMAL = [1.2815515655446004, 1.959963984540054, 2.5758293035489004]


def found(probability: float, steps: int, ratio: float) -> Float64:
    h = np.array([float(steps)])
    half: Float64 = half_widths(np.array([ratio]), h, expected_changes(h, np.array(probability)), INTERVAL_WIDTHS)[:, 0]
    return half


def sampled(probability: float, steps: int, ratio: float, draws: int = 400_000) -> Float64:
    rng = np.random.default_rng(11)
    scale = ratio / np.sqrt(2.0 * probability * steps * (4.0 * steps**2 - 1.0) / 12.0)
    value: Float64 = rng.normal(size=draws)
    for j in range(steps):
        changed = np.flatnonzero(rng.random(draws) < probability)
        value[changed] += rng.laplace(0.0, scale * (j + 0.5), changed.size)
    return np.abs(value)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 12, 40])
@pytest.mark.parametrize("probability", [0.005, 0.03, 0.13, 0.5])
def test_an_interval_holds_its_share_of_samples_at_every_step_and_ratio(
    probability: float, steps: int, ratio: float
) -> None:
    inside = sampled(probability, steps, ratio)[:, np.newaxis] <= found(probability, steps, ratio)
    np.testing.assert_allclose(inside.mean(axis=0), INTERVAL_WIDTHS, atol=0.004)  # Prophet's 1000 samples miss by 0.013


def test_a_certain_trend_leaves_the_noise_alone() -> None:
    np.testing.assert_allclose(found(0.01, 5, 0.0), NORMAL)
    together = half_widths(np.array([0.0, 1.0]), np.ones(2), np.array([0.01, 0.01]), INTERVAL_WIDTHS)
    np.testing.assert_allclose(together[:, 0], NORMAL, rtol=1e-3)


def test_very_many_changes_are_normal_again() -> None:
    many = half_widths(np.array([2.0]), np.array([1e4]), np.array([1e6]), INTERVAL_WIDTHS)[:, 0]
    np.testing.assert_allclose(many, np.array(NORMAL) * np.hypot(1.0, 2.0), rtol=5e-3)


def test_the_interval_grows_with_the_horizon_and_with_its_width() -> None:
    steps = np.arange(1.0, 600.0)
    ratio = 0.001 * steps**1.5
    half = half_widths(ratio, steps, expected_changes(steps, np.array(0.02)), INTERVAL_WIDTHS)
    assert (np.diff(half, axis=1) > -1e-3 * half[:, :-1]).all()
    assert (np.diff(half, axis=0) > 0.0).all()


def test_a_series_is_the_same_alone_and_among_others() -> None:
    steps = np.arange(1.0, 50.0)
    changes = expected_changes(steps, np.array(0.05))
    ratio = np.array([[0.01], [0.5], [30.0]]) * (steps / 49.0) ** 1.5
    together = half_widths(ratio, steps, changes, INTERVAL_WIDTHS)
    for i, alone in enumerate(ratio):
        np.testing.assert_allclose(together[:, i], half_widths(alone, steps, changes, INTERVAL_WIDTHS), rtol=1e-3)
