from datetime import date

import numpy as np
import pandas as pd
import pytest
from prophet.make_holidays import make_holidays_df

from collector_processor.clock import DAY
from collector_processor.forecast.calendar import Calendar, Event
from collector_processor.forecast.design import Occasion
from collector_processor.forecast.ical import days_of, repeated
from collector_processor.forecast.local_time import day_number

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prophet 1.5 on pandas 3.1

YEAR = day_number(date(2026, 1, 1)), day_number(date(2026, 12, 31))


def dates(days: tuple[int, ...] | set[int]) -> list[str]:
    return [str(np.datetime64(day, "D")) for day in sorted(days)]


def ical(*events: str) -> str:
    body = "".join(
        f"BEGIN:VEVENT\r\nUID:{i}\r\nSUMMARY:x\r\n{event}\r\nEND:VEVENT\r\n" for i, event in enumerate(events)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{body}END:VCALENDAR\r\n"


@pytest.mark.parametrize(
    ("country", "subdivision"), [("DE", None), ("DE", "BY"), ("US", None), ("IN", None), ("JP", None)]
)
def test_public_holidays_are_those_prophet_knows(country: str, subdivision: str | None) -> None:
    theirs = make_holidays_df(list(range(2024, 2028)), country, subdivision)
    ours = Calendar(country, subdivision).occasions(2024, 2027)
    assert {o.name: dates(o.days) for o in ours} == {
        str(name): sorted(str(day)[:10] for day in rows["ds"]) for name, rows in theirs.groupby("holiday")
    }


def test_holidays_can_be_taken_for_one() -> None:
    each = Calendar("DE").occasions(2026, 2026)
    (one,) = Calendar("DE", as_one="public holiday", lower_window=-1).occasions(2026, 2026)
    assert set(one.days) == {day for o in each for day in o.days}
    assert (one.name, one.lower_window, one.upper_window) == ("public holiday", -1, 0)


def test_an_event_adds_its_days_to_a_holiday_of_its_name() -> None:
    bridge = day_number(date(2026, 5, 15))
    (found,) = [
        o
        for o in Calendar("DE", events=(Event("Labor Day", (bridge,)),)).occasions(2026, 2026)
        if o.name == "Labor Day"
    ]
    assert dates(found.days) == ["2026-05-01", "2026-05-15"]


def test_events_outside_the_years_are_left_out() -> None:
    event = Event("sale", tuple(day_number(date(year, 11, 27)) for year in range(2020, 2030)), prior_scale=3.0)
    (found,) = Calendar(events=(event, Event("never"))).occasions(2026, 2027)
    assert dates(found.days) == ["2026-11-27", "2027-11-27"]
    assert found.prior_scale == 3.0


def test_occasions_stand_in_the_order_of_prophets_columns() -> None:
    days = (YEAR[0],)
    events = tuple(Event(name, days) for name in ("ab", "a b", "a", "A", "a_"))
    names = [o.name for o in Calendar(events=events).occasions(2026, 2026)]
    assert names == [key.split("_delim_")[0] for key in sorted(f"{e.name}_delim_+0" for e in events)]
    assert Occasion("x", days, -2, 11).offsets == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2]


def test_the_days_around_an_occasion_have_columns_of_their_own() -> None:
    occasion = Occasion("release", (10, 11), -1, 1)
    marks = occasion.evaluate(DAY * np.arange(8, 14) + DAY // 2)
    assert dict(zip(occasion.offsets, marks.T.tolist(), strict=True)) == {
        0: [0, 0, 1, 1, 0, 0],
        1: [0, 0, 0, 1, 1, 0],
        -1: [0, 1, 1, 0, 0, 0],
    }


def test_a_rule_repeats_an_event() -> None:
    payday = repeated("payday", date(2026, 1, 31), "FREQ=MONTHLY;BYMONTHDAY=-1")
    assert dates(days_of(payday, *YEAR, "UTC"))[:3] == ["2026-01-31", "2026-02-28", "2026-03-31"]
    assert len(days_of(payday, *YEAR, "UTC")) == 12
    (occasion,) = Calendar(events=(Event("payday", ical=payday),)).occasions(2026, 2026)
    assert len(occasion.days) == 12


def test_an_ical_event_counts_on_every_day_it_touches_on_the_local_clock() -> None:
    all_day = ical("DTSTART;VALUE=DATE:20260701\r\nDTEND;VALUE=DATE:20260703")
    assert dates(days_of(all_day, *YEAR, "Asia/Tokyo")) == ["2026-07-01", "2026-07-02"]
    late = ical("DTSTART:20260701T230000Z\r\nDTEND:20260702T000000Z")
    assert dates(days_of(late, *YEAR, "UTC")) == ["2026-07-01"]
    assert dates(days_of(late, *YEAR, "Europe/Berlin")) == ["2026-07-02"]
    floating = ical("DTSTART:20260701T230000\r\nDTEND:20260702T010000")
    assert dates(days_of(floating, *YEAR, "Asia/Tokyo")) == ["2026-07-01", "2026-07-02"]


def test_repetitions_of_an_ical_event_know_their_exceptions() -> None:
    text = ical("DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nEXDATE;VALUE=DATE:20260112")
    assert dates(days_of(text, *YEAR, "UTC")) == ["2026-01-05", "2026-01-19", "2026-01-26"]


def test_what_is_no_ical_is_refused() -> None:
    with pytest.raises(ValueError, match=r"[Cc]ontent"):
        days_of("no calendar", *YEAR, "UTC")


def test_prophets_own_features_of_the_same_holidays_are_equal() -> None:
    from prophet import Prophet

    from collector_processor.forecast.design import Design
    from collector_processor.forecast.reference import holiday_frame

    occasions = Calendar("US", lower_window=-1, upper_window=2).occasions(2026, 2026)
    times = pd.Series(pd.date_range("2026-01-01", "2026-12-31", freq="7h"))
    model = Prophet(holidays=holiday_frame(Design((), occasions)))
    theirs, _, _ = model.make_holiday_features(times, model.construct_holiday_dataframe(times))
    ours = np.hstack([o.evaluate(times.to_numpy().astype("datetime64[ns]").astype(np.int64)) for o in occasions])
    np.testing.assert_array_equal(ours, theirs.to_numpy())
