"""What people would say of a series, and whether the product says the same."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.config.policy import PolicyConfig
from collector_processor.telemetry.points import Float64, Int64
from tests.evaluation.cases import Episodes, during, episodes, moments, nightly, of_kind, wave, weekdays
from tests.evaluation.labelled import START

DAYS = 14
EVENT = 12.5
"""Days from the start; noon of the thirteenth day."""


def made() -> dict[str, tuple[Int64, Float64]]:
    time, rng = moments(DAYS), np.random.default_rng(7)
    noise, n = rng.normal(size=(8, time.size)), time.size
    lasting = during(time, EVENT, EVENT + 0.25)
    growing = 20 + 120 * np.clip((time - START) / DAY - EVENT, 0, 1)
    payments = (7_000 + 3_250 * wave(time)) * (0.55 + 0.45 * weekdays(time)) * (1 + 0.02 * noise[0])
    errors = rng.binomial(2_000, 0.01 + 0.02 * lasting) / 2_000
    bursts = np.where(rng.random(n) < 0.01, rng.normal(100.0, 15.0, n), 0.0)  # every eight hours or so, at any time
    return {
        "payments": (time, payments * (1 - 0.59 * lasting)),
        "errors": (time, errors),
        "cpu": (time, np.clip(0.20 + 0.03 * wave(time) + 0.01 * noise[1] + 0.5 * lasting, 0, 1)),
        "batch": (time, 5.0 + 0.5 * noise[2] + 80.0 * nightly(time)),
        "bursts": (time, bursts),
        "bigger": (time, bursts + 5_000.0 * during(time, EVENT, EVENT + HOUR / DAY)),
        "requests": (time, np.clip(40 + 15 * wave(time) + 1.5 * noise[3], 0, None) * (1 - lasting)),
        "idle": (time, np.zeros(n)),
        "deploy": (time, 0.2 + 0.01 * wave(time) + 0.004 * noise[4] + 0.06 * during(time, EVENT, DAYS)),
        "flapping": (time, 50 + noise[5] + growing * lasting * ((time - START) // (15 * MINUTE) % 2 == 0)),
    }


KINDS = {"payments": "request_rate", "errors": "error_ratio", "cpu": "utilisation", "requests": "request_rate"}


@pytest.fixture(scope="module")
def found() -> dict[str, Episodes]:
    return episodes(made(), *(of_kind(name, kind) for name, kind in KINDS.items()))


@pytest.mark.parametrize(
    ("name", "within_steps"),
    [("payments", 1), ("errors", 2), ("cpu", 1), ("bigger", 1), ("requests", 1)],
)
def test_what_everybody_would_be_woken_for_is_one_alert_at_once(
    found: dict[str, Episodes], name: str, within_steps: int
) -> None:
    """Payments fall, 1 % of errors become 3 %, a CPU goes from 20 to 70 %, a burst beyond all, a service dies."""
    (late,) = (told for told in found[name] if told.start >= EVENT)
    assert late.start - EVENT <= within_steps * 5 / 1440 + 1e-9


@pytest.mark.parametrize("name", ["payments", "errors", "cpu", "requests"])
def test_what_lasts_for_six_hours_is_told_of_for_six_hours(found: dict[str, Episodes], name: str) -> None:
    (late,) = (told for told in found[name] if told.start >= EVENT)
    assert 5.5 <= (late.end - late.start) * 24 <= 6.5


def test_a_deploy_that_makes_everything_slower_is_a_level_shift_and_after_eight_hours_normal(
    found: dict[str, Episodes],
) -> None:
    (shift,) = found["deploy"]
    assert shift.kind == "level_shift"
    assert shift.start - EVENT <= 10 / 1440
    assert (shift.end - shift.start) * 24 == pytest.approx(8.0)


def test_what_comes_and_goes_for_hours_is_one_episode(found: dict[str, Episodes]) -> None:
    (flapping,) = (told for told in found["flapping"] if told.start >= EVENT)
    assert flapping.start - EVENT <= 5 / 1440


@pytest.mark.parametrize("name", ["payments", "errors", "cpu", "requests", "batch", "idle", "flapping"])
def test_before_it_nobody_is_woken_and_by_the_nightly_job_never(found: dict[str, Episodes], name: str) -> None:
    assert [told for told in found[name] if told.start < EVENT] == []


def test_a_metric_that_is_zero_for_hours_and_bursts_at_any_time_is_no_news(found: dict[str, Episodes]) -> None:
    assert [told for told in found["bursts"] if told.start >= 3] == []


HALF_HOUR = 30 * MINUTE
BERLIN = "Europe/Berlin"


def on_the_wall(time: Int64) -> tuple[Float64, Int64, list[str]]:
    """Return the hour, the day of the week and the date in Berlin."""
    there = [datetime.fromtimestamp(t / NANOS_PER_SECOND, ZoneInfo(BERLIN)) for t in time.tolist()]
    hours = np.array([moment.hour + moment.minute / 60 for moment in there])
    return hours, np.array([moment.weekday() for moment in there]), [moment.date().isoformat() for moment in there]


def from_day(year: int, month: int, day: int, days: int) -> Int64:
    return moments(days, int(datetime(year, month, day, tzinfo=UTC).timestamp()) * NANOS_PER_SECOND, HALF_HOUR)


def made_of_weeks() -> dict[str, tuple[Int64, Float64]]:
    rng = np.random.default_rng(3)
    time = moments(42, step=HALF_HOUR)
    noise, rising = rng.normal(size=(4, time.size)), np.clip((time - START) / DAY - LEAK, 0.0, 14.0)
    spring, winter = from_day(2024, 3, 11, 28), from_day(2023, 11, 27, 42)
    hour, weekday, _ = on_the_wall(spring)
    office = ((hour >= 8) & (hour < 18) & (weekday < 5)).astype(np.float64)
    hour, weekday, date = on_the_wall(winter)
    holiday = np.isin(date, ["2023-12-25", "2023-12-26", "2024-01-01"])
    visits = (100 - 60 * np.cos(2 * np.pi * (hour - 1) / 24)) * np.where((weekday < 5) & ~holiday, 1.0, 0.3)
    return {
        "leak": (time, 500 + 5 * wave(time) + 10 * noise[0] + 5 * rising),
        "disk": (time, 0.4 + 0.001 * noise[1] + 0.01 * rising),
        "steady": (time, 500 + 5 * wave(time) + 10 * noise[2]),
        "clocks": (spring, 100 + 80 * office + 4 * rng.normal(size=spring.size)),
        "holidays": (winter, visits + 3 * rng.normal(size=winter.size)),
    }


LEAK = 28.0
"""Days from the start until something leaks for two weeks, half as much a day as its noise is large."""

IN_BERLIN = {"clocks": {}, "holidays": {"holidays": {"country": "DE", "as_one": True}}}


@pytest.fixture(scope="module")
def over_weeks() -> dict[str, Episodes]:
    policies = [
        PolicyConfig.model_validate({"match": {"service": name}, "forecast": {"time_zone": BERLIN, **settings}})
        for name, settings in IN_BERLIN.items()
    ]
    return episodes(made_of_weeks(), *policies, of_kind("disk", "utilisation"), refit_interval=DAY)


@pytest.mark.parametrize("name", ["leak", "disk"])
def test_a_slow_leak_is_told_of_within_a_week_and_once(over_weeks: dict[str, Episodes], name: str) -> None:
    drift, *others = [told for told in over_weeks[name] if told.kind == "drift"]
    assert others == []
    assert 3 <= drift.start - LEAK <= 8


def test_what_does_not_leak_is_no_drift(over_weeks: dict[str, Episodes]) -> None:
    drifting = {name for name, found in over_weeks.items() if any(told.kind == "drift" for told in found)}
    assert drifting == {"leak", "disk"}


@pytest.mark.parametrize("name", ["clocks", "holidays"])
def test_a_change_of_the_clocks_and_public_holidays_wake_nobody(over_weeks: dict[str, Episodes], name: str) -> None:
    first = made_of_weeks()[name][0][0]
    assert [told for told in over_weeks[name] if told.start >= (first - START) / DAY + 7] == []
