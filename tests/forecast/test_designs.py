"""Models with hourly and custom periods, holidays, flat growth and time zones against Prophet's own optimum.

The tests (a) to (f) of `test_parity`, for every kind of design that the batched solver fits, and what it leaves to the
library; `theta` of every kind against `Prophet.predict`.
"""

from dataclasses import astuple, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.forecast.calendar import Calendar, Event
from collector_processor.forecast.design import DEFAULT_DESIGN, Design, Occasion, Seasonality
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.ical import repeated
from collector_processor.forecast.local_time import day_of, wall_clock
from collector_processor.forecast.reference import ProphetForecaster, frame, from_prophet, new_prophet
from collector_processor.forecast.regressors import Grid, build_regressors, design_for
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, solve
from collector_processor.telemetry.points import Float64, Int64
from tests.forecast.corpus import corpus
from tests.forecast.oracle import Problem, parameters, predict, problem_of, stan_parameters

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prophet 1.5 on pandas 3.1

WINTER = Grid(int(np.datetime64("2023-12-10T05:00", "ns").astype(np.int64)), 30 * MINUTE, 35 * 48)
SPRING = Grid(int(np.datetime64("2024-03-18T05:00", "ns").astype(np.int64)), 30 * MINUTE, 21 * 48)
FORTNIGHTLY = Event(
    "release", ical=repeated("release", day_of(WINTER.start_unix_nano // DAY), "FREQ=WEEKLY;INTERVAL=2")
)
PLAIN = ProphetSettings(mask_passes=0)
SETTINGS = {
    "hourly": replace(PLAIN, hourly_seasonality="auto", seasonalities=(Seasonality("of a shift", 1 / 3, 2, 0.5),)),
    "other orders": replace(PLAIN, daily_seasonality=7, weekly_seasonality=True, seasonality_prior_scale=0.3),
    "holidays": replace(PLAIN, calendar=Calendar("DE", "BE", -1, 1, events=(FORTNIGHTLY,)), holidays_prior_scale=0.7),
    "flat": replace(PLAIN, growth="flat"),
    "flat, holidays": replace(PLAIN, growth="flat", calendar=Calendar("US", as_one="holiday"), scaling="absmax"),
    "time zone": replace(PLAIN, time_zone="America/New_York", calendar=Calendar("US")),
}
LEFT_TO_LIBRARY = {
    "multiplicative": replace(PLAIN, seasonality_mode="multiplicative", scaling="absmax", calendar=Calendar("DE")),
    "logistic": replace(PLAIN, growth="logistic", cap=80.0, scaling="absmax", time_zone="Europe/Berlin"),
    "logistic above a floor": replace(PLAIN, growth="logistic", cap=80.0, floor=-10.0, scaling="absmax"),
    "both": replace(
        PLAIN, growth="logistic", cap=80.0, scaling="absmax", seasonality_mode="multiplicative", n_changepoints=3
    ),
}
Case = tuple[Float64, BatchFit, list[Problem]]


@cache
def case(name: str) -> Case:
    y = corpus(10, grid=WINTER)
    fit = solve(y, build_regressors(WINTER, SETTINGS[name]))
    assert (fit.status == Status.CONVERGED).all()
    models = [new_prophet(SETTINGS[name], fit.regressors.design) for _ in y]
    return y, fit, [problem_of(m.preprocess(rows(fit, one))) for m, one in zip(models, y, strict=True)]


def rows(fit: BatchFit, y: Float64) -> pd.DataFrame:
    return frame(fit.regressors.grid.times(), y, fit.regressors.design)


def yhat_of(model: Any, time: Int64, design: Design) -> Float64:
    return np.asarray(model.predict(frame(time, np.zeros(time.size), design))["yhat"], np.float64)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_every_fit_meets_the_optimality_conditions(name: str) -> None:
    _, fit, problems = case(name)
    assert max(p.optimality_gap(ours(fit, i, p), fit.sigma[i]) for i, p in enumerate(problems)) <= 1e-8


def ours(fit: BatchFit, i: int, problem: Problem) -> Float64:
    """Return our parameters; under flat growth Prophet has deltas that change nothing, at zero."""
    w = parameters(fit, i)
    if fit.regressors.settings.growth == "flat":
        w = np.concatenate([w[:2], np.zeros(int(problem.is_delta.sum())), w[3:]])
    return w


@pytest.mark.parametrize("name", SETTINGS)
def test_b_prophets_default_fit_is_nowhere_more_probable(name: str) -> None:
    y, fit, problems = case(name)
    for i in (0, 4):
        model = new_prophet(SETTINGS[name], fit.regressors.design).fit(rows(fit, y[i]))
        theirs = problems[i].log_posterior(*stan_parameters(model))
        assert problems[i].log_posterior(ours(fit, i, problems[i]), fit.sigma[i]) >= theirs - 1e-6


@pytest.mark.parametrize("name", SETTINGS)
def test_c_an_independent_exact_solver_finds_the_same_optimum(name: str) -> None:
    batch = pytest.importorskip("prophet_batch.batch")
    _, fit, problems = case(name)
    for i, p in enumerate(problems):
        moments = p.regressors.T @ p.regressors, (p.regressors.T @ p.z)[None], np.array([p.z @ p.z])
        solved, sigma = batch.solve_map(
            *moments, np.array([len(p.z)]), p.ridge[None], p.is_delta[None] > 0, np.array([p.tau])
        )
        assert abs(p.log_posterior(ours(fit, i, p), fit.sigma[i]) - p.log_posterior(solved[0], sigma[0])) <= 1e-6


@pytest.mark.parametrize("name", SETTINGS)
def test_d_stan_started_from_our_parameters_does_not_move(name: str) -> None:
    y, fit, problems = case(name)
    for i in (1, 5):
        w = ours(fit, i, problems[i])
        deltas = int(problems[i].is_delta.sum())
        start = {"k": w[0], "m": w[1], "delta": w[2 : 2 + deltas], "beta": w[2 + deltas :], "sigma_obs": fit.sigma[i]}
        model = new_prophet(SETTINGS[name], fit.regressors.design).fit(rows(fit, y[i]), init=start, sig_figs=18)
        moved = yhat_of(model, WINTER.times(), fit.regressors.design) - predict(fit, WINTER.times())[i]
        assert np.sqrt(np.mean(moved**2)) <= 1e-4 * fit.sigma[i] * fit.y_scale[i]


@pytest.mark.parametrize("name", SETTINGS)
def test_f_a_batch_equals_its_series_fitted_one_by_one(name: str) -> None:
    y, fit, _ = case(name)
    together = predict(fit, WINTER.times())
    for i in range(0, len(y), 3):
        alone = predict(solve(y[i : i + 1], fit.regressors), WINTER.times())[0]
        assert np.abs(alone - together[i]).max() <= 1e-9 * fit.sigma[i] * fit.y_scale[i]


@pytest.mark.parametrize("name", SETTINGS | LEFT_TO_LIBRARY)
def test_theta_and_predict_are_prophets_yhat(name: str) -> None:
    """With New Year and Labor Day of two years ahead in it, which the model knows by name."""
    settings = (SETTINGS | LEFT_TO_LIBRARY)[name]
    y, time = corpus(10, grid=WINTER)[0], WINTER.times()
    design = design_for(settings, time)
    model = new_prophet(settings, design).fit(frame(time, y, design))
    fitted = from_prophet(model, design, (int(time[np.isfinite(y)][0]), int(time[np.isfinite(y)][-1])))
    ahead = np.concatenate([time, time[-1] + 7 * HOUR * np.arange(1, 150)])
    ahead = np.concatenate([ahead, int(np.datetime64("2025-12-20", "ns").astype(np.int64)) + 5 * HOUR * np.arange(100)])
    expected = yhat_of(model, ahead, design)
    np.testing.assert_allclose(fitted.predict(ahead), expected, rtol=1e-9)
    after = ahead >= fitted.last_changepoint_unix_nano
    x = design.evaluate(ahead[after])
    np.testing.assert_allclose(design.combine(np.tile(fitted.theta(), (len(x), 1)), x), expected[after], rtol=1e-9)
    np.testing.assert_allclose(sum(fitted.components(ahead).values()), expected, rtol=1e-9)


@pytest.mark.parametrize("name", LEFT_TO_LIBRARY)
def test_what_the_solver_does_not_fit_the_library_does(name: str) -> None:
    settings, time = LEFT_TO_LIBRARY[name], WINTER.times()
    with pytest.raises(ValueError, match="left to the prophet library"):
        solve(corpus(1, grid=WINTER), build_regressors(WINTER, settings))
    days = (time - time[0]) / DAY
    value = (20.0 + days) * (1.0 + 0.2 * np.sin(2 * np.pi * time / DAY))
    fitted = ProphetForecaster(settings).fit(time, value)
    assert np.sqrt(np.mean((fitted.predict(time) - value) ** 2)) < 3.0
    again = FittedProphet.from_json(fitted.to_json())
    assert again.design == fitted.design
    np.testing.assert_array_equal(again.theta(), fitted.theta())
    assert np.isfinite(astuple(fitted.trend_parameters)).all()


def test_across_a_change_of_the_clocks_the_day_follows_the_wall_and_the_trend_real_time() -> None:
    settings = replace(PLAIN, time_zone="Europe/Berlin", weekly_seasonality=False)
    local = wall_clock(SPRING.times(), "Europe/Berlin")
    random = np.random.default_rng(3)
    y = (
        10
        + 3 * np.sin(2 * np.pi * local / DAY)
        + np.cos(8 * np.pi * local / DAY)
        + 0.1 * random.normal(size=local.size)
    )
    fit = solve(y[None], build_regressors(SPRING, settings))
    in_utc, on_the_wall = new_prophet(settings), new_prophet(settings)
    problem = problem_of(
        replace(
            in_utc.preprocess(frame(SPRING.times(), y)), X=on_the_wall.preprocess(rows(fit, y)).X.reset_index(drop=True)
        )
    )
    assert problem.optimality_gap(parameters(fit, 0), fit.sigma[0]) <= 1e-8
    assert fit.sigma[0] * fit.y_scale[0] == pytest.approx(0.1, rel=0.05)
    as_utc = solve(y[None], build_regressors(SPRING, replace(settings, time_zone="UTC")))
    assert as_utc.sigma[0] > 3 * fit.sigma[0]


def test_a_holiday_seen_in_training_is_expected_again() -> None:
    time = WINTER.times()
    day = wall_clock(time, "Europe/Berlin") // DAY
    quiet = np.isin(
        day, [int(np.datetime64(d, "D").astype(np.int64)) for d in ("2023-12-25", "2023-12-26", "2024-01-01")]
    )
    y = 50 + 5 * np.sin(2 * np.pi * time / DAY) - 30 * quiet + np.random.default_rng(0).normal(size=time.size)
    settings = ProphetSettings(time_zone="Europe/Berlin", calendar=Calendar("DE", as_one="holiday"))
    fitted = solve(y[None], build_regressors(WINTER, settings)).fitted(0)
    assert fitted is not None
    ahead = int(np.datetime64("2024-03-28T23:00", "ns").astype(np.int64)) + HOUR * np.arange(48)
    effect = fitted.components(ahead)["holiday"]
    np.testing.assert_array_equal(effect[24:], 0.0)
    np.testing.assert_allclose(effect[:24], -30, atol=1.0)  # Good Friday, from local midnight on


def test_a_holiday_that_the_history_has_not_seen_is_not_part_of_the_design() -> None:
    design = design_for(replace(PLAIN, calendar=Calendar("DE", lower_window=-1)), WINTER.times())
    assert [o.name for o in design.occasions] == ["Christmas Day", "New Year's Day", "Second Day of Christmas"]
    assert {day_of(day).year for o in design.occasions for day in o.days} == {2022, 2023, 2024, 2025, 2026}


def test_ordinary_settings_share_the_default_design() -> None:
    for settings in (
        PLAIN,
        replace(PLAIN, weekly_seasonality=True, daily_seasonality=False, changepoint_prior_scale=0.5),
    ):
        assert design_for(settings, WINTER.times()) == DEFAULT_DESIGN
    summer = Grid(int(np.datetime64("2023-06-12", "ns").astype(np.int64)), HOUR, 300)
    assert design_for(replace(PLAIN, calendar=Calendar("DE")), summer.times()) == DEFAULT_DESIGN


@pytest.mark.parametrize("name", SETTINGS | LEFT_TO_LIBRARY)
def test_a_design_survives_json(name: str) -> None:
    import orjson

    design = design_for((SETTINGS | LEFT_TO_LIBRARY)[name], WINTER.times())
    again = Design.from_description(orjson.loads(orjson.dumps(design.description())))
    assert again == design
    assert hash(again) == hash(design)


@pytest.mark.parametrize(
    "wrong", [{"time_zone": "Mars/Base"}, {"growth": "steep"}, {"mode": 1}, {"occasions": [["x"]]}]
)
def test_a_design_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    design = Design((), (Occasion("x", (1,)),))
    with pytest.raises((KeyError, TypeError, ValueError)):
        Design.from_description(design.description() | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"growth": "logistic"},
        {"cap": 3.0},
        {"growth": "logistic", "cap": 1.0, "floor": 2.0, "scaling": "absmax"},
        {"growth": "logistic", "cap": 1.0},
        {"seasonality_mode": "multiplicative"},
        {"holidays_prior_scale": 0.0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"growth|floor|scale|Prophet"):
        replace(PLAIN, **wrong)


def test_a_fingerprint_tells_settings_apart_and_is_empty_for_the_defaults() -> None:
    found = [s.fingerprint for s in (SETTINGS | LEFT_TO_LIBRARY).values()]
    assert len(set(found)) == len(found)
    assert ProphetSettings().fingerprint == ""
    assert replace(PLAIN).fingerprint == PLAIN.fingerprint != ""
