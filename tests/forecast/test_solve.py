"""What telemetry does to a fit, and what breaks Prophet but must not break us."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from collector_processor.forecast.reference import new_prophet
from collector_processor.forecast.regressors import Grid, build_regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, solve
from collector_processor.telemetry.points import Float64
from tests.forecast.corpus import STEP_NANO, WEEK, corpus
from tests.forecast.oracle import frame, parameters, predict, prepare

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PLAIN = ProphetSettings(mask_passes=0)
PARITY = build_regressors(WEEK, PLAIN)
ROBUST = build_regressors(WEEK, ProphetSettings(mask_passes=3))


def daily(amplitude: float = 1.0, noise: float = 0.1, size: int = WEEK.size, seed: int = 1) -> Float64:
    t = np.arange(size) / 288
    return amplitude * np.sin(2 * np.pi * t) + noise * np.random.default_rng(seed).normal(size=size)


def fit_one(y: Float64, settings: ProphetSettings | None = None) -> BatchFit:
    grid = Grid(WEEK.start_unix_nano, STEP_NANO, len(y))
    return solve(y[None], build_regressors(grid, settings or PLAIN))


def sigma_of(fit: BatchFit) -> float:
    return float(fit.sigma[0] * fit.y_scale[0])


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e18])
def test_a_constant_series_takes_prophets_shortcut(value: float) -> None:
    y = np.full(WEEK.size, value)
    fit = fit_one(y)
    model = new_prophet(PLAIN).fit(frame(WEEK, y))
    assert fit.status[0] == Status.CONSTANT
    assert fit.sigma[0] == model.params["sigma_obs"][0, 0]
    np.testing.assert_allclose(predict(fit, WEEK.times())[0], value, rtol=1e-12)


@pytest.mark.parametrize("observed", [0, 1])
def test_fewer_than_two_points_are_too_short(observed: int) -> None:
    y = np.full(WEEK.size, np.nan)
    y[:observed] = 1.0
    fit = fit_one(y)
    assert fit.status[0] == Status.TOO_SHORT
    assert not fit.is_fitted[0]
    assert np.isnan(predict(fit, WEEK.times())).all()


@pytest.mark.parametrize("size", [2, 3, 10, 50])
def test_few_points_stay_finite_and_near_the_data(size: int) -> None:
    fit = fit_one(10.0 + daily(size=size))
    assert fit.is_fitted[0]
    assert np.abs(predict(fit, fit.regressors.grid.times()) - 10.0).max() < 3.0


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12, -1e12])
def test_a_large_offset_leaves_the_noise_as_it_is(offset: float) -> None:
    fit = fit_one(offset + daily(noise=1.0))
    assert sigma_of(fit) == pytest.approx(sigma_of(fit_one(daily(noise=1.0))), rel=0.02)
    assert np.abs(predict(fit, WEEK.times())[0] - offset).max() < 3.0


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
def test_the_unit_does_not_matter(scale: float) -> None:
    y = 5.0 + daily()
    fit = fit_one(y * scale)
    assert fit.status[0] == Status.CONVERGED
    expected = predict(fit_one(y), WEEK.times())
    np.testing.assert_allclose(predict(fit, WEEK.times()) / scale, expected, atol=1e-7)


def test_infinities_are_missing() -> None:
    y = 5.0 + daily()
    infinite, missing = y.copy(), y.copy()
    infinite[10], infinite[-1], missing[10], missing[-1] = np.inf, -np.inf, np.nan, np.nan
    np.testing.assert_array_equal(parameters(fit_one(infinite), 0), parameters(fit_one(missing), 0))


def test_jitter_of_a_billionth_is_not_widened() -> None:
    fit = fit_one(1.0 + 1e-9 * daily(amplitude=0.0, noise=1.0))
    assert sigma_of(fit) == pytest.approx(1e-9, rel=0.1)


def test_a_noise_free_line_is_exact() -> None:
    y = np.linspace(1.0, 2.0, WEEK.size)
    fit = fit_one(y)
    assert fit.status[0] == Status.EXACT
    np.testing.assert_allclose(predict(fit, WEEK.times())[0], y, atol=1e-6)


def test_flapping_between_two_values_converges() -> None:
    fit = fit_one((np.arange(WEEK.size) % 7 < 3).astype(float))
    assert fit.status[0] == Status.CONVERGED


def test_a_series_observed_only_at_its_end_is_prophets_on_that_part() -> None:
    y = 5.0 + daily()
    y[:1200] = np.nan
    problem = prepare(new_prophet(PLAIN), WEEK, y)
    fit = fit_one(y)
    assert problem.optimality_gap(parameters(fit, 0), fit.sigma[0]) <= 1e-8


def test_series_of_different_span_share_a_batch_and_keep_their_own_seasonalities() -> None:
    grid = Grid(WEEK.start_unix_nano, 3600 * 10**9, 15 * 24)
    y = np.stack([5.0 + daily(size=grid.size, seed=s) for s in range(3)])
    y[1, : 3 * 24], y[2, : 14 * 24] = np.nan, np.nan
    fit = solve(y, build_regressors(grid, PLAIN))
    assert fit.seasonal.tolist() == [[True, True], [False, True], [False, False]]
    for i in range(3):
        assert prepare(new_prophet(PLAIN), grid, y[i]).optimality_gap(parameters(fit, i), fit.sigma[i]) <= 1e-8


@pytest.mark.parametrize(
    "options",
    [
        {"n_changepoints": 0},
        {"n_changepoints": 60, "changepoint_range": 1.0},
        {"changepoint_prior_scale": 5.0},
        {"changepoint_prior_scale": 0.001, "seasonality_prior_scale": 0.1},
        {"weekly_seasonality": True, "daily_seasonality": False},
        {"scaling": "absmax"},
    ],
)
def test_every_setting_means_what_it_means_in_prophet(options: dict[str, float]) -> None:
    y = corpus(10)
    settings = replace(PLAIN, **options)  # type: ignore[arg-type]
    fit = solve(y, build_regressors(WEEK, settings))
    for i in np.flatnonzero(fit.status == Status.CONVERGED):
        problem = prepare(new_prophet(settings), WEEK, y[i])
        assert problem.optimality_gap(parameters(fit, int(i)), fit.sigma[i]) <= 1e-8


def test_float32_gives_the_fit_of_its_own_values() -> None:
    y = (5.0 + daily()).astype(np.float32)
    np.testing.assert_array_equal(solve(y[None], PARITY).beta, solve(y.astype(np.float64)[None], PARITY).beta)


def test_the_input_is_not_modified() -> None:
    y = corpus(4)
    before = y.copy()
    solve(y, ROBUST)
    np.testing.assert_array_equal(y, before)


def test_a_warm_start_gives_the_same_fit() -> None:
    y = corpus(20)
    y[3] = 1.0
    before = solve(np.roll(y, 12, axis=1), PARITY)
    cold, warm = solve(y, PARITY), solve(y, PARITY, before)
    tolerance = 1e-7 * (cold.sigma * cold.y_scale)[:, None]
    assert (np.abs(predict(warm, WEEK.times()) - predict(cold, WEEK.times())) <= tolerance).all()


def test_one_spike_blinds_parity_mode_and_not_the_robust_one() -> None:
    y = 10.0 + daily()
    y[1000] = 1e6
    assert sigma_of(fit_one(y)) > 1e4
    assert sigma_of(fit_one(y, ProphetSettings(mask_passes=3))) < 0.12


def test_a_robust_fit_is_prophets_on_the_points_it_kept() -> None:
    y = corpus(20)
    fit = solve(y, ROBUST)
    for i in range(20):
        kept = _mask_naively(y[i])
        assert fit.used[i] == np.isfinite(kept).sum()
        again = solve(kept[None], PARITY)
        difference = predict(fit, WEEK.times())[i] - predict(again, WEEK.times())[0]
        assert np.abs(difference).max() <= 1e-7 * sigma_of(again)


def test_a_series_that_is_mostly_one_value_loses_no_points_to_the_mask() -> None:
    y = np.where(np.arange(WEEK.size) % 10 == 0, 1.0, 0.0)
    assert solve(y[None], ROBUST).used[0] >= 0.5 * WEEK.size


@pytest.mark.parametrize(("shape", "message"), [((2, 5), "cover"), ((2016,), "cover")])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve(np.zeros(shape), PARITY)


def test_integers_and_a_foreign_warm_start_are_refused() -> None:
    with pytest.raises(ValueError, match="int64"):
        solve(np.zeros((1, WEEK.size), dtype=np.int64), PARITY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="warm"):
        solve(corpus(3), PARITY, solve(corpus(2), PARITY))


def test_importing_the_solver_does_not_import_numba() -> None:
    code = "import sys, collector_processor.forecast.solve; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _mask_naively(y: Float64) -> Float64:
    """Mask with numpy's medians, three passes."""
    kept = y
    for _ in range(3):
        residual = y - predict(solve(kept[None], PARITY), WEEK.times())[0]
        centred = np.abs(residual - np.nanmedian(residual))
        limit = 4.0 * np.nanmedian(centred)
        kept = np.where(centred > limit, np.nan, y) if limit > 0.0 else kept
    return kept
