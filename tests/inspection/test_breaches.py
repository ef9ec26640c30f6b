from pathlib import Path

import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.clock import MINUTE, ManualClock, SystemClock
from collector_processor.inspection.breaches import breaches
from collector_processor.policy import Policies
from tests.grafana.scene import Scene, write_scene


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    now = SystemClock().now_unix_nano() // MINUTE * MINUTE
    return write_scene(tmp_path_factory.mktemp("breaches") / "store", now=now)


def capacity(directory: Path, config: Path) -> list[str]:
    arguments = ["capacity", f"--config={config}", f"--set=store.directory={directory}"]
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, arguments).output.splitlines()


def test_the_table_has_the_likeliest_breach_first(live: Scene, tmp_path: Path) -> None:
    config = tmp_path / "foreband.yaml"
    config.write_text("policies: [{match: {metric: traces.span.calls}, capacity: {limit: 140}}]")
    lines = capacity(live.directory, config)
    assert "GET /cart" in lines[1]
    assert ">= 140" in lines[1]
    assert "100%" in lines[1]
    assert lines[-1].split()[-3:] == ["-", "-", "-"]


def test_series_that_fell_silent_have_no_future(live: Scene) -> None:
    later = ManualClock(live.now + 120 * MINUTE)
    assert breaches(live.directory, Policies(), later) == []
