"""The keeper of incidents on a real pipeline and store, asked to look by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collector_processor.clock import MINUTE, ManualClock
from collector_processor.errors import StoreError
from collector_processor.incident_keeper import IncidentKeeper, Sources
from collector_processor.incidents.correlate import CorrelationSettings
from collector_processor.telemetry.incident import TOGETHER, Incident
from tests.pipeline_room import NOW, SECOND, Room, gauge_request, opened

NAMES = ("cpu", "memory", "disk")


def keeper_of(room: Room, directory: Path) -> IncidentKeeper:
    return IncidentKeeper(
        directory, sources_of(room, room.desk.keep_incidents), ManualClock(NOW), CorrelationSettings()
    )


def sources_of(room: Room, keep: Callable[[Sequence[Incident]], None]) -> Sources:
    desk, reports = room.desk, room.desk.reports
    return Sources(reports.take_episodes, reports.take_strains, lambda: desk.keys, lambda: desk.saved_bands, keep)


def send(room: Room, value: float, *minutes: int, names: tuple[str, ...] = NAMES) -> None:
    for minute in minutes:
        for name in names:
            room.metrics(gauge_request(name, (60.0 * minute, value)), now=NOW + minute * MINUTE)


def teach(room: Room) -> None:
    send(room, 10.0, *range(-30, 0))
    for name in NAMES:
        room.teach(f"{name}/value", 10.0)


def stored(room: Room) -> list[Incident]:
    return room.writer.incidents(0, 2**62)


def test_series_that_leave_their_bands_together_are_an_incident_with_a_cause(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        keeper = keeper_of(room, tmp_path)
        send(room, 50.0, 0, 1)
        keeper.look(NOW + MINUTE)
        (found,) = stored(room)
        assert (found.entities, found.is_open, len(found.members)) == (("shop",), True, 3)
        assert found.cause is not None
        assert found.cause.entity == "shop"
        assert found.sentence.startswith("3 series of shop went out of their usual range; the likeliest cause is shop")
        assert keeper.open_incidents == 1
        send(room, 10.0, *range(2, 9))
        keeper.look(NOW + 9 * MINUTE)
        (over,) = stored(room)
        assert (over.incident_id, over.is_open) == (found.incident_id, False)


def test_one_series_alone_is_none(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        keeper = keeper_of(room, tmp_path)
        send(room, 50.0, 0, 1, names=("cpu",))
        keeper.look(NOW + MINUTE)
        assert stored(room) == []


def test_an_incident_that_a_crash_kept_from_being_written_is_found_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        send(room, 50.0, 0, 1)  # nobody looks
        again = keeper_of(room, tmp_path)
        room.desk.reports.take_episodes()
        again.look(NOW + MINUTE)
        (found,) = stored(room)
        keeper_of(room, tmp_path).look(NOW + 2 * MINUTE)
        (after,) = stored(room)
        assert (after.incident_id, after.is_open, len(after.members)) == (found.incident_id, True, 3)


def test_an_episode_that_ended_while_nobody_looked_ends_its_incident(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        send(room, 50.0, 0, 1)
        keeper_of(room, tmp_path).look(NOW + MINUTE)
        send(room, 10.0, *range(2, 9))
        room.desk.reports.take_episodes()  # went with the process
        keeper_of(room, tmp_path).look(NOW + 60 * MINUTE)
        assert not stored(room)[0].is_open


def test_a_cause_is_looked_for_again_ten_seconds_later_with_what_came_meanwhile(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        keeper = keeper_of(room, tmp_path)
        send(room, 50.0, 0, 1)
        keeper.look(NOW + MINUTE)
        (first,) = stored(room)
        for name in NAMES:
            room.metrics(gauge_request(name, *((60.0 + i, 90.0) for i in range(1, 9))), now=NOW + MINUTE + 9 * SECOND)
        keeper.look(NOW + MINUTE + 9 * SECOND)
        assert stored(room)[0].sentence == first.sentence
        keeper.look(NOW + MINUTE + 10 * SECOND)
        assert stored(room)[0].sentence != first.sentence


def test_what_the_store_refused_is_kept_at_the_next_look(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        desk, is_full = room.desk, [True]

        def keep(incidents: Sequence[Incident]) -> None:
            if is_full.pop():
                raise StoreError("full")
            desk.keep_incidents(incidents)

        clock = ManualClock(NOW + 2 * MINUTE)
        keeper = IncidentKeeper(tmp_path, sources_of(room, keep), clock, CorrelationSettings())
        is_full.insert(0, False)
        send(room, 50.0, 0, 1)
        with pytest.raises(StoreError):
            keeper.look(NOW + MINUTE)
        keeper.forget()
        keeper.look(NOW + MINUTE + SECOND)
        assert len(stored(room)) == 1


def test_reports_nobody_takes_are_bounded(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        send(room, 50.0, 0)
        assert len(room.desk.reports.take_episodes()) == 3
        assert room.desk.reports.take_episodes() == []


def test_many_series_that_are_far_out_together_are_an_incident_though_each_is_within_its_band(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        room.pipeline.tick(NOW, is_last=True)  # bands are saved
        keeper = keeper_of(room, tmp_path)
        send(room, 10.9, 0, 1)
        assert room.desk.open_episodes == 0
        keeper.look(NOW + MINUTE)
        (found,) = stored(room)
        assert {member.kind for member in found.members} == {TOGETHER}
        assert (found.entities, len(found.members), found.is_open) == (("shop",), 3, True)
        send(room, 10.0, 2, 3)
        keeper.look(NOW + 3 * MINUTE)
        assert stored(room)[0].end_unix_nano == NOW + 2 * MINUTE


def test_causes_are_looked_for_where_episodes_begin_not_where_series_were_far_out_before(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        room.pipeline.tick(NOW, is_last=True)
        keeper = keeper_of(room, tmp_path)
        send(room, 10.9, *range(20))
        keeper.look(NOW + 2 * MINUTE)
        send(room, 50.0, 20, 21, names=NAMES[:2])
        send(room, 10.9, 20, 21, names=NAMES[2:])
        for minute in range(21, 25):
            keeper.look(NOW + minute * MINUTE)
        (found,) = stored(room)
        assert (found.start_unix_nano, found.onset_unix_nano) == (NOW, NOW + 20 * MINUTE)
        assert found.cause is not None
        assert "cpu rose from 10 to 50" in found.sentence


def test_series_that_were_far_out_together_in_a_history_sent_late_are_none(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        room.pipeline.tick(NOW, is_last=True)
        keeper = keeper_of(room, tmp_path)
        send(room, 10.9, 0, 1)
        keeper.look(NOW + 10 * MINUTE)
        assert stored(room) == []


def test_two_series_that_are_far_out_together_are_none(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        teach(room)
        room.pipeline.tick(NOW, is_last=True)
        keeper = keeper_of(room, tmp_path)
        send(room, 10.9, 0, 1, names=NAMES[:2])
        keeper.look(NOW + MINUTE)
        assert stored(room) == []


@pytest.mark.parametrize("error", [StoreError("no disk"), ZeroDivisionError("a bug")])
def test_what_hinders_it_is_told_once_and_does_not_end_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level("INFO")
    with opened(tmp_path) as room:
        teach(room)
        send(room, 50.0, 0, 1)
        hindrances = [error] * 3

        def keep(incidents: Sequence[Incident]) -> None:
            if hindrances:
                raise hindrances.pop()
            room.desk.keep_incidents(incidents)

        clock = ManualClock(NOW + MINUTE)
        keeper = IncidentKeeper(tmp_path, sources_of(room, keep), clock, CorrelationSettings())
        for _ in range(5):
            keeper.attempt()
        assert len(stored(room)) == 1
    told = [record.levelname for record in caplog.records if record.getMessage().startswith("incidents")]
    assert told == ["WARNING", "INFO"]
