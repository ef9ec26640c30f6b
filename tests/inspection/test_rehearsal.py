from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.clock import HOUR
from collector_processor.config import load_config
from collector_processor.inspection.rehearsal import Rehearsal, rehearse, summary_of, table_of
from tests.pipeline_room import NOW, Room, gauge_request, opened

DAY_SECONDS = 86_400


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A series of two days with a slight alarm upwards and, three hours later, a clear one downwards."""
    with opened(tmp_path / "store") as room:
        room.metrics(gauge_request("depth", (-2 * DAY_SECONDS, 50.0), (-60, 50.0)))
        room.teach("depth/value", 50.0)
        slight, clear = 52.2, 20.0
        values = [50.0, slight, *[50.0] * 178, clear, *[50.0] * 10]
        room.metrics(gauge_request("depth", *((60.0 * k, value) for k, value in enumerate(values))), now=NOW + 4 * HOUR)
        yield room


def tried(tmp_path: Path, text: str) -> Rehearsal:
    (tmp_path / "new.yaml").write_text(text)
    old, new = load_config(None, environ={}), load_config(tmp_path / "new.yaml", environ={})
    return rehearse(tmp_path / "store", old, new, NOW - 3 * DAY_SECONDS * 10**9, NOW + DAY_SECONDS * 10**9, print)


def test_the_same_configuration_changes_nothing_and_finds_what_was_found(room: Room, tmp_path: Path) -> None:
    found = tried(tmp_path, "{}")
    assert found.changes == []
    assert found.before == found.after == len(room.writer.episodes(0, 2**62)) == 2


@pytest.mark.usefixtures("room")
def test_a_larger_threshold_removes_the_slight_alarm(tmp_path: Path) -> None:
    found = tried(tmp_path, "detect: {threshold: 3.0}")
    (change,) = found.changes
    assert not change.is_added
    assert change.start_unix_nano == NOW + 60 * 10**9
    assert change.score > 1.0
    assert (found.before, found.after) == (2, 1)
    assert "0 added, 1 removed" in summary_of(found)
    assert table_of(found.changes).row_count == 1


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("policy", "removed"),
    [
        ("{direction: down}", [60]),
        ("{direction: up}", [180 * 60]),
        ("{min_deviation: 10}", [60]),
        ("{maintenance: [{from: 2027-01-15T10:00:00Z, until: 2027-01-15T12:00:00Z}]}", [180 * 60]),
    ],
)
def test_what_policies_say_is_tried(tmp_path: Path, policy: str, removed: list[int]) -> None:
    found = tried(tmp_path, f"policies: [{{match: {{metric: depth}}, detect: {policy}}}]")
    assert [(c.start_unix_nano - NOW) // 10**9 for c in found.changes] == removed


@pytest.mark.usefixtures("room")
def test_the_command_says_what_changes(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("detect: {threshold: 3.0}")
    output = CliRunner().invoke(
        cli, ["config", "try", str(tmp_path / "new.yaml"), "--days=9", f"--set=store.directory={tmp_path / 'store'}"]
    )
    assert "episodes as it is" in output.output
