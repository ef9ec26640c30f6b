"""The days that the events of an iCal text touch, repetitions and exceptions included."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from collector_processor.forecast.local_time import day_number, day_of


def days_of(text: str, first: int, last: int, time_zone: str) -> set[int]:
    """Return the days (since 1970-01-01) from `first` to `last`, both included, on which an event is going on.

    Events with a time of day count on every day they touch in `time_zone`; one without a time zone of its own is taken
    to be in that one.

    Raises:
        ValueError: if the text is no iCal.
    """
    import recurring_ical_events
    from icalendar import Calendar

    zone = ZoneInfo(time_zone)
    events = recurring_ical_events.of(Calendar.from_ical(text)).between(day_of(first), day_of(last + 1))
    touched: set[int] = set()
    for event in events:
        start, end = _bounds(event, zone)
        touched.update(range(max(day_number(start), first), min(day_number(end), last) + 1))
    return touched


def repeated(name: str, start: date, rule: str) -> str:
    """Return the iCal text of an all-day event that repeats by an RRULE."""
    return "\r\n".join(
        (
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:foreband",
            "BEGIN:VEVENT",
            f"UID:{name}",
            f"SUMMARY:{name}",
            f"DTSTART;VALUE=DATE:{start:%Y%m%d}",
            f"RRULE:{rule}",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        )
    )


def _bounds(event: Any, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and the last day of one event."""
    start, end = event.start, event.end
    if not isinstance(start, datetime):
        return start, max(start, end - timedelta(days=1))
    first, until = (moment.astimezone(zone) if moment.tzinfo else moment for moment in (start, end))
    return first.date(), max(first, until - timedelta.resolution).date()
