from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.clock import DAY, MINUTE
from collector_processor.inspection.backtests import (
    BacktestSettings,
    NothingToTestError,
    Result,
    chosen_series,
    relative_error,
    report_of,
    run_backtest,
)
from tests.fitted_store import KEY, TIME, YOUNG, fill

SETTINGS = BacktestSettings(step=5 * MINUTE, window=28 * DAY)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    fill(directory)
    return directory


def test_every_forecast_looks_a_day_ahead_from_every_origin(store: Path) -> None:
    looked_at: list[int] = []
    (result,) = run_backtest(store, chosen_series(store, []), SETTINGS, looked_at.append)
    assert sum(looked_at) == 2
    assert (result.key, result.origins) == (KEY, 3)
    assert result.points == 2 * 288  # before the first there are not quite two days, and no Prophet
    prophet, median, naive = result.error
    expected = 0.3 * np.sqrt(2 / np.pi)  # the mean of |noise|
    assert prophet == pytest.approx(expected, rel=0.1)
    assert median == pytest.approx(expected, rel=0.2)
    assert naive == pytest.approx(np.sqrt(2) * expected, rel=0.1)  # it has the noise twice
    assert result.covered == pytest.approx(0.95, abs=0.03)


def test_the_newest_value_a_day_earlier_is_never_a_later_one(store: Path) -> None:
    few = BacktestSettings(step=5 * MINUTE, window=28 * DAY, origins=1)
    (result,) = run_backtest(store, chosen_series(store, [KEY.stable_id]), few, lambda _: None)
    assert (result.origins, result.points) == (1, 288)


def test_series_too_young_or_unknown_are_said_so(store: Path) -> None:
    with pytest.raises(NothingToTestError, match="two days"):
        run_backtest(store, chosen_series(store, [YOUNG.stable_id]), SETTINGS, lambda _: None)
    with pytest.raises(NothingToTestError, match="abc"):
        chosen_series(store, ["abc"])


def test_the_total_is_the_median_of_relative_errors() -> None:
    errors = ([1.0, 2.0, 4.0], [3.0, 1.0, 1.0], [np.nan] * 3, [1.0, 1.0, 0.0])
    results = [Result(KEY, 1, 1, np.array(e), 1.0) for e in errors]
    assert relative_error(results).tolist() == [1.625, 0.75, 1.0]
    assert np.isnan(relative_error(results[2:])).all()


def test_the_command_prints_a_row_per_series_and_the_whole(store: Path) -> None:
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["backtest", f"--set=store.directory={store}"])
    assert ran.exit_code == 0
    assert "shop: queue.depth" in ran.output
    assert "all 1 series" in ran.output
    assert str(TIME.size) not in ran.output


def test_the_report_plots_every_series_and_the_whole(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    ran = CliRunner().invoke(cli, ["backtest", f"--set=store.directory={store}", f"--report={file}"])
    assert ran.exit_code == 0
    text = file.read_text()
    assert text.count("<svg") == 2
    assert text.count("shop: queue.depth") == 2
    assert "all 1 series" in text


def test_the_worst_series_is_plotted_first_and_one_without_errors_last() -> None:
    errors = ([1.0, 2.0, 4.0], [3.0, 2.0, 1.0], [np.nan] * 3)
    keys = [replace(KEY, metric=name) for name in ("good", "bad", "unknown")]
    text = report_of([Result(k, 1, 1, np.array(e), 0.9) for k, e in zip(keys, errors, strict=True)], 0.95)
    assert text.index("bad") < text.index("good") < text.index("unknown")
