import json
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
import pytest
from prophet import Prophet
from prophet.serialize import model_from_json, model_to_json

from collector_processor.clock import HOUR
from collector_processor.forecast import reference
from collector_processor.forecast.export import export_json
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import ProphetForecaster
from collector_processor.forecast.regressors import build_regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import solve
from collector_processor.telemetry.points import Float64
from tests.forecast import test_designs as designs
from tests.forecast.corpus import WEEK, corpus
from tests.forecast.oracle import frame

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEEKLY = ProphetSettings(weekly_seasonality=True)
SETTINGS = {
    "robust": WEEKLY,
    "scaled by the largest value": ProphetSettings(scaling="absmax", mask_passes=0),
    "no seasonality": ProphetSettings(daily_seasonality=False),
    "no changepoints": ProphetSettings(n_changepoints=0),
}
EVERY = designs.SETTINGS | designs.LEFT_TO_LIBRARY


def fitted_to(y: Float64, settings: ProphetSettings) -> FittedProphet:
    fitted = solve(y[None], build_regressors(WEEK, settings)).fitted(0)
    assert fitted is not None
    return fitted


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("with_history", [True, False])
def test_prophet_loads_the_export_and_predicts_the_same(name: str, with_history: bool) -> None:
    y = corpus(4)[3]
    fitted = fitted_to(y, SETTINGS[name])
    model = model_from_json(export_json(fitted, SETTINGS[name], (WEEK.times(), y) if with_history else None))
    model.uncertainty_samples = 0
    future = model.make_future_dataframe(288, freq="5min")
    ours = fitted.predict(future["ds"].to_numpy().astype("datetime64[ns]").astype(np.int64))
    np.testing.assert_allclose(model.predict(future)["yhat"], ours, rtol=1e-9)
    assert model_from_json(model_to_json(model)).predict(future)["yhat"].equals(model.predict(future)["yhat"])


@pytest.mark.parametrize("scaling", ["absmax", "minmax"])
def test_the_export_says_what_prophets_own_would(scaling: Literal["absmax", "minmax"]) -> None:
    y = corpus(2)[1]
    settings = ProphetSettings(weekly_seasonality=True, mask_passes=0, scaling=scaling)
    theirs = json.loads(model_to_json(Prophet(weekly_seasonality=True, scaling=scaling).fit(frame(WEEK, y))))
    ours = json.loads(export_json(fitted_to(y, settings), settings, (WEEK.times(), y)))
    assert ours.keys() == theirs.keys()
    dates = {"changepoints", "history_dates"}  # written to the nanosecond, under other row numbers
    estimates = {"params"}
    different = {k for k in theirs if ours[k] != theirs[k]} - dates - estimates - {"history", "__prophet_version"}
    assert not different
    assert set(theirs["params"]) - set(ours["params"]) == {"lp__", "trend"}


def test_components_can_be_drawn(tmp_path: Path) -> None:
    mpl.use("agg")
    y = corpus(1)[0]
    model = model_from_json(export_json(fitted_to(y, WEEKLY), WEEKLY, (WEEK.times(), y)))
    figure = model.plot_components(model.predict(model.make_future_dataframe(10, freq="5min")))
    figure.savefig(tmp_path / "components.png")
    assert len(figure.axes) == 3


@pytest.mark.parametrize("name", EVERY)
def test_prophet_loads_every_kind_of_design_and_predicts_the_same(name: str, tmp_path: Path) -> None:
    time, y = designs.WINTER.times(), corpus(10, grid=designs.WINTER)[0]
    fitted = ProphetForecaster(EVERY[name]).fit(time, y)
    model = model_from_json(export_json(fitted, EVERY[name], None if name == "flat" else (time, y)))
    model.uncertainty_samples = 0
    ahead = np.concatenate([time, time[-1] + 5 * HOUR * np.arange(1, 250)])  # until New York changes its clocks
    future = reference.frame(ahead, np.zeros(ahead.size), fitted.design)
    found = model.predict(future)
    np.testing.assert_allclose(found["yhat"], fitted.predict(ahead), rtol=1e-9)
    assert model_from_json(model_to_json(model)).predict(future)["yhat"].equals(found["yhat"])
    if name in {"holidays", "both"}:
        mpl.use("agg")
        model.plot_components(found).savefig(tmp_path / "components.png")


@pytest.mark.parametrize("name", EVERY)
def test_the_export_of_every_design_says_what_prophets_own_would(name: str) -> None:
    settings = EVERY[name]
    time, y = designs.WINTER.times(), corpus(10, grid=designs.WINTER)[1]
    fitted = ProphetForecaster(settings).fit(time, y)
    model = reference.new_prophet(settings, fitted.design).fit(reference.frame(time, y, fitted.design))
    theirs, ours = json.loads(model_to_json(model)), json.loads(export_json(fitted, settings, (time, y)))
    assert ours.keys() == theirs.keys()
    unlike = {"changepoints", "history_dates", "params", "history", "__prophet_version", "uncertainty_samples"}
    unlike |= {"changepoints_t", "n_changepoints"} if settings.growth == "flat" else set()
    unlike |= {"y_min"} if settings.floor else set()  # there Prophet keeps a number that it never uses
    tables = {"train_component_cols", "holidays"}
    assert not {k for k in theirs if ours[k] != theirs[k]} - unlike - tables
    for table in tables:
        one, other = (text[table] and json.loads(text[table])["data"] for text in (ours, theirs))
        assert one == other
