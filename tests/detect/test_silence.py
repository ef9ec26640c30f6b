from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.silence import REPORTS_AGAIN, TIMEOUT, Silence
from collector_processor.telemetry.episode import SILENCE, Episode
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.rule import RULE_DTYPE, Missing, Rules

START = 19_000 * DAY
A, B, C, D = range(4)
"""A and B are of one instance of service 0, C of another instance of it, D of service 1."""


class Fleet:
    """Four series on a clock of their own; looked at every minute; the product does it more often."""

    def __init__(self, **rule: Any) -> None:
        self.silence, self.now = Silence(), START
        self.silence.grow(4)
        self.rules: Rules = np.zeros(4, RULE_DTYPE)
        self.rules["intervals"], self.rules["at_least"] = 5.0, 5 * MINUTE
        self.rules["service"], self.rules["resource"] = [0, 0, 0, 1], [0, 0, 1, 2]
        for name, value in rule.items():
            self.rules[name] = value
        self.flagged = np.zeros(4, np.bool_)
        self.changed: list[Episode] = []

    def report(self, *series: int) -> None:
        n = len(series)
        points = PointBatch(np.array(series, np.int32), np.full(n, self.now), np.full(n, 7.0))
        self.silence.note(points, self.now)

    def run(self, duration: int, reporting: Iterable[int], step: int = MINUTE) -> list[Episode]:
        """Let these series report every `step`; return the episodes that changed."""
        before = len(self.changed)
        for elapsed in range(0, duration, MINUTE):
            if elapsed % step == 0:
                self.report(*reporting)
            self.changed += self.silence.look(self.now, self.rules, self.flagged)
            self.now += MINUTE
        return self.changed[before:]


EVERYONE = (A, B, C, D)


def test_a_service_that_falls_silent_is_one_episode_until_anything_of_it_reports_again() -> None:
    fleet = Fleet()
    assert fleet.run(25 * HOUR, EVERYONE) == []
    died = fleet.now
    (opened,) = fleet.run(30 * MINUTE, [D])
    assert (opened.kind, opened.series, opened.start_unix_nano, opened.direction) == (SILENCE, A, died, -1)
    assert opened.is_open
    assert "whole service" in opened.reason
    (closed,) = fleet.run(10 * MINUTE, [C, D])
    assert (closed.episode_id, closed.close_reason, closed.is_open) == (opened.episode_id, REPORTS_AGAIN, False)


def test_a_series_that_falls_silent_beside_its_siblings_is_an_episode_of_its_own() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    (opened,) = fleet.run(30 * MINUTE, [B, C, D])
    assert (opened.series, opened.is_open) == (A, True)
    assert "its resource still reports" in opened.reason
    (closed,) = fleet.run(10 * MINUTE, EVERYONE)
    assert closed.close_reason == REPORTS_AGAIN


def test_a_service_that_comes_back_may_take_its_time() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    fleet.run(30 * MINUTE, [D])
    assert len(fleet.run(4 * MINUTE, [B, D])) == 1
    assert fleet.run(HOUR, EVERYONE) == []


def test_an_instance_that_goes_while_its_service_lives_is_no_news() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    assert fleet.run(2 * HOUR, [C, D]) == []


@pytest.mark.parametrize("reported_for", [10 * MINUTE, 20 * HOUR])
def test_what_lived_for_less_than_a_day_is_not_missed(reported_for: int) -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, [D])
    fleet.run(reported_for, EVERYONE)
    assert fleet.run(2 * HOUR, [D]) == []


def test_a_nightly_job_is_not_missed_by_day() -> None:
    fleet = Fleet()
    for _ in range(8):
        assert fleet.run(2 * HOUR, EVERYONE) == []
        assert fleet.run(22 * HOUR, [D]) == []


def test_a_job_that_reports_once_an_hour_is_missed_after_five() -> None:
    fleet = Fleet()
    fleet.run(4 * DAY, EVERYONE, step=HOUR)
    last = fleet.now - HOUR
    assert fleet.run(4 * HOUR - 2 * MINUTE, [], step=HOUR) == []
    opened = fleet.run(HOUR, [], step=HOUR)
    assert [e.series for e in opened] == [A, D]
    assert opened[0].start_unix_nano == last + HOUR


def test_after_a_short_outage_the_next_one_is_news_again_and_after_a_long_one_only_in_a_day() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    assert len(fleet.run(HOUR, [D])) == 1
    assert len(fleet.run(HOUR, EVERYONE)) == 1
    assert len(fleet.run(8 * HOUR, [D])) == 1
    assert len(fleet.run(HOUR, EVERYONE)) == 1
    assert fleet.run(HOUR, [D]) == []


def test_silence_ends_by_itself_after_a_day() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    opened, closed = fleet.run(30 * HOUR, [D])
    assert (closed.episode_id, closed.close_reason) == (opened.episode_id, TIMEOUT)


def test_what_is_flagged_already_is_not_told_a_second_time() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    fleet.flagged[B] = True
    assert fleet.run(HOUR, [D]) == []


def test_time_in_which_this_process_was_away_is_nobodys_silence() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    fleet.now += 3 * HOUR
    assert fleet.run(4 * MINUTE, []) == []
    restarted = Silence()
    restarted.grow(4)
    restarted.records[:4] = fleet.silence.records[:4]
    fleet.now += 3 * HOUR
    restarted.restart(fleet.now, [])
    assert restarted.look(fleet.now + MINUTE, fleet.rules, fleet.flagged) == []
    assert restarted.look(fleet.now + 2 * MINUTE, fleet.rules, fleet.flagged) == []


def test_an_open_silence_survives_a_restart() -> None:
    fleet = Fleet()
    fleet.run(25 * HOUR, EVERYONE)
    (opened,) = fleet.run(30 * MINUTE, [D])
    fleet.silence.restart(fleet.now, [opened])
    (closed,) = fleet.run(5 * MINUTE, EVERYONE)
    assert (closed.episode_id, closed.close_reason) == (opened.episode_id, REPORTS_AGAIN)


def test_where_a_policy_asks_for_it_every_silence_is_news_and_where_it_does_not_none_is() -> None:
    fleet = Fleet(missing=[Missing.ALERT, Missing.ALERT, Missing.GAP, Missing.GAP])
    fleet.run(HOUR, EVERYONE)
    assert [e.series for e in fleet.run(HOUR, [])] == [A, B]


def test_zeros_or_the_last_value_stand_in_for_missing_points_where_a_policy_says_so() -> None:
    fleet = Fleet(missing=[Missing.ZERO, Missing.LAST, Missing.AUTO, Missing.AUTO])
    fleet.run(HOUR, EVERYONE)
    last = fleet.now - MINUTE
    asked, missing = np.array([A, B], np.int32), fleet.rules["missing"][[A, B]]
    assert len(fleet.silence.fill(last + 2 * MINUTE, asked, missing)) == 0
    first, second = (fleet.silence.fill(last + 3 * MINUTE, asked, missing) for _ in range(2))
    assert first.series.tolist() == [A, B]
    assert first.time_unix_nano.tolist() == [last + MINUTE] * 2
    assert first.value.tolist() == [0.0, 7.0]
    assert second.time_unix_nano.tolist() == [last + 2 * MINUTE] * 2
