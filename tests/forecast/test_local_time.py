from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.forecast.local_time import check_time_zone, day_number, day_of, wall_clock, year_of

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]


def told_by_zoneinfo(unix_nano: int, time_zone: str) -> int:
    moment = datetime.fromtimestamp(unix_nano // NANOS_PER_SECOND, UTC).astimezone(ZoneInfo(time_zone))
    return int(moment.replace(tzinfo=UTC).timestamp()) * NANOS_PER_SECOND + unix_nano % NANOS_PER_SECOND


@given(
    second=st.integers(day_number(date(1971, 1, 2)) * 86_400, day_number(date(2045, 1, 1)) * 86_400),
    time_zone=st.sampled_from(ZONES),
)
def test_the_wall_clock_is_the_one_of_the_time_zone_database(second: int, time_zone: str) -> None:
    at = second * NANOS_PER_SECOND + 123
    assert wall_clock(np.array([at]), time_zone)[0] == told_by_zoneinfo(at, time_zone)


@pytest.mark.parametrize("change", ["2024-03-31T01:00", "2024-10-27T01:00"])
def test_the_clocks_change_to_the_second(change: str) -> None:
    at = int(np.datetime64(change, "ns").astype(np.int64))
    times = at + NANOS_PER_SECOND * np.arange(-2, 2)
    expected = [told_by_zoneinfo(int(t), "Europe/Berlin") for t in times]
    assert wall_clock(times, "Europe/Berlin").tolist() == expected
    assert expected[2] - expected[1] != NANOS_PER_SECOND


def test_years_of_times_need_one_look_each() -> None:
    times = int(np.datetime64("2019-06-01", "ns").astype(np.int64)) + 7 * HOUR * np.arange(10_000)
    local = wall_clock(times, "America/New_York")
    assert local[::997].tolist() == [told_by_zoneinfo(int(t), "America/New_York") for t in times[::997]]
    assert wall_clock(times[:0], "America/New_York").size == 0


def test_days_and_years_are_counted_from_1970() -> None:
    assert [day_number(day_of(n)) for n in (-1, 0, 20_000)] == [-1, 0, 20_000]
    assert (year_of(-1), year_of(0), year_of(365 * DAY - 1), year_of(365 * DAY)) == (1969, 1970, 1970, 1971)
    assert year_of(MINUTE) == 1970


def test_every_time_zone_there_is_can_be_used_and_no_other() -> None:
    for name in sorted(available_timezones())[::37]:
        check_time_zone(name)
    for wrong in ("Europe/Berln", "", "../etc"):
        with pytest.raises((KeyError, ValueError)):
            check_time_zone(wrong)
