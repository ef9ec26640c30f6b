from dataclasses import replace

import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.telemetry.episode import DRIFT, MUTED_AFTER, SILENCE, Drift, Episode
from collector_processor.telemetry.severity import severity
from tests.grafana.scene import CPU, DURATION

START = 10**18


def episode(peak: float, lasted: int, *, kind: str = "deviation") -> Episode:
    end = START + lasted
    return Episode("e", 0, START, end, end, 1, peak, 1.0, 0.5, 0.0, 1.0, kind=kind, worsened_unix_nano=START)


@pytest.mark.parametrize(
    ("peak", "lasted", "of_a_duration", "of_a_processor"),
    [
        (1.1, 14 * MINUTE, "info", "info"),
        (1.1, 15 * MINUTE, "warning", "warning"),
        (-1.3, MINUTE, "warning", "warning"),
        (2.0, 59 * MINUTE, "warning", "warning"),
        (-2.0, HOUR, "critical", "warning"),
        (3.0, MINUTE, "critical", "warning"),
        (3.0, 15 * MINUTE, "critical", "critical"),
    ],
)
def test_severity_follows_the_written_rule(peak: float, lasted: int, of_a_duration: str, of_a_processor: str) -> None:
    assert severity(DURATION, episode(peak, lasted), START + 9 * HOUR) == of_a_duration
    assert severity(CPU, episode(peak, lasted), START + 9 * HOUR) == of_a_processor


def test_silence_is_critical_after_a_quarter_of_an_hour() -> None:
    nan = float("nan")
    assert severity(CPU, episode(nan, 14 * MINUTE, kind=SILENCE), START) == "warning"
    assert severity(CPU, episode(nan, 15 * MINUTE, kind=SILENCE), START) == "critical"


def test_a_muted_episode_is_information() -> None:
    muted = Episode("e", 0, START, None, START, 1, 9.0, 1.0, 0.5, 0.0, 1.0, worsened_unix_nano=START)
    assert severity(DURATION, muted, START + MUTED_AFTER - 1) == "critical"
    assert severity(DURATION, muted, START + MUTED_AFTER) == "info"


def test_a_drift_is_a_warning_until_it_is_muted_and_critical_when_its_bound_is_near() -> None:
    drift = Drift(per_day=1.0, since_unix_nano=START - 6 * DAY, reaches_unix_nano=START + 5 * DAY)
    found = Episode("e", 0, START, None, START, 1, 1.0, 1.0, 0.5, 0.0, 1.0, kind=DRIFT, drift=drift)
    found = replace(found, worsened_unix_nano=START)
    assert severity(CPU, found, START + MUTED_AFTER - 1) == "warning"
    assert severity(CPU, found, START + MUTED_AFTER) == "info"
    assert severity(CPU, found, START + 3 * DAY) == "critical"
    assert severity(CPU, replace(found, end_unix_nano=START + 3 * DAY), START + 3 * DAY) == "warning"
