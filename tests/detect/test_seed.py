import json

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int64

START = 19_000 * DAY
F = len(FORECASTS)


def history(days: int = 5) -> tuple[Int64, Float64]:
    time = START + np.arange(0, days * DAY, HOUR // 12)
    return time, np.random.default_rng(1).normal(size=(time.size, F))


def test_a_seed_survives_json_and_stays_small() -> None:
    seed = seed_from_residuals(*history(28), std=2.5)
    text = seed.to_json()
    again = Seed.from_json(text)
    assert again.maxima.tobytes() == seed.maxima.tobytes()
    assert again.trackers.tobytes() == seed.trackers.tobytes()
    assert again.std == 2.5
    assert len(text) < 6000


@pytest.mark.parametrize("text", ["{}", "[]", "null", "nonsense", '{"maxima": "AAAA", "trackers": "", "std": 1}'])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the parser's own
        Seed.from_json(text)


def test_a_seed_of_another_layout_is_refused() -> None:
    fields = json.loads(seed_from_residuals(*history(), std=1.0).to_json())
    fields["maxima"], fields["trackers"] = fields["trackers"], fields["maxima"]
    with pytest.raises(ValueError, match="saved by version"):
        Seed.from_json(json.dumps(fields))


def test_missing_and_infinite_residuals_are_left_out() -> None:
    time, residual = history()
    holed = residual.copy()
    holed[::3] = np.nan
    holed[1::3, 0] = np.inf
    seed = seed_from_residuals(time, holed, std=1.0)
    assert np.isfinite(seed.maxima["current"]["reach"]).all()
    assert np.isfinite(seed.trackers["offset_upper"]).all()


def test_a_forecast_without_residuals_stays_unknown() -> None:
    time, residual = history()
    residual[:, 0] = np.nan
    seed = seed_from_residuals(time, residual, std=1.0)
    assert seed.maxima["current"]["observed"][0].tolist() == [0, *[5 * DAY - HOUR // 12] * (F - 1)]
    assert np.isnan(seed.trackers["offset_upper"][0]).all()


def test_no_residuals_at_all_are_a_seed_that_knows_nothing() -> None:
    seed = seed_from_residuals(np.empty(0, np.int64), np.empty((0, F)), std=0.0)
    assert seed.maxima["current"]["newest"].tolist() == [-1]


def test_times_that_do_not_ascend_are_refused() -> None:
    time, residual = history()
    with pytest.raises(ValueError, match="ascend"):
        seed_from_residuals(time[::-1], residual, std=1.0)


@pytest.mark.parametrize("std", [-1.0, float("nan"), float("inf")])
def test_an_impossible_standard_deviation_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match=str(std)):
        seed_from_residuals(*history(), std=std)


def test_a_wrong_number_of_forecasts_is_refused() -> None:
    time, residual = history()
    with pytest.raises(ValueError, match=f"{F} forecasts"):
        seed_from_residuals(time, residual[:, :1], std=1.0)
