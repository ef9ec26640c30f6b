from pathlib import Path

from click.testing import CliRunner
from rich.console import Console

from collector_processor.cli import cli
from collector_processor.clock import MINUTE
from collector_processor.inspection.episodes import stored_episodes, table_of
from collector_processor.telemetry.episode import Episode
from tests.pipeline_room import NOW, Room, gauge_request


def only(room: Room) -> Episode:
    (episode,) = room.writer.open_episodes()
    return episode


def foreband(directory: Path, *arguments: str) -> str:
    return CliRunner(env={"COLUMNS": "250"}).invoke(cli, [*arguments, f"--set=store.directory={directory}"]).output


def test_what_judged_the_first_point_is_kept_with_the_episode_from_the_next_tick_on(room: Room) -> None:
    room.metrics(gauge_request("depth", (0, 500.0)))
    assert only(room).onset is None
    room.pipeline.tick(NOW + MINUTE)
    onset = only(room).onset
    assert onset is not None
    assert (onset.model_version, onset.forecaster, onset.reason) == (1, "seasonal", "a test")
    assert onset.forecasts["seasonal"] == 50.0
    assert 0.0 < onset.tolerance["seasonal"] < 50.0


def test_later_reports_keep_it_although_the_model_has_changed(room: Room) -> None:
    room.metrics(gauge_request("depth", (0, 500.0)))
    room.pipeline.tick(NOW + MINUTE)
    before = only(room)
    room.teach("depth/value", 70.0, version=2)
    room.metrics(gauge_request("depth", (60, 900.0)))
    after = only(room)
    assert (after.actual, after.onset) == (900.0, before.onset)


def test_a_restart_keeps_it_too(room: Room) -> None:
    room.metrics(gauge_request("depth", (0, 500.0)))
    room.pipeline.tick(NOW + MINUTE)
    before = only(room)
    room.state.reload(NOW + MINUTE)
    room.metrics(gauge_request("depth", (60, 900.0)))
    assert only(room).onset == before.onset


def test_the_model_that_judged_is_described_and_not_the_one_that_came_after(room: Room) -> None:
    room.metrics(gauge_request("depth", (0, 500.0)))
    room.teach("depth/value", 70.0, version=2)
    room.pipeline.tick(NOW + MINUTE)
    onset = only(room).onset
    assert onset is not None
    assert onset.model_version == 1
    assert set(onset.forecasts.values()) == {50.0}


def test_the_command_shows_why(room: Room, tmp_path: Path) -> None:
    room.metrics(gauge_request("depth", (0, 500.0)))
    room.pipeline.tick(NOW + MINUTE)
    episode = only(room)
    (listed,) = stored_episodes(tmp_path, NOW - MINUTE, NOW + MINUTE)
    assert listed.episode == episode
    assert table_of([listed], NOW + 3 * MINUTE).row_count == 1
    shown = foreband(tmp_path, "episodes", "show", episode.episode_id)
    assert "forecast: seasonal" in shown
    assert "is drawn because a test" in " ".join(shown.split())
    assert "no episode 'x'" in str(
        CliRunner().invoke(cli, ["episodes", "show", "x", f"--set=store.directory={tmp_path}"]).exception
    )


def test_names_are_shown_as_they_are_whatever_brackets_they_hold(room: Room, tmp_path: Path) -> None:
    name, console = "[bold]depth[/red]", Console(width=250)
    room.metrics(gauge_request(name, (-60, 50.0)))
    room.teach(f"{name}/value", 50.0)
    room.metrics(gauge_request(name, (0, 500.0)))
    with console.capture() as shown:
        console.print(table_of(stored_episodes(tmp_path, NOW - MINUTE, NOW + MINUTE), NOW))
    assert name in shown.get()
    assert name in foreband(tmp_path, "models", "list")
