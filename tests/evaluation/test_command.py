import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.evaluation.dataset import LabelledSeries, read_dataset
from collector_processor.evaluation.evaluate import OURS, evaluate
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.evaluation.trace import Trace
from tests.evaluation.labelled import with_faults, write

_WRITTEN = {"json": "figures.json", "report": "report.html", "work": "work"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"), with_faults(0, "a/one.csv"), with_faults(1, "a/two.csv"))


def test_the_command_prints_tables_and_writes_figures_and_a_report(data: Path, tmp_path: Path) -> None:
    files = [f"--{name}={tmp_path / file}" for name, file in _WRITTEN.items()]
    ran = CliRunner(env={"COLUMNS": "220"}).invoke(cli, ["evaluate", f"--data={data}", *files])
    assert ran.exit_code == 0, ran.output
    assert "Foreband, all 2 series" in ran.output
    assert "random 0.1 % of points" in ran.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {"pooled", "ours"}
    pooled = figures["pooled"]
    assert (pooled["recall"], pooled["precision"], pooled["false_alarms_per_series_week"]) == (1.0, 1.0, 0.0)
    assert pooled["mae_ratio"]["1d"] < 0.85
    assert pooled["coverage"]["0.99"] == pytest.approx(0.99, abs=0.025)
    assert len(pooled["baselines"]) == 6
    report = (tmp_path / "report.html").read_text()
    assert report.count("<svg") == 2
    assert "a/two.csv" in report


def test_a_finished_series_is_not_replayed_again_unless_something_changed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed: list[str] = []

    def noting(series: Sequence[LabelledSeries], settings: ReplaySettings) -> list[Trace]:
        replayed.extend(s.name for s in series)
        return replay(series, settings)

    monkeypatch.setattr("collector_processor.evaluation.evaluate.replay", noting)
    dataset = read_dataset(data)
    first = evaluate(dataset, ReplaySettings(), tmp_path, lambda _: None)
    replayed.clear()
    again = evaluate(dataset, ReplaySettings(), tmp_path, lambda _: None)
    assert replayed == []
    assert [m.counts[OURS].found for m in again] == [m.counts[OURS].found for m in first]
    next(tmp_path.glob("*.npz")).write_bytes(b"cut off")
    evaluate(dataset, ReplaySettings(), tmp_path, lambda _: None)
    assert len(replayed) == 1
    evaluate(dataset[:1], ReplaySettings(threshold=1.3), tmp_path, lambda _: None)
    assert replayed[1:] == ["a/one.csv"]


def test_data_without_labels_is_one_message(tmp_path: Path) -> None:
    ran = CliRunner().invoke(cli, ["evaluate", f"--data={tmp_path}", f"--work={tmp_path}"])
    assert "labels.json" in str(ran.exception)
