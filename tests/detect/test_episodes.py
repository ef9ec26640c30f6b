from dataclasses import replace

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.detect.episodes import ADOPTED, RECOVERED, TIMEOUT, Episodes, episode_id
from collector_processor.detect.holding import Held
from collector_processor.telemetry.episode import DEVIATION, LEVEL_SHIFT, MUTED_AFTER, Episode, Shift
from collector_processor.telemetry.verdict import VerdictBatch

START = 19_000 * DAY
NAN = float("nan")
SERIES = np.array([3], np.int32)


class Watched:
    """One series with yhat 0, a band of +-10 and a tolerance of 5, fed value by value."""

    def __init__(self) -> None:
        self.episodes = Episodes()
        self.episodes.grow(4)
        self.rows: dict[str, Episode] = {}

    def feed(
        self,
        time: int,
        value: float,
        *,
        half_width: float = 10.0,
        is_active: bool = True,
        settled_at: float | None = None,
    ) -> list[Episode]:
        score = value / half_width
        anomaly = int(np.sign(score)) if abs(score) > 1.0 and is_active else 0
        verdicts = VerdictBatch(
            np.zeros(1),
            np.array([-half_width]),
            np.array([half_width]),
            np.array([score]),
            np.array([anomaly], np.int8),
        )
        settled = np.array([NAN if settled_at is None else settled_at])
        held = Held(np.array([abs(value) <= 5.0]), 0.0 * settled, settled)
        changed = self.episodes.update(SERIES, np.array([time]), np.array([value]), verdicts, held)
        self.rows |= {e.episode_id: e for e in changed}
        return changed

    @property
    def only(self) -> Episode:
        (episode,) = self.rows.values()
        return episode


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_an_episode_opens_at_the_first_flagged_point(watched: Watched) -> None:
    assert watched.feed(START, 1.0) == []
    (opened,) = watched.feed(START + MINUTE, -30.0)
    assert opened == Episode(
        episode_id=episode_id(3, START + MINUTE),
        series=3,
        start_unix_nano=START + MINUTE,
        end_unix_nano=None,
        last_unix_nano=START + MINUTE,
        direction=-1,
        peak_score=-3.0,
        actual=-30.0,
        yhat=0.0,
        lower=-10.0,
        upper=10.0,
        worsened_unix_nano=START + MINUTE,
    )


def test_it_closes_after_three_usual_points_and_ends_at_the_first_of_them(watched: Watched) -> None:
    watched.feed(START, 30.0)
    for k in range(1, 3):
        watched.feed(START + k * MINUTE, 4.9)
        assert watched.only.is_open
    watched.feed(START + 3 * MINUTE, 4.9)
    assert watched.only.end_unix_nano == START + MINUTE
    assert watched.only.close_reason == RECOVERED


def test_usual_points_within_two_minutes_are_not_enough(watched: Watched) -> None:
    watched.feed(START, 30.0)
    for second in range(1, 121):
        watched.feed(START + second * NANOS_PER_SECOND, 0.0)
        assert watched.only.is_open
    watched.feed(START + 121 * NANOS_PER_SECOND, 0.0)
    assert not watched.only.is_open


def test_an_unusual_point_starts_the_count_again(watched: Watched) -> None:
    watched.feed(START, 30.0)
    for k, value in enumerate([0.0, 0.0, 6.0, 0.0, 0.0], start=1):
        watched.feed(START + k * MINUTE, value)
    assert watched.only.is_open


def test_it_is_held_while_the_value_is_not_usual_again_although_the_band_has_widened(watched: Watched) -> None:
    watched.feed(START, 30.0)
    for k in range(1, 600):
        watched.feed(START + k * MINUTE, 30.0, half_width=100.0)
    assert watched.only.is_open
    assert watched.only.peak_score == 3.0


def test_after_a_day_it_times_out_and_only_a_new_onset_opens_another(watched: Watched) -> None:
    for k in range(0, 30 * 60, 10):
        watched.feed(START + k * MINUTE, 30.0)
    assert watched.only.close_reason == TIMEOUT
    assert watched.only.end_unix_nano == START + DAY
    watched.feed(START + 30 * HOUR, 0.0)
    watched.feed(START + 31 * HOUR, 30.0)
    assert len(watched.rows) == 2


def test_the_peak_is_followed_on_both_sides_with_the_values_it_had(watched: Watched) -> None:
    for k, value in enumerate([20.0, 50.0, 40.0, -60.0, 0.0]):
        watched.feed(START + k * MINUTE, value)
    assert (watched.only.peak_score, watched.only.actual, watched.only.direction) == (-6.0, -60.0, -1)


