from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.training.request import FitStatus
from collector_processor.training.schedule import Schedule

NOW = 1_770_000_000 * 10**9


@dataclass(frozen=True)
class Overview:
    first_time: Int64
    last_time: Int64
    is_modelled: Bool
    need: Float64
    mark: npt.NDArray[np.uint8]


def ages(*age: int, last: int = NOW, modelled: bool = True, need: Sequence[float] = ()) -> Overview:
    size = len(age)
    first = last - np.array(age, np.int64)
    return Overview(
        first,
        np.full(size, last, np.int64),
        np.full(size, modelled),
        np.array(need or [0.0] * size),
        np.zeros(size, np.uint8),
    )


def fitted(schedule: Schedule, series: int, at: int, *, until: int | None = None, was_backtest: bool = False) -> None:
    schedule.begin(series)
    end = at if until is None else until
    schedule.end(series, FitStatus.FITTED, at, fitted_until=end, was_backtest=was_backtest)


def failed(schedule: Schedule, series: int, at: int, status: FitStatus = FitStatus.TIMED_OUT) -> None:
    schedule.begin(series)
    schedule.end(series, status, at, fitted_until=0, was_backtest=False)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(HOUR)


def test_series_with_two_minutes_of_history_are_due(schedule: Schedule) -> None:
    assert schedule.due(ages(MINUTE, 2 * MINUTE, DAY, 0), NOW).tolist() == [1, 2]


def test_series_that_are_not_modelled_are_never_due(schedule: Schedule) -> None:
    assert schedule.due(ages(DAY, modelled=False), NOW).size == 0


@pytest.mark.parametrize(
    ("age", "interval"), [(3 * MINUTE, MINUTE), (20 * MINUTE, 5 * MINUTE), (2 * HOUR, 30 * MINUTE)]
)
def test_a_young_series_is_due_after_a_quarter_of_its_age_but_not_within_a_minute(
    schedule: Schedule, age: int, interval: int
) -> None:
    fitted(schedule, 0, NOW, was_backtest=True)
    at = NOW + interval
    assert schedule.due(ages(age, last=at - 1), at - 1).size == 0
    assert schedule.due(ages(age, last=at), at).tolist() == [0]


