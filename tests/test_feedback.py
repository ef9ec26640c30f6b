from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.cli import cli
from collector_processor.clock import MINUTE, ManualClock
from collector_processor.detect.sensitivity import LEAST, MOST, answered, factor_of
from collector_processor.errors import PermanentError, UnknownError
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from grafana_datasource.app import Server, Settings, create_app, serve
from grafana_datasource.feedback import FeedbackDoor
from tests.pipeline_room import NOW, Room, gauge_request


@pytest.fixture
def server(room: Room, tmp_path: Path) -> Iterator[Server]:
    door = FeedbackDoor(
        lambda said: room.desk.answer(said, NOW),
        lambda feedback_id, by: room.desk.take_back(feedback_id, by, NOW),
    )
    app = create_app(Settings(partial(open_reader, tmp_path), clock=ManualClock(NOW + MINUTE), feedback=door))
    server = serve(app, "127.0.0.1", 0)
    yield server
    server.stop()


def alarm(room: Room, value: float = 70.0) -> Episode:
    room.metrics(gauge_request("depth", (0, value), (30, 50.0)))
    (episode,) = room.writer.episodes(0, 2**62)
    return episode


def width(room: Room, seconds: float) -> float:
    """Send a usual point and return how wide the band was around it."""
    room.metrics(gauge_request("depth", (seconds, 50.0)))
    verdicts = room.judged("depth/value")
    return float(verdicts.upper[-1] - verdicts.lower[-1])


def say(room: Room, answer: Answer, episode: Episode) -> Feedback:
    return room.desk.answer(Said(answer, "alice", episode_id=episode.episode_id), NOW)


answers = st.sampled_from(list(Answer))
scores = st.floats(0.0, 1e6)


@given(st.floats(LEAST, MOST), answers, scores)
def test_no_answer_moves_the_factor_far_or_beyond_its_bounds(factor: float, answer: Answer, score: float) -> None:
    after = answered(factor, answer, score)
    assert max(LEAST, factor / 1.5001) <= after <= min(MOST, factor * 1.5001)


@given(st.floats(LEAST, MOST), scores)
def test_answers_move_it_only_in_their_own_direction(factor: float, score: float) -> None:
    assert answered(factor, Answer.FALSE_ALARM, score) >= factor
    assert answered(factor, Answer.EXPECTED, score) >= factor
    assert answered(factor, Answer.MISSED, score) <= factor
    assert answered(factor, Answer.CONFIRMED, score) == factor


def test_a_slight_false_alarm_would_not_alarm_again_and_a_near_miss_would() -> None:
    assert answered(1.0, Answer.FALSE_ALARM, 1.1) == pytest.approx(1.32)
    assert answered(1.0, Answer.MISSED, 0.95) == pytest.approx(0.931)


def test_a_false_alarm_widens_the_band_of_the_next_point(room: Room) -> None:
    episode = alarm(room)
    before = width(room, 60)
    given_ = say(room, Answer.FALSE_ALARM, episode)
    assert (given_.factor_before, given_.factor_after, given_.given_by) == (1.0, 1.5, "alice")
    assert width(room, 120) == pytest.approx(1.5 * before)


def test_answers_hold_after_a_restart(room: Room) -> None:
    say(room, Answer.FALSE_ALARM, alarm(room))
    before = width(room, 60)
    room.pipeline.tick(NOW + MINUTE, is_last=True)
    room.state.reload(NOW + MINUTE)
    assert width(room, 120) == pytest.approx(before)


def test_an_answer_taken_back_never_was_and_stays_in_the_history(room: Room) -> None:
    episode = alarm(room)
    before = width(room, 60)
    given_ = say(room, Answer.FALSE_ALARM, episode)
    room.desk.take_back(given_.feedback_id, "bob", NOW + MINUTE)
    assert width(room, 120) == pytest.approx(before)
    (kept,) = room.writer.feedback()
    assert (kept.undone_by, kept.undone_unix_nano) == ("bob", NOW + MINUTE)
    assert factor_of([kept]) == 1.0
    assert say(room, Answer.CONFIRMED, episode).feedback_id != given_.feedback_id


def test_an_episode_is_answered_once(room: Room) -> None:
    episode = alarm(room)
    say(room, Answer.EXPECTED, episode)
    with pytest.raises(PermanentError, match="answered already"):
        say(room, Answer.CONFIRMED, episode)


def test_what_was_missed_narrows_the_band_by_the_scores_of_that_time(room: Room) -> None:
    before = width(room, 60)
    room.metrics(gauge_request("depth", (120, 50.0 + 0.4 * before)))
    missed = Said(Answer.MISSED, "", series=0, start_unix_nano=NOW + 2 * MINUTE, end_unix_nano=NOW + 3 * MINUTE)
    threshold = room.state.detector.bands(0, 1)["threshold"][0]
    given_ = room.desk.answer(missed, NOW)
    assert 0.9 < given_.score < 1.0
    assert given_.factor_after == pytest.approx(0.98 * given_.score)
    after = room.state.detector.bands(0, 1)["threshold"][0]
    assert after == pytest.approx(given_.factor_after * threshold)


def test_what_is_not_known_is_refused_and_changes_nothing(room: Room) -> None:
    with pytest.raises(UnknownError, match="no episode"):
        room.desk.answer(Said(Answer.EXPECTED, "", episode_id="x"), NOW)
    with pytest.raises(PermanentError, match="nothing was scored"):
        room.desk.answer(Said(Answer.MISSED, "", series=0, start_unix_nano=1, end_unix_nano=2), NOW)
    with pytest.raises(UnknownError, match="no answer"):
        room.desk.take_back("x", "", NOW)
    assert room.writer.feedback() == []


def run(server: Server, *arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        cli, ["feedback", *arguments, f"--url=http://127.0.0.1:{server.port}"]
    )


def test_the_command_answers_lists_and_takes_back(room: Room, server: Server) -> None:
    episode = alarm(room)
    done = run(server, "give", episode.episode_id, "false_alarm", "--by=alice")
    assert "x1.5 (x1 before)" in done.output
    (kept,) = room.writer.feedback()
    assert "alice" in run(server, "list").output
    assert "counts no more" in run(server, "undo", kept.feedback_id, "--by=bob").output
    assert "taken back bob" in run(server, "list").output
    assert "no episode" in str(run(server, "give", "x", "expected").exception)
    key = room.desk.keys[0].stable_id
    assert "nothing was scored" in str(run(server, "missed", key, "2020-01-01", "2020-01-02").exception)