def test_nothing_opens_while_the_series_is_not_active(watched: Watched) -> None:
    assert watched.feed(START, 30.0, is_active=False) == []
    assert len(watched.feed(START + MINUTE, 30.0)) == 1


def test_a_quiet_series_reports_nothing(watched: Watched) -> None:
    assert [watched.feed(START + k * MINUTE, 5.0) for k in range(20)] == [[]] * 20


def test_an_open_episode_is_reported_once_a_minute_unless_something_happens(watched: Watched) -> None:
    watched.feed(START, 30.0)
    reports = [bool(watched.feed(START + k * 10 * NANOS_PER_SECOND, 20.0)) for k in range(1, 13)]
    assert [k for k, reported in enumerate(reports, start=1) if reported] == [6, 12]
    assert watched.feed(START + 125 * NANOS_PER_SECOND, 31.0)


def test_a_silent_series_times_out_by_the_clock(watched: Watched) -> None:
    watched.feed(START, 30.0)
    assert watched.episodes.expire(START + DAY - 1) == []
    (closed,) = watched.episodes.expire(START + 2 * DAY)
    assert (closed.end_unix_nano, closed.close_reason) == (START + DAY, TIMEOUT)
    assert watched.episodes.expire(START + 3 * DAY) == []


def test_a_replay_writes_the_same_rows() -> None:
    first, second = Watched(), Watched()
    values = np.random.default_rng(4).normal(0.0, 8.0, 500)
    for room in (first, second):
        for k, value in enumerate(values):
            room.feed(START + k * 20 * MINUTE, float(value))
    assert len(first.rows) > 3
    assert first.rows == second.rows
    assert episode_id(1, START) != episode_id(2, START)


def test_restored_episodes_go_on_where_they_were(watched: Watched) -> None:
    watched.feed(START, 30.0)
    after = Watched()
    after.episodes.restore([watched.only])
    for k in range(1, 6):
        watched.feed(START + k * MINUTE, 0.0)
        after.feed(START + k * MINUTE, 0.0)
    assert after.only == watched.only
    assert not after.only.is_open


def test_the_store_decides_what_is_open(watched: Watched) -> None:
    watched.feed(START, 30.0)
    watched.episodes.restore([])
    assert not watched.episodes.is_open(SERIES)[0]
    stored = replace(watched.only, series=1, episode_id="x")
    watched.episodes.restore([stored])
    assert watched.episodes.is_open(np.array([1, 3], np.int32)).tolist() == [True, False]


def test_a_zero_width_band_is_left_by_an_exact_hit(watched: Watched) -> None:
    zero, up = np.zeros(1), np.array([np.inf])
    verdict = VerdictBatch(zero, zero, zero, up, np.array([1], np.int8))
    (opened,) = watched.episodes.update(SERIES, np.array([START]), np.array([7.0]), verdict, Held.none(1))
    assert opened.peak_score == np.inf
    usual = Held(np.array([True]), np.array([NAN]), np.array([NAN]))
    calm = VerdictBatch(zero, zero, zero, zero, np.array([0], np.int8))
    closed = [
        e
        for k in range(1, 6)
        for e in watched.episodes.update(SERIES, np.array([START + k * MINUTE]), zero, calm, usual)
        if not e.is_open
    ]
    assert [e.close_reason for e in closed] == [RECOVERED]


def come_and_go(watched: Watched, times: int, every: int, quiet: int = 5) -> None:
    """Stay outside for a point, again and again, each time with `quiet` usual minutes after it."""
    for k in range(times):
        watched.feed(START + k * every, 30.0)
        for minute in range(1, quiet + 1):
            watched.feed(START + k * every + minute * MINUTE, 0.0)


def test_an_onset_within_two_hours_goes_on_with_the_same_episode(watched: Watched) -> None:
    come_and_go(watched, 2, 2 * HOUR)
    assert (watched.only.onsets, watched.only.start_unix_nano) == (2, START)
    assert watched.only.end_unix_nano == START + 2 * HOUR + MINUTE


def test_a_later_onset_opens_another(watched: Watched) -> None:
    come_and_go(watched, 2, 2 * HOUR + 10 * MINUTE)
    assert [e.onsets for e in watched.rows.values()] == [1, 1]


