from dataclasses import replace

from collector_processor.clock import HOUR
from collector_processor.evaluation.alarms import Alarms
from collector_processor.telemetry.episode import Episode

FIRST = Episode("e", 0, 0, None, 0, 1, 2.0, 1.0, 0.5, 0.0, 1.0, worsened_unix_nano=0)


def spans(*reports: Episode) -> list[tuple[int, int]]:
    alarms = Alarms()
    for report in reports:
        alarms.take(report)
    return alarms.spans


def test_an_episode_alerts_from_its_start_to_its_end() -> None:
    assert spans(FIRST, replace(FIRST, end_unix_nano=2 * HOUR, last_unix_nano=3 * HOUR)) == [(0, 2 * HOUR)]


def test_one_that_goes_on_unchanged_alerts_for_eight_hours() -> None:
    assert spans(FIRST, replace(FIRST, last_unix_nano=20 * HOUR)) == [(0, 8 * HOUR)]


def test_one_that_becomes_worse_before_it_is_muted_alerts_on() -> None:
    worse = replace(FIRST, last_unix_nano=6 * HOUR, worsened_unix_nano=6 * HOUR)
    assert spans(FIRST, worse, replace(worse, last_unix_nano=23 * HOUR)) == [(0, 14 * HOUR)]


def test_one_that_becomes_worse_after_it_was_muted_is_another_alarm() -> None:
    muted = replace(FIRST, last_unix_nano=10 * HOUR)
    worse = replace(FIRST, last_unix_nano=11 * HOUR, worsened_unix_nano=11 * HOUR)
    assert spans(FIRST, muted, worse) == [(0, 8 * HOUR), (11 * HOUR, 11 * HOUR)]


def test_one_that_goes_on_after_its_end_is_the_same_alarm() -> None:
    over = replace(FIRST, end_unix_nano=HOUR)
    again = replace(FIRST, last_unix_nano=4 * HOUR, worsened_unix_nano=4 * HOUR, onsets=2)
    assert spans(FIRST, over, again) == [(0, 4 * HOUR)]
