"""Holidays of a country and events of one's own: rules, from which the days of some years are worked out.

    calendar = Calendar(country="DE", subdivision="BE", events=(Event("release", ical=text),))
    calendar.occasions(2024, 2028, "Europe/Berlin")

Nothing here depends on today: the same rules and years give the same days.
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from collector_processor.forecast.design import Occasion
from collector_processor.forecast.ical import days_of
from collector_processor.forecast.local_time import day_number


@dataclass(frozen=True, slots=True)
class Event:
    """What moves a series on certain days: `days` (since 1970-01-01), and those of the events in an iCal text."""

    name: str
    days: tuple[int, ...] = ()
    ical: str = ""
    lower_window: int = 0
    upper_window: int = 0
    prior_scale: float | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Public holidays, by the codes of the `holidays` package, and events.

    Days before and after a holiday count too where the windows say so. `as_one` takes all holidays for one that comes
    several times a year: what was seen on one is expected on the next.
    """

    country: str = ""
    subdivision: str | None = None
    lower_window: int = 0
    upper_window: int = 0
    as_one: str = ""
    events: tuple[Event, ...] = ()

    def occasions(
        self, first_year: int, last_year: int, time_zone: str = "UTC", prior_scale: float = 10.0
    ) -> tuple[Occasion, ...]:
        """Return what happens from one year to another (both included), in the order of Prophet's columns.

        An event that has the name of a holiday adds its days to it. `prior_scale` is that of all without their own.
        """
        return _occasions(self, first_year, last_year, time_zone, prior_scale)


@lru_cache(maxsize=256)
def _occasions(
    calendar: Calendar, first_year: int, last_year: int, time_zone: str, prior_scale: float
) -> tuple[Occasion, ...]:
    found: dict[str, Occasion] = {}
    for name, days in _holidays(calendar, first_year, last_year).items():
        window = calendar.lower_window, calendar.upper_window
        found[name] = Occasion(name, tuple(sorted(days)), *window, prior_scale)
    first, last = day_number(date(first_year, 1, 1)), day_number(date(last_year, 12, 31))
    for event in calendar.events:
        within = {day for day in event.days if first <= day <= last}
        if event.ical:
            within |= days_of(event.ical, first, last, time_zone)
        found[event.name] = _with_days(found.get(event.name), event, within, prior_scale)
    return tuple(sorted((o for o in found.values() if o.days), key=lambda occasion: f"{occasion.name}_delim_"))


def _with_days(holiday: Occasion | None, event: Event, days: set[int], prior_scale: float) -> Occasion:
    if holiday is not None:
        return replace(holiday, days=tuple(sorted(days.union(holiday.days))))
    scale = prior_scale if event.prior_scale is None else event.prior_scale
    return Occasion(event.name, tuple(sorted(days)), event.lower_window, event.upper_window, scale)


def _holidays(calendar: Calendar, first_year: int, last_year: int) -> dict[str, set[int]]:
    """Return the days of every public holiday, named as Prophet names them."""
    if not calendar.country:
        return {}
    from holidays import country_holidays

    found = country_holidays(
        calendar.country,
        subdiv=calendar.subdivision,
        years=range(first_year, last_year + 1),
        expand=False,
        language="en_US",
    )
    days: dict[str, set[int]] = {}
    for day in found:
        for name in found.get_list(day):
            days.setdefault(calendar.as_one or name, set()).add(day_number(day))
    return days
