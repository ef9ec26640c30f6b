from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from collector_processor.config.policy import PolicyConfig
from collector_processor.forecast.calendar import Calendar, Event
from collector_processor.forecast.design import Seasonality
from collector_processor.forecast.local_time import day_number
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.policy import Policies
from tests.policy.test_selector import KEY

CART = replace(KEY, resource=(("service.name", "cart"),))


def policies(*found: dict[str, Any]) -> Policies:
    return Policies([PolicyConfig.model_validate(policy) for policy in found])


def of_shop(**forecast: Any) -> dict[str, Any]:
    return {"match": {"service": "shop"}, "forecast": forecast}


def settings(**forecast: Any) -> ProphetSettings:
    return policies(of_shop(**forecast)).forecast(KEY)


def test_without_policies_every_series_has_the_defaults() -> None:
    assert policies().forecast(KEY) == ProphetSettings()
    assert policies(of_shop(growth="flat")).forecast(CART) == ProphetSettings()
    assert policies({"match": {"service": "shop"}}).forecast(KEY) == ProphetSettings()


def test_a_later_policy_overrides_only_what_it_sets() -> None:
    found = policies(
        {"forecast": {"time_zone": "Asia/Tokyo", "daily_seasonality": 7, "changepoints": 3}},
        of_shop(time_zone="Europe/Berlin", weekly_seasonality="on"),
        of_shop(daily_seasonality="off"),
    )
    shop, cart = found.forecast(KEY), found.forecast(CART)
    assert cart == ProphetSettings(time_zone="Asia/Tokyo", daily_seasonality=7, n_changepoints=3)
    assert shop == ProphetSettings(
        time_zone="Europe/Berlin", daily_seasonality=False, weekly_seasonality=True, n_changepoints=3
    )


def test_a_field_set_to_its_default_overrides_too() -> None:
    found = policies(of_shop(time_zone="Asia/Tokyo"), of_shop(time_zone="UTC"))
    assert found.forecast(KEY) == ProphetSettings()


def test_growth_cap_and_floor_are_overridden_together() -> None:
    logistic = of_shop(growth="logistic", cap=10.0, floor=1.0)
    assert policies(logistic, of_shop(growth="flat")).forecast(KEY) == ProphetSettings(growth="flat")
    kept = policies(logistic, of_shop(changepoints=1)).forecast(KEY)
    assert (kept.growth, kept.cap, kept.floor, kept.scaling) == ("logistic", 10.0, 1.0, "absmax")


def test_multiplicative_models_are_scaled_as_prophet_scales_them() -> None:
    assert settings(seasonality_mode="multiplicative").scaling == "absmax"
    assert settings(seasonality_mode="additive").scaling == "minmax"


def test_periods_are_durations() -> None:
    found = settings(
        seasonalities=[
            {"name": "shift", "period": "8h", "order": 2},
            {"name": "x", "period": "2w", "order": 1, "prior_scale": 3},
        ],
        seasonality_prior_scale=0.5,
    )
    assert found.seasonalities == (Seasonality("shift", 1 / 3, 2, 0.5), Seasonality("x", 14.0, 1, 3.0))


def test_holidays_become_a_calendar() -> None:
    holidays = {"country": "DE", "subdivision": "BY", "window": {"before": 1, "after": 2}, "as_one": True}
    assert settings(holidays=holidays).calendar == Calendar("DE", "BY", -1, 2, "holiday in DE")
    assert settings(holidays={"country": "US"}).calendar == Calendar("US")


def test_events_are_days_spans_rules_and_files(tmp_path: Path) -> None:
    file = tmp_path / "releases.ics"
    text = "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20260310\nEND:VEVENT\nEND:VCALENDAR\n"
    file.write_text(text)
    found = settings(
        events=[
            {"name": "sale", "dates": ["2026-11-27", "2026-11-27", "2025-11-28"], "lower_window": -1, "prior_scale": 2},
            {"name": "migration", "from": "2026-02-27", "until": "2026-03-01"},
            {"name": "payday", "from": "2026-01-31", "until": "2026-06-30", "rule": "FREQ=MONTHLY;BYMONTHDAY=-1"},
            {"name": "release", "ical": str(file)},
        ]
    )
    sale, migration, payday, release = found.calendar.events
    assert sale == Event("sale", (day_number(date(2025, 11, 28)), day_number(date(2026, 11, 27))), "", -1, 0, 2.0)
    assert len(migration.days) == 3
    assert release.ical == text
    days = {o.name: o.days for o in found.calendar.occasions(2026, 2027)}
    assert len(days["payday"]) == 6
    assert days["release"] == (day_number(date(2026, 3, 10)),)
    assert payday.days == ()


def test_equal_settings_are_one_object_whatever_matched() -> None:
    found = policies(of_shop(growth="flat"), {"match": {"service": "cart"}, "forecast": {"growth": "flat"}})
    assert found.forecast(KEY) is found.forecast(CART)
    assert found.matching(KEY) != found.matching(CART)
