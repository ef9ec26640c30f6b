"""What the forecast blocks of policies come to: Prophet's settings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from collector_processor.config.policy import EventConfig, ForecastPolicy, HolidaysConfig, SeasonalityConfig
from collector_processor.forecast.calendar import Calendar, Event
from collector_processor.forecast.design import Seasonality
from collector_processor.forecast.ical import repeated
from collector_processor.forecast.local_time import day_number
from collector_processor.forecast.maintenance import Maintenance
from collector_processor.forecast.settings import ProphetSettings

_GROWTH = ("growth", "cap", "floor")
_AS_THEY_ARE = {
    *("daily_seasonality", "weekly_seasonality", "yearly_seasonality", "hourly_seasonality", "seasonality_mode"),
    *("seasonality_prior_scale", "holidays_prior_scale", "changepoint_prior_scale", "time_zone", *_GROWTH),
}
_DAY_SECONDS = 86_400


def prophet_settings(blocks: Sequence[ForecastPolicy], maintenance: Maintenance | None = None) -> ProphetSettings:
    """Return the settings that blocks come to, later ones overriding the fields that they set.

    Growth, its cap and its floor are one field: who sets one sets all. Logistic and multiplicative models are scaled by
    the largest value, as Prophet does by default: scaled by the range, they predict other values than were fitted.
    """
    merged: dict[str, Any] = {}
    for block in blocks:
        names = block.model_fields_set | (set(_GROWTH) if block.model_fields_set & set(_GROWTH) else set())
        merged |= {name: getattr(block, name) for name in names}
    settings = {name: value for name, value in merged.items() if name in _AS_THEY_ARE}
    if merged.get("growth") == "logistic" or merged.get("seasonality_mode") == "multiplicative":
        settings["scaling"] = "absmax"
    if "changepoints" in merged:
        settings["n_changepoints"] = merged["changepoints"]
    prior = merged.get("seasonality_prior_scale", ProphetSettings().seasonality_prior_scale)
    return ProphetSettings(
        **settings,
        seasonalities=tuple(_seasonality(s, prior) for s in merged.get("seasonalities", ())),
        calendar=_calendar(merged.get("holidays"), merged.get("events", ())),
        maintenance=maintenance or Maintenance(),
    )


def _seasonality(config: SeasonalityConfig, prior_scale: float) -> Seasonality:
    period = config.period.total_seconds() / _DAY_SECONDS
    return Seasonality(config.name, period, config.order, config.prior_scale or prior_scale)


def _calendar(holidays: HolidaysConfig | None, events: Sequence[EventConfig]) -> Calendar:
    calendar = Calendar(events=tuple(_event(event) for event in events))
    if holidays is None:
        return calendar
    return replace(
        calendar,
        country=holidays.country,
        subdivision=holidays.subdivision,
        lower_window=-holidays.window.before,
        upper_window=holidays.window.after,
        as_one=f"holiday in {holidays.country}" if holidays.as_one else "",
    )


def _event(config: EventConfig) -> Event:
    event = Event(
        config.name,
        days=tuple(sorted({day_number(day) for day in config.dates})),
        lower_window=config.lower_window,
        upper_window=config.upper_window,
        prior_scale=config.prior_scale,
    )
    if config.ical is not None:
        return replace(event, ical=config.ical.text)
    if config.first is not None and config.rule is not None:
        return replace(event, ical=repeated(config.name, config.first, _limited(config.rule, config.until)))
    if config.first is not None and config.until is not None:
        return replace(event, days=tuple(range(day_number(config.first), day_number(config.until) + 1)))
    return event


def _limited(rule: str, until: date | None) -> str:
    return rule if until is None else f"{rule};UNTIL={until:%Y%m%d}"