def test_one_that_goes_on_keeps_its_peak_until_it_is_exceeded(watched: Watched) -> None:
    come_and_go(watched, 1, HOUR)
    watched.feed(START + HOUR, 20.0)
    assert watched.only.peak_score == 3.0
    watched.feed(START + HOUR + MINUTE, 40.0)
    assert watched.only.peak_score == 4.0


def test_after_a_day_of_coming_and_going_a_new_episode_begins(watched: Watched) -> None:
    come_and_go(watched, 20, 2 * HOUR, quiet=70)
    assert [e.onsets for e in watched.rows.values()] == [12, 8]


def test_from_the_fourth_onset_on_it_takes_an_hour_to_close(watched: Watched) -> None:
    come_and_go(watched, 4, HOUR)
    assert watched.only.is_flapping
    assert watched.only.is_open
    for minute in range(6, 62):
        watched.feed(START + 3 * HOUR + minute * MINUTE, 0.0)
    assert watched.only.end_unix_nano == START + 3 * HOUR + MINUTE


def test_it_is_muted_when_it_has_not_become_worse_for_eight_hours(watched: Watched) -> None:
    for k in range(9 * 6):
        at = START + k * 10 * MINUTE
        watched.feed(at, 30.0 + 0.01 * k)
        muted = bool(watched.episodes.is_muted(SERIES, np.array([at]))[0])
        assert muted == (at >= START + 8 * HOUR) == watched.only.is_muted(at)
    watched.feed(START + 9 * HOUR, 38.0)
    assert not watched.episodes.is_muted(SERIES, np.array([START + 9 * HOUR]))[0]
    assert watched.only.worsened_unix_nano == START + 9 * HOUR


def test_a_restart_does_not_forget_how_often_it_came_and_since_when_it_is_known(watched: Watched) -> None:
    come_and_go(watched, 4, HOUR)
    after = Episodes()
    after.grow(4)
    after.restore([watched.only])
    at = np.array([watched.only.worsened_unix_nano + MUTED_AFTER])
    assert after.is_muted(SERIES, at)[0]
    assert not after.is_muted(SERIES, at - 1)[0]
    assert after.records["onsets"][3] == 4


def stay(watched: Watched, hours: float, *, settled_at: float | None = 29.0) -> None:
    """Stay outside for some hours, settled from the hundredth minute on."""
    for minute in range(0, int(60 * hours) + 1, 5):
        settled = settled_at if minute >= 100 else None
        watched.feed(START + minute * MINUTE, 30.0, settled_at=settled)


def test_what_has_settled_elsewhere_for_two_hours_is_a_level_shift_and_says_until_when(watched: Watched) -> None:
    stay(watched, 1.95)
    assert (watched.only.kind, watched.only.shift) == (DEVIATION, None)
    watched.feed(START + 2 * HOUR, 30.0, settled_at=29.0)
    assert watched.only.kind == LEVEL_SHIFT
    assert watched.only.shift == Shift(before=0.0, after=29.0, adopted_unix_nano=START + 8 * HOUR)


def test_a_level_shift_is_the_new_normal_eight_hours_after_its_onset(watched: Watched) -> None:
    stay(watched, 7.9)
    assert watched.only.is_open
    watched.feed(START + 8 * HOUR, 30.0, settled_at=29.0)
    assert (watched.only.end_unix_nano, watched.only.close_reason) == (START + 8 * HOUR, ADOPTED)


def test_what_stays_away_without_settling_is_not_adopted(watched: Watched) -> None:
    stay(watched, 12, settled_at=None)
    assert watched.only.is_open
    assert watched.only.kind == DEVIATION


def test_a_level_shift_that_returns_in_time_has_recovered(watched: Watched) -> None:
    stay(watched, 3)
    for minute in range(185, 200, 5):
        watched.feed(START + minute * MINUTE, 0.0)
    assert (watched.only.close_reason, watched.only.kind) == (RECOVERED, LEVEL_SHIFT)


def test_a_restart_does_not_forget_a_level_shift(watched: Watched) -> None:
    stay(watched, 3)
    after = Watched()
    after.episodes.restore([watched.only])
    after.feed(START + 3 * HOUR + MINUTE, 30.0, settled_at=29.0)
    assert after.only.shift == watched.only.shift


def test_a_new_episode_of_a_series_begins_as_a_deviation(watched: Watched) -> None:
    stay(watched, 8)
    watched.feed(START + 20 * HOUR, 0.0)
    watched.feed(START + 21 * HOUR, -40.0)
    assert [episode.kind for episode in watched.rows.values()] == [LEVEL_SHIFT, DEVIATION]
