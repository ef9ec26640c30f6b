from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.rehearse import LARGEST_FACTOR, Past, budget_factor, episodes_of
from collector_processor.telemetry.points import Bool, Float64
from collector_processor.telemetry.rule import RULE_DTYPE

START = 20_000 * DAY


def past(score: Float64, step: int = MINUTE) -> Past:
    return Past(START + step * np.arange(score.size), score, score, np.zeros(score.size))


def beyond(known: Past, factor: float) -> Bool:
    return np.abs(known.score) > factor


def kept(known: Past, budget: float) -> float:
    return budget_factor([known], budget, np.zeros(1, RULE_DTYPE), [0])


def spans(score: Float64, factor: float = 1.0) -> list[tuple[int, int]]:
    known = past(score)
    found = (episodes_of(known, beyond(known, factor), 1.1) - START) // MINUTE
    return [(start, end) for start, end in found.tolist()]


def test_an_episode_lasts_until_the_values_are_usual_for_three_points_and_two_minutes() -> None:
    score = np.zeros(40)
    score[10:14] = 2.0
    score[16] = 0.95
    assert spans(score) == [(10, 17)]


def test_onsets_within_two_hours_are_one_episode_and_later_ones_another() -> None:
    score = np.zeros(400)
    score[[10, 130, 300]] = 2.0
    assert spans(score) == [(10, 131), (300, 301)]


def test_what_never_recovers_ends_after_a_day_or_with_the_points() -> None:
    assert spans(np.full(30, 2.0)) == [(0, 29)]
    assert spans(np.full(30 * 60, 2.0)) == [(0, 24 * 60)]


def test_no_flag_no_episode() -> None:
    assert spans(np.zeros(100)) == spans(np.empty(0)) == []


def test_a_budget_is_kept_by_the_smallest_factor_that_does() -> None:
    score = np.zeros(14 * 24)
    score[[20, 60, 100, 140]] = 1.2, 1.5, 2.0, 2.5
    known = past(score, HOUR)
    factors = [kept(known, budget) for budget in (2.01, 1.01, 0.51, 0.0)]
    assert factors[0] == 1.0
    assert 1.5 <= factors[1] < 1.5 * 1.02
    assert 2.0 <= factors[2] < 2.0 * 1.02
    assert 2.5 <= factors[3] < 2.5 * 1.02


def test_a_budget_that_cannot_be_kept_gives_the_largest_factor_and_nothing_known_gives_one() -> None:
    score = np.zeros(14 * 24)
    score[50] = 9.0
    assert kept(past(score, HOUR), 0.0) == LARGEST_FACTOR
    assert kept(past(np.empty(0)), 0.0) == budget_factor([], 0.0, np.zeros(0, RULE_DTYPE), []) == 1.0


@given(st.lists(st.floats(0.0, 5.0), min_size=30, max_size=200), st.floats(1.0, 3.0))
def test_episodes_ascend_and_do_not_overlap(scores: list[float], factor: float) -> None:
    found = spans(np.array(scores), factor)
    assert all(start <= end for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
