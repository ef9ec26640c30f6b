import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.days import DAYS, Days
from collector_processor.telemetry.points import Float64

START = 19_000 * DAY
ONE = np.array([0], np.int32)


class Fed:
    """One series whose median of three hours is told at a time."""

    def __init__(self) -> None:
        self.days = Days()
        self.days.grow(1)

    def at(self, time: float, level: float) -> bool:
        """Return whether a day ended with a point this many hours after START."""
        moment = np.array([START + round(time * HOUR)])
        return bool(self.days.take(ONE, moment, np.array([level])).size)

    def whole(self, day: int, level: float) -> None:
        for block in range(8):
            self.at(24 * day + 3 * block + 3.1, level)

    def changes(self, day: int) -> Float64:
        row: Float64 = self.days.weekly_changes(ONE, np.array([START + day * DAY]))[0]
        return row


@pytest.fixture
def fed() -> Fed:
    fed = Fed()
    fed.at(0, np.nan)
    return fed


def test_a_day_is_the_median_of_its_medians_of_three_hours(fed: Fed) -> None:
    ends = [fed.at(3 * (block + 1), level) for block, level in enumerate([5.0, 1.0, 2.0, 3.0, 900.0, 4.0, 3.0, 2.0])]
    assert ends == [False] * 7 + [True]
    assert fed.days.newest(ONE, np.array([START + DAY + MINUTE]))[0] == 3.0


def test_only_the_first_point_in_three_hours_counts(fed: Fed) -> None:
    fed.whole(0, 7.0)
    fed.at(24.2, 900.0)
    assert fed.days.newest(ONE, np.array([START + DAY + MINUTE]))[0] == 7.0


def test_a_day_of_which_less_than_half_is_known_is_missing(fed: Fed) -> None:
    for hour in (3, 6, 9):
        fed.at(hour, 7.0)
    assert fed.at(30, 7.0)
    assert np.isnan(fed.days.newest(ONE, np.array([START + DAY + MINUTE]))[0])


def test_days_without_points_are_missing_and_not_those_of_six_weeks_ago(fed: Fed) -> None:
    for day in range(DAYS):
        fed.whole(day, float(day))
    fed.at(24 * (DAYS + 2) + 1, np.nan)
    fed.whole(DAYS + 2, 100.0)
    changes = fed.changes(DAYS + 3)
    assert changes[-1] == 100.0 - (DAYS - 5)
    assert np.isnan(changes[-3:-1]).all()
    assert (changes[:-3] == 7.0).all()


def test_small_changes_of_a_large_number_are_kept(fed: Fed) -> None:
    for day in range(9):
        fed.whole(day, 1e12 + day)
    assert fed.changes(9)[-2:].tolist() == [7.0, 7.0]


def test_a_point_that_comes_late_changes_nothing(fed: Fed) -> None:
    fed.whole(0, 7.0)
    before = fed.days.records.tobytes()
    assert not fed.at(5, 900.0)
    assert fed.days.records.tobytes() == before
