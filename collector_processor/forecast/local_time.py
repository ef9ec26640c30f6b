"""Wall-clock time of a time zone: what calendars and the shape of a day follow, across changes of the clocks.

The time zone database gives the offset of one moment at a time; here the changes of a year are found once and kept, so
that a column of times costs one look-up.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.telemetry.points import Int64

_EPOCH = date(1970, 1, 1)


def wall_clock(time_unix_nano: Int64, time_zone: str) -> Int64:
    """Return, for UTC times `(n,)`, what a clock on the wall shows, as if it were UTC; an hour may come twice."""
    if time_zone == "UTC" or not time_unix_nano.size:
        return time_unix_nano
    first, last = int(time_unix_nano.min()), int(time_unix_nano.max())
    changes, offsets = _offsets(time_zone, year_of(first), year_of(last))
    return np.asarray(time_unix_nano + offsets[np.searchsorted(changes, time_unix_nano, side="right")])


def check_time_zone(name: str) -> None:
    """Check that a time zone is known here.

    Raises:
        KeyError, ValueError: if it is not.
    """
    ZoneInfo(name)


def year_of(time_unix_nano: int) -> int:
    """Return the year of a time, in UTC."""
    return (_EPOCH + timedelta(days=time_unix_nano // DAY)).year


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to a calendar day."""
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """Return the calendar day that lies so many days after 1970-01-01."""
    return _EPOCH + timedelta(days=number)


@lru_cache(maxsize=256)
def _offsets(time_zone: str, first_year: int, last_year: int) -> tuple[Int64, Int64]:
    """Return when the clocks change from one year to another, ascending `(c,)`, and the offsets between `(c + 1,)`."""
    found = [change for year in range(first_year, last_year + 1) for change in _changes(time_zone, year)]
    start = _offset(time_zone, _start_of(first_year))
    seconds = np.array([at for at, _ in found], np.int64)
    offsets = np.array([start, *(offset for _, offset in found)], np.int64)
    return seconds * NANOS_PER_SECOND, offsets * NANOS_PER_SECOND


@lru_cache(maxsize=1024)
def _changes(time_zone: str, year: int) -> tuple[tuple[int, int], ...]:
    """Return the changes of one year as (Unix second, offset from then on): days that differ, narrowed down."""
    found = []
    for start in range(_start_of(year), _start_of(year + 1), 86_400):
        before, after = _offset(time_zone, start), _offset(time_zone, start + 86_400)
        if before != after:
            low, high = start, start + 86_400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(time_zone, middle) == before else (low, middle)
            found.append((high, after))
    return tuple(found)


def _start_of(year: int) -> int:
    return day_number(date(year, 1, 1)) * 86_400


def _offset(time_zone: str, unix_second: int) -> int:
    offset = datetime.fromtimestamp(unix_second, UTC).astimezone(ZoneInfo(time_zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