def test_refits_of_a_fleet_fitted_at_once_are_spread_over_the_interval(schedule: Schedule) -> None:
    fleet = 50 * 256
    for series in range(fleet):
        schedule.restore(series, NOW, NOW, NOW)
    due = [
        set(schedule.due(ages(*[9 * DAY] * fleet, last=at), at).tolist())
        for at in range(NOW, NOW + HOUR + 1, HOUR // 10)
    ]
    assert len(due[0]) == 0
    assert len(due[-1]) == fleet
    assert max(len(later - earlier) for earlier, later in pairwise(due)) <= 6 * 256
    assert all(len({series // 256 for series in part}) == len(part) // 256 for part in due)


def test_a_refit_at_its_place_is_followed_by_the_next_an_interval_later(schedule: Schedule) -> None:
    schedule.restore(300, NOW, NOW, NOW)
    fleet = [9 * DAY] * 301
    times = [at for at in range(NOW, NOW + HOUR + 1, MINUTE) if 300 in schedule.due(ages(*fleet, last=at), at)]
    fitted(schedule, 300, times[0], was_backtest=True)
    again = times[0] + HOUR
    assert 300 not in schedule.due(ages(*fleet, last=again - MINUTE), again - MINUTE)
    assert 300 in schedule.due(ages(*fleet, last=again), again)


def test_a_series_without_new_points_is_left_alone(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW, until=NOW)
    assert schedule.due(ages(DAY), NOW + 30 * DAY).size == 0
    assert schedule.due(ages(DAY, last=NOW + 1), NOW + HOUR).size == 0
    assert schedule.due(ages(DAY, last=NOW + 1), NOW + HOUR + MINUTE).tolist() == [0]


def test_a_series_whose_past_is_still_coming_in_is_left_alone_until_it_stops(schedule: Schedule) -> None:
    second = 10**9
    for i in range(5):
        assert schedule.due(ages(DAY, last=NOW - 9 * DAY + i * HOUR), NOW + i * second).size == 0
    assert schedule.due(ages(DAY, last=NOW - 9 * DAY + 4 * HOUR), NOW + 30 * second).tolist() == [0]


def test_a_series_that_has_reached_the_present_is_due_though_it_moves(schedule: Schedule) -> None:
    assert schedule.due(ages(DAY, last=NOW - 9 * DAY), NOW).size == 0
    assert schedule.due(ages(DAY, last=NOW - MINUTE), NOW + 1).tolist() == [0]


def test_never_fitted_come_first_then_those_in_need_then_pending_backtests_then_the_most_overdue(
    schedule: Schedule,
) -> None:
    fitted(schedule, 0, NOW - 2 * HOUR, until=1, was_backtest=True)
    fitted(schedule, 1, NOW - 3 * HOUR, until=1, was_backtest=True)
    fitted(schedule, 2, NOW - MINUTE, until=1)
    fitted(schedule, 3, NOW - 2 * HOUR, until=1, was_backtest=True)
    fitted(schedule, 4, NOW - 2 * HOUR, until=1, was_backtest=True)
    look = ages(*[9 * DAY] * 5, MINUTE, 9 * DAY, need=[0.0, 0.0, 0.0, 0.1, 1.0, 0.0, 1.0])
    assert schedule.due(look, NOW).tolist() == [6, 4, 3, 2, 1, 0]


def test_a_young_series_goes_before_an_old_one_that_is_as_long_overdue(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW - 3 * HOUR, until=1, was_backtest=True)
    fitted(schedule, 1, NOW - 2 * HOUR - 15 * MINUTE, until=1, was_backtest=True)
    assert schedule.due(ages(9 * DAY, HOUR), NOW).tolist() == [1, 0]


def test_the_backlog_is_the_time_since_the_most_overdue_series_was_due(schedule: Schedule) -> None:
    schedule.restore(0, NOW - 3 * HOUR, 1, NOW)
    schedule.restore(1, NOW - HOUR, 1, NOW)
    schedule.due(ages(2 * HOUR, 2 * HOUR), NOW)
    assert schedule.backlog_seconds == 2.5 * 3600


def test_a_series_in_need_is_not_fitted_before_it_is_due(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW, was_backtest=True)
    assert schedule.due(ages(2 * HOUR, last=NOW + MINUTE, need=[1.0]), NOW + MINUTE).size == 0


def test_a_series_whose_fit_failed_is_marked_until_the_next_good_fit(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW, was_backtest=True)
    failed(schedule, 0, NOW + HOUR)
    schedule.due(ages(9 * DAY, 9 * DAY), NOW + HOUR)
    assert schedule.marks().tolist() == [Reason.FIT_FAILED, Reason.NONE]
    fitted(schedule, 0, NOW + 2 * HOUR)
    schedule.due(ages(9 * DAY, 9 * DAY), NOW + 2 * HOUR)
    assert schedule.marks().tolist() == [Reason.NONE, Reason.NONE]


def test_a_model_overdue_by_more_than_an_interval_is_stale_also_while_it_is_being_fitted(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW, was_backtest=True)
    schedule.due(ages(9 * DAY, last=NOW + HOUR), NOW + HOUR)
    assert schedule.marks().tolist() == [Reason.NONE]
    schedule.due(ages(9 * DAY, last=NOW + 2 * HOUR + 1), NOW + 2 * HOUR + 1)
    assert schedule.marks().tolist() == [Reason.STALE_MODEL]
    schedule.begin(0)
    schedule.due(ages(9 * DAY, last=NOW + 2 * HOUR + 2), NOW + 2 * HOUR + 2)
    assert schedule.marks().tolist() == [Reason.STALE_MODEL]


def test_a_silent_series_is_not_stale(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW, until=NOW, was_backtest=True)
    schedule.due(ages(9 * DAY), NOW + 9 * HOUR)
    assert schedule.marks().tolist() == [Reason.NONE]


def test_waiting_for_a_first_fit_counts_from_when_it_became_possible(schedule: Schedule) -> None:
    schedule.due(ages(DAY), NOW)
    schedule.due(ages(DAY), NOW + 90 * 10**9)
    assert schedule.backlog_seconds == 90.0


def test_a_series_being_fitted_is_not_due(schedule: Schedule) -> None:
    assert schedule.due(ages(DAY), NOW).tolist() == [0]
    schedule.begin(0)
    assert schedule.due(ages(DAY), NOW).size == 0


def test_a_failed_fit_is_tried_again_after_a_minute_and_paused_after_three(schedule: Schedule) -> None:
    at = NOW
    for _ in range(3):
        assert schedule.due(ages(9 * DAY), at).tolist() == [0]
        failed(schedule, 0, at)
        assert schedule.due(ages(9 * DAY), at + MINUTE - 1).size == 0
        at += MINUTE
    last = at - MINUTE
    assert schedule.paused(at) == 1
    assert schedule.due(ages(9 * DAY), last + HOUR - 1).size == 0
    assert schedule.due(ages(9 * DAY), last + HOUR).tolist() == [0]
    failed(schedule, 0, last + HOUR)
    assert schedule.paused(last + HOUR + 1) == 1
    fitted(schedule, 0, last + 2 * HOUR)
    failed(schedule, 0, last + 3 * HOUR)
    assert schedule.paused(last + 3 * HOUR) == 0


def test_too_little_data_is_no_failure(schedule: Schedule) -> None:
    for i in range(5):
        failed(schedule, 0, NOW + i * HOUR, FitStatus.NOT_ENOUGH_DATA)
    assert schedule.paused(NOW + 5 * HOUR) == 0
    assert schedule.due(ages(9 * DAY, last=NOW + 5 * HOUR), NOW + 5 * HOUR).tolist() == [0]


def test_a_backtest_follows_the_first_fit_at_once_and_then_daily(schedule: Schedule) -> None:
    assert not schedule.wants_backtest(*first_fit(schedule))
    fitted(schedule, 0, NOW)
    assert schedule.due(ages(9 * DAY), NOW).tolist() == [0]
    assert schedule.wants_backtest(0, 9 * DAY, NOW)
    assert not schedule.wants_backtest(0, 2 * DAY - 1, NOW)
    fitted(schedule, 0, NOW, was_backtest=True)
    assert schedule.due(ages(9 * DAY), NOW).size == 0
    assert not schedule.wants_backtest(0, 9 * DAY, NOW + DAY - 1)
    assert schedule.wants_backtest(0, 9 * DAY, NOW + DAY)


def first_fit(schedule: Schedule) -> tuple[int, int, int]:
    schedule.due(ages(9 * DAY), NOW)
    return 0, 9 * DAY, NOW


def test_after_a_failed_backtest_plain_fits_go_on(schedule: Schedule) -> None:
    fitted(schedule, 0, NOW)
    schedule.begin(0)
    schedule.end(0, FitStatus.TIMED_OUT, NOW, fitted_until=0, was_backtest=True)
    assert not schedule.wants_backtest(0, 9 * DAY, NOW + MINUTE)
    assert schedule.due(ages(9 * DAY, last=NOW + MINUTE), NOW + MINUTE).tolist() == [0]
    fitted(schedule, 0, NOW + MINUTE)
    assert not schedule.wants_backtest(0, 9 * DAY, NOW + 2 * MINUTE)


def test_a_restored_series_goes_on_where_it_was(schedule: Schedule) -> None:
    schedule.restore(0, NOW - 10 * MINUTE, NOW - 11 * MINUTE, NOW - HOUR)
    assert schedule.due(ages(9 * DAY), NOW).size == 0
    assert schedule.due(ages(9 * DAY), NOW + 50 * MINUTE).tolist() == [0]


def test_a_hundred_thousand_series_can_be_due_at_once(schedule: Schedule) -> None:
    assert schedule.due(ages(*[9 * DAY] * 100_000), NOW).size == 100_000


def test_a_clock_that_was_ahead_for_years_keeps_nobody_waiting_once_it_is_right(schedule: Schedule) -> None:
    ahead = NOW + 3650 * DAY
    fitted(schedule, 0, ahead, until=NOW)
    for _ in range(3):
        failed(schedule, 1, ahead)
    seen = [schedule.due(ages(DAY, DAY, last=NOW + hour * HOUR), NOW + hour * HOUR).tolist() for hour in (0, 1, 2)]
    assert {series for due in seen for series in due} == {0, 1}
