"""Maintenance windows: spans of time, once, by a rule or from an iCal file, in which nothing is judged or learned."""

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.forecast.local_time import day_of
from collector_processor.telemetry.points import Bool, Int64

_BLOCK_DAYS = 32
"""Rules are worked out for so many days at once, and remembered."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The windows of iCal texts; times without a zone are those of `time_zone`."""

    texts: tuple[str, ...] = ()
    time_zone: str = "UTC"

    def covers(self, time_unix_nano: Int64) -> Bool:
        """Tell which times `(n,)` lie in a window, `[start, end)`."""
        covered = np.zeros(time_unix_nano.size, np.bool_)
        if not self.texts or not time_unix_nano.size:
            return covered
        block = time_unix_nano // (_BLOCK_DAYS * DAY)
        for number in range(int(block.min()), int(block.max()) + 1):
            start, end = _spans(self, number)
            at = np.searchsorted(start, time_unix_nano, side="right") - 1
            if start.size:
                covered |= (block == number) & (at >= 0) & (time_unix_nano < end[np.maximum(at, 0)])
        return covered


def span_text(start: datetime, end: datetime, rule: str | None) -> str:
    """Return the iCal text of a window, repeated by an RRULE where one is given; times may have no zone yet."""
    repeat = (f"RRULE:{rule}",) if rule else ()
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:foreband", "BEGIN:VEVENT", "UID:maintenance")
    times = (f"DTSTART{_stamp(start)}", f"DTEND{_stamp(end)}")
    return "\r\n".join((*lines, *times, *repeat, "END:VEVENT", "END:VCALENDAR", ""))


@lru_cache(maxsize=1024)
def _spans(maintenance: Maintenance, block: int) -> tuple[Int64, Int64]:
    """Return starts and ends of disjoint ascending windows that touch a block of days."""
    found: list[tuple[int, int]] = []
    for text in maintenance.texts:
        found.extend(_spans_of(text, block * _BLOCK_DAYS, (block + 1) * _BLOCK_DAYS, maintenance.time_zone))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    columns = np.array(merged, np.int64).reshape(-1, 2)
    return columns[:, 0].copy(), columns[:, 1].copy()


def _spans_of(text: str, first_day: int, end_day: int, time_zone: str) -> list[tuple[int, int]]:
    import recurring_ical_events
    from icalendar import Calendar

    zone = ZoneInfo(time_zone)
    # a day more on either side: days are asked for without a zone
    events = recurring_ical_events.of(Calendar.from_ical(text)).between(day_of(first_day - 1), day_of(end_day + 1))
    return [(_unix_nano(event.start, zone), _unix_nano(event.end, zone)) for event in events]


def _unix_nano(moment: Any, zone: ZoneInfo) -> int:
    """Return the time of a date or a time of day; a date begins at midnight."""
    at: datetime = moment if isinstance(moment, datetime) else datetime.combine(_as_date(moment), time(), zone)
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()) * NANOS_PER_SECOND


def _as_date(moment: date) -> date:
    return moment


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        return f":{moment:%Y%m%dT%H%M%S}"
    return f":{moment.astimezone(ZoneInfo('UTC')):%Y%m%dT%H%M%S}Z"
