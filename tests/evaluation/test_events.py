import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.evaluation.events import Counts, alerts_of, count, delays_in_steps, merge
from collector_processor.evaluation.summary import detection
from tests.evaluation.labelled import START, STEP, labelled, load

TIME, VALUE = load(10)
SERIES = labelled(TIME, VALUE, (5 * DAY, 5 * DAY + 4 * HOUR), (7 * DAY, 7 * DAY))


def counted(*alerts: tuple[int, int]) -> Counts:
    spans = np.array([(START + a, START + b) for a, b in alerts], np.int64).reshape(-1, 2)
    return count(SERIES, TIME, spans)


def test_an_alert_that_starts_in_the_window_finds_the_event() -> None:
    found = counted((5 * DAY + HOUR, 5 * DAY + HOUR))
    assert (found.events, found.found, found.false_alarms) == (2, 1, 0)
    assert found.delay.tolist() == [HOUR]
    assert delays_in_steps(found).tolist() == [4.0]


@pytest.mark.parametrize(("offset", "hit"), [(-3, 0), (-2, 1), (3, 1), (4, 0)])
def test_the_tolerance_is_two_steps_before_and_three_after(offset: int, hit: int) -> None:
    at = 7 * DAY + offset * STEP
    found = counted((at, at))
    assert (found.found, found.false_alarms) == (hit, 1 - hit)


def test_an_endless_alert_finds_only_what_it_began_with() -> None:
    found = counted((5 * DAY, 9 * DAY))
    assert (found.found, found.false_alarms) == (1, 0)
    assert found.normal_in_alarm > 0.9 * found.normal * 4 / 7
    early = counted((4 * DAY, 9 * DAY))
    assert (early.found, early.false_alarms) == (0, 1)


def test_a_second_alert_in_a_window_is_a_fragment_and_not_another_hit() -> None:
    found = counted((5 * DAY, 5 * DAY), (5 * DAY + 3 * HOUR, 5 * DAY + 3 * HOUR))
    assert (found.found, found.fragments, found.false_alarms) == (1, 2, 0)


def test_the_warm_up_is_never_scored() -> None:
    found = counted((DAY, DAY), (2 * DAY, 2 * DAY))
    assert (found.found, found.false_alarms) == (0, 0)
    assert found.weeks == pytest.approx(1.0, abs=0.01)


def test_alerts_are_joined_over_three_steps_or_half_an_hour() -> None:
    minute = np.array([0, 30, 61]) * MINUTE
    assert merge(np.stack([minute, minute], axis=1), MINUTE).tolist() == [[0, 30 * MINUTE], [61 * MINUTE, 61 * MINUTE]]
    hour = np.array([0, 3, 7]) * HOUR
    assert merge(np.stack([hour, hour], axis=1), HOUR).tolist() == [[0, 3 * HOUR], [7 * HOUR, 7 * HOUR]]


@given(st.lists(st.integers(0, 2000), unique=True), st.integers(1, 60))
def test_merged_alerts_are_the_same_merged_again_and_hold_every_flag(minutes: list[int], step: int) -> None:
    time = np.arange(2001) * MINUTE
    flagged = np.isin(np.arange(2001), minutes)
    merged = merge(alerts_of(time, flagged), step * MINUTE)
    assert np.array_equal(merge(merged, step * MINUTE), merged)
    inside = (time[:, np.newaxis] >= merged[:, 0]) & (time[:, np.newaxis] <= merged[:, 1])
    assert inside[flagged].any(axis=1).all()


def test_pooled_figures_are_those_of_all_events_together() -> None:
    perfect = counted((5 * DAY, 5 * DAY), (7 * DAY, 7 * DAY))
    noisy = counted((4 * DAY, 4 * DAY), (5 * DAY + STEP, 5 * DAY + STEP))
    pooled = detection([perfect, noisy])
    assert (pooled.recall, pooled.precision) == (0.75, 0.75)
    assert pooled.f1 == pytest.approx(0.75)
    assert pooled.false_alarms_per_series_week == pytest.approx(0.5, rel=0.01)
    assert pooled.steps_to_detect == pytest.approx((0.0, 0.8))
    low, high = pooled.intervals["recall"]
    assert (low, high) == (0.5, 1.0)


def test_nothing_found_is_not_a_number_instead_of_a_crash() -> None:
    silent = detection([counted()])
    assert silent.recall == 0.0
    assert np.isnan(silent.precision)
    assert np.isnan(silent.fragments)
