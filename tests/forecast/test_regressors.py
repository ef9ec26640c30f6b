import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prophet import Prophet

from collector_processor.clock import DAY
from collector_processor.forecast.design import DEFAULT_DESIGN
from collector_processor.forecast.regressors import Grid, build_regressors, changepoint_rows, is_enabled
from collector_processor.forecast.settings import ProphetSettings
from tests.forecast.oracle import frame

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MINUTE = 60 * 10**9


def names(grid: Grid, chosen: ProphetSettings | None = None) -> list[str]:
    return [part.name for part in build_regressors(grid, chosen or ProphetSettings()).parts]


@pytest.mark.parametrize(
    ("step_nano", "size", "expected"),
    [
        (5 * MINUTE, 2 * 288, []),  # two days less one step
        (5 * MINUTE, 2 * 288 + 1, ["daily"]),
        (60 * MINUTE, 14 * 24, ["daily"]),
        (60 * MINUTE, 14 * 24 + 1, ["weekly", "daily"]),
        (DAY, 731, ["yearly", "weekly"]),
        (7 * DAY, 200, ["yearly"]),
    ],
)
def test_seasonalities_switch_on_where_prophets_do(step_nano: int, size: int, expected: list[str]) -> None:
    grid = Grid(0, step_nano, size)
    model = Prophet()
    model.preprocess(frame(grid, np.arange(size, dtype=float)))
    assert names(grid) == list(model.seasonalities) == expected


def test_a_gappy_series_is_judged_by_its_own_span_and_spacing() -> None:
    spans, spacings = np.array([3 * DAY, 3 * DAY, DAY]), np.array([MINUTE, DAY, MINUTE])
    assert is_enabled(DEFAULT_DESIGN.seasonalities[0], ProphetSettings(), spans, spacings).tolist() == [
        True,
        False,
        False,
    ]


def test_seasonalities_can_be_forced_on_and_off() -> None:
    grid = Grid(0, 5 * MINUTE, 2016)
    assert names(grid, ProphetSettings(weekly_seasonality=True, daily_seasonality=False)) == ["weekly"]
    assert build_regressors(grid, ProphetSettings(weekly_seasonality=True)).features.shape == (2016, 14)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 400), wanted=st.integers(0, 40), within=st.sampled_from([0.0, 0.3, 0.8, 0.95, 1.0]))
def test_changepoints_fall_on_prophets_rows(rows: int, wanted: int, within: float) -> None:
    model = Prophet(n_changepoints=wanted, changepoint_range=within)
    model.history = pd.DataFrame({"ds": pd.to_datetime(np.arange(rows) * MINUTE)})
    model.start, model.t_scale = model.history["ds"].min(), pd.Timedelta(rows - 1, "min")
    model.set_changepoints()
    ours, theirs = changepoint_rows(rows, wanted, within)[rows], np.asarray(model.changepoints_t)
    np.testing.assert_allclose(ours[ours >= 0] / (rows - 1), theirs, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_changepoints": -1},
        {"changepoint_range": 1.5},
        {"changepoint_prior_scale": 0.0},
        {"mask_passes": -1},
        {"mask_mads": float("nan")},
    ],
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        ProphetSettings(**wrong)  # type: ignore[arg-type]


def test_a_grid_moves_forward() -> None:
    with pytest.raises(ValueError, match="positive"):
        Grid(0, 0, 10)
