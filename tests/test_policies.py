"""A policy from its text to what is drawn, judged and exported: a whole Foreband."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from prophet.serialize import model_from_json

from collector_processor.cli import cli
from collector_processor.clock import DAY
from collector_processor.forecast.local_time import day_of, wall_clock
from collector_processor.forecast.packed import unpack
from collector_processor.inspection.models import StoredModel, stored_models
from collector_processor.ledger import Signal
from tests.house import NOW, SECOND, House

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prophet 1.5 on pandas 3.1

ZONE = "Asia/Tokyo"
TODAY = int(wall_clock(np.array([NOW]), ZONE)[0]) // DAY
POLICIES = f"""[
  {{match: {{metric: orders}},
    forecast: {{time_zone: {ZONE}, events: [{{name: sale, dates: ['{day_of(TODAY - 2)}', '{day_of(TODAY + 1)}']}}]}}}},
  {{match: {{metric: disk}}, forecast: {{growth: logistic, cap: 60}}}}]"""
PATIENCE = 240.0


def until(house: House, found: Callable[[], Any]) -> Any:
    """Let time pass, also for the house, until something is there."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline
        house.clock.advance(SECOND)
        threading.Event().wait(0.05)
    return answer


def of_prophet(house: House) -> dict[str, StoredModel] | None:
    """Return the models by metric as soon as all are Prophet's and drawn as that."""
    found = {model.key.metric: model for model in stored_models(house.directory)}
    ready = len(found) == 2 and all(unpack(m.record.parameters)[0] for m in found.values())
    return found if ready and found["orders"].record.forecaster == "prophet" else None


def test_a_policy_is_fitted_drawn_told_and_exported(tmp_path: Path) -> None:
    seconds = np.arange(-6 * 86_400, 0, 900)
    times = NOW + seconds * SECOND
    is_sale = wall_clock(times, ZONE) // DAY == TODAY - 2
    noise = np.random.default_rng(5).normal(size=times.size)
    orders = 100 + 8 * seconds / 86_400 + 10 * np.sin(2 * np.pi * times / DAY) + 50 * is_sale + noise
    house = House(tmp_path, f"policies={POLICIES}")
    try:
        shop = house.moment("shop")
        house.send(Signal.METRICS, shop.gauge("orders", *zip(seconds.tolist(), orders.tolist(), strict=True)))
        disk = 30 + seconds / 86_400 + 0.1 * noise
        house.send(Signal.METRICS, shop.gauge("disk", *zip(seconds.tolist(), disk.tolist(), strict=True)))
        models = until(house, lambda: of_prophet(house))
        ahead = f"from={NOW // 10**6}&to={(NOW + 3 * DAY) // 10**6}"
        address = f"http://{house.addresses.http}"
        with urlopen(f"{address}/api/v1/series/{models['orders'].key.stable_id}/forecast?{ahead}") as answer:
            rows = json.loads(answer.read())
        with urlopen(f"{address}/metrics") as answer:
            metrics = answer.read().decode()
    finally:
        house.close()
    _assert_the_sale_is_drawn(rows)
    assert 'foreband_fits_declined_total{reason="logistic growth"}' in metrics
    _assert_the_models_are_told_and_exported(house.directory, models)


def _assert_the_sale_is_drawn(rows: list[dict[str, Any]]) -> None:
    drawn = [(row["time"] * 10**6, row["yhat"]) for row in rows if row["yhat"] is not None]
    at, yhat = np.array([t for t, _ in drawn]), np.array([value for _, value in drawn])
    day = wall_clock(at, ZONE) // DAY
    on_sale, after = yhat[day == TODAY + 1].mean(), yhat[day == TODAY + 2].mean()
    assert on_sale - after == pytest.approx(50 - 8, abs=5)


def _assert_the_models_are_told_and_exported(directory: Path, models: dict[str, StoredModel]) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, ["models", *arguments, f"--set=store.directory={directory}"]).output

    orders, disk = (models[name].key.stable_id for name in ("orders", "disk"))
    assert "Asia/Tokyo, sale" in " ".join(run("show", orders).split())
    assert "logistic" in run("show", disk)
    model = model_from_json(run("export", orders))
    model.uncertainty_samples = 0
    days = pd.DataFrame({"ds": pd.to_datetime([day_of(TODAY + 1), day_of(TODAY + 2)])})
    assert model.predict(days)["sale"].round().tolist()[1] == 0.0
    assert model.predict(days)["sale"].iloc[0] == pytest.approx(50, abs=5)
    assert model_from_json(run("export", disk)).growth == "logistic"
