import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from prophet.serialize import model_from_json

from collector_processor.cli import cli
from collector_processor.forecast.fleet import FleetModel
from collector_processor.inspection.models import UnknownModelError, stored_models
from tests.fitted_store import KEY, TIME, YOUNG, fill
from tests.forecast.fleets import forecasts_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prophet 1.5 on pandas 3.1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    fill(directory)
    return directory


def foreband(store: Path, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, [*arguments, f"--set=store.directory={store}"])


def test_the_list_shows_every_series_with_a_model(store: Path) -> None:
    lines = foreband(store, "models", "list").output.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:2] == [YOUNG.stable_id, "shop:"]
    assert lines[2].split()[0] == KEY.stable_id
    assert "5.0 d" in lines[2]
    assert lines[2].split()[-1] == "default"


def test_a_model_is_described_with_the_reason_for_its_choice(store: Path) -> None:
    output = " ".join(foreband(store, "models", "show", KEY.stable_id).output.split())  # however it is wrapped
    assert "from 3 origins" in output
    assert "daily" in output
    assert "design default seasonalities daily calendar none trend" in output
    assert f"[{KEY.stable_id}]" in output
    young = " ".join(foreband(store, "models", "show", YOUNG.stable_id).output.split())
    assert "Prophet can't be fitted" in young


def test_the_export_is_a_prophet_that_predicts_what_the_fleet_does(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.json"
    assert foreband(store, "models", "export", KEY.stable_id, f"--output={output}").exit_code == 0
    model = model_from_json(output.read_text())
    model.uncertainty_samples = 0
    assert model.history is not None
    assert len(model.history) == TIME.size
    ahead = TIME[-1] + 600 * 10**9 * np.arange(1, 100)
    theirs = model.predict(pd.DataFrame({"ds": pd.to_datetime(ahead)}))["yhat"]
    fleet = FleetModel.from_records([m.record for m in stored_models(store)])
    np.testing.assert_allclose(theirs, forecasts_of(fleet, 0, ahead)[:, 0], rtol=1e-9)
    assert json.loads(foreband(store, "models", "export", KEY.stable_id).output)["scaling"] == "minmax"


@pytest.mark.parametrize(("series", "message"), [("0" * 16, "has a model"), (YOUNG.stable_id, "not fitted yet")])
def test_what_cannot_be_exported_is_said(store: Path, series: str, message: str) -> None:
    found = foreband(store, "models", "export", series).exception
    assert isinstance(found, UnknownModelError)
    assert message in str(found)
