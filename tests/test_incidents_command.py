from pathlib import Path

from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.clock import MINUTE, SystemClock
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from tests.store.batches import incident


def asked(directory: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["incidents", *arguments, f"--set=store.directory={directory}"])
    return result.exit_code, " ".join(result.output.split())


def test_the_command_lists_incidents_and_describes_one(tmp_path: Path) -> None:
    now = SystemClock().now_unix_nano()
    writer = open_writer(tmp_path, StoreSettings(reserve_bytes=0))
    writer.commit(Commit(incidents=[incident("abc", now - 5 * MINUTE, None), incident("old", 1, 2)]))
    writer.close()
    code, listed = asked(tmp_path, "list")
    assert (code, "abc" in listed, "old" in listed, "db (90%)" in listed) == (0, True, False, True)
    code, shown = asked(tmp_path, "show", "abc")
    assert code == 0
    assert "It broke." in shown
    assert "suspect: db 90%: error ratio rose from 0 to 0.2" in shown
    assert "and 2 more" in shown
    assert asked(tmp_path, "show", "none")[0] != 0
