import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.telemetry.arrival import MetricArrivals
from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.room import Room, Row, at, numbers, raw

HOURS, DAYS = 3600.0, 86400.0


def outcome(kind: Kind, *rows: Row, now: float = 100.0, before: Row | None = None) -> tuple[int, dict[str, int]]:
    room = Room()
    if before:
        room.take_metrics(numbers(kind, [before]), now=now)
    settlement = room.take_metrics(numbers(kind, rows), now=now).settlements[0]
    return settlement.stored, settlement.rejected


@pytest.mark.parametrize("kind", [k for k in Kind if k.value.split("_")[0] in {"gauge", "counter", "updown"}])
@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (-at(0) / 1e9, "time_missing"),
        (-at(0) / 1e9 - 5, "time_out_of_range"),
        (100 + 601, "time_in_future"),
        (100 - 15 * DAYS - 1, "too_old"),
    ],
)
def test_a_time_without_sense_rejects_its_point_and_makes_no_series(kind: Kind, time: float, reason: str) -> None:
    room = Room()
    settlement = room.take_metrics(numbers(kind, [({"a": 1}, None, time, 1.0), ({}, 0, 10, 1.0)]), now=100).settlements
    assert (settlement[0].stored, settlement[0].rejected) == (1, {reason: 1})
    assert {key.attributes for key in room.keys} == {()}


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        (Kind.COUNTER_CUMULATIVE, ({}, 20, 10, 1.0), "start_after_time"),
        (Kind.COUNTER_DELTA, ({}, 20, 10, 1.0), "start_after_time"),
        (Kind.COUNTER_CUMULATIVE, ({}, 0, 10, math.inf), "not_finite"),
        (Kind.UPDOWN_CUMULATIVE, ({}, 0, 10, math.nan), "not_finite"),
        (Kind.COUNTER_DELTA, ({}, 0, 10, -math.inf), "not_finite"),
        (Kind.COUNTER_DELTA, ({}, 0, 10, -1.0), "negative_delta"),
        (Kind.COUNTER_CUMULATIVE, ({}, 0, 10, -1.0), "negative_total"),
        (Kind.GAUGE, (b"{", 0, 10, 1.0), "bad_attributes"),
    ],
)
def test_a_value_without_sense_rejects_its_point(kind: Kind, row: Row, reason: str) -> None:
    assert outcome(kind, row, ({"good": 1}, 0, 10, 1.0)) == (1, {reason: 1})


@pytest.mark.parametrize("kind", [Kind.UPDOWN_CUMULATIVE, Kind.UPDOWN_DELTA])
def test_a_sum_that_goes_up_and_down_may_be_negative(kind: Kind) -> None:
    assert outcome(kind, ({}, 0, 10, -1.0)) == (1, {})


def test_a_point_more_than_an_hour_behind_its_series_is_out_of_order() -> None:
    newest: Row = ({}, 0, 2 * HOURS, 1.0)
    assert outcome(Kind.GAUGE, ({}, 0, HOURS, 1.0), ({}, 0, HOURS - 1, 1.0), now=2 * HOURS, before=newest) == (
        1,
        {"out_of_order": 1},
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.8e308, 0.1 + 0.2])
def test_a_gauge_is_stored_exactly(value: float) -> None:
    room = Room()
    room.take_metrics(numbers(Kind.GAUGE, [({}, None, 10, value)]), now=100)
    stored = np.array([room.read(Statistic.VALUE)[10]])
    assert stored.tobytes() == np.array([value]).tobytes()


@pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.UPDOWN_CUMULATIVE, Kind.COUNTER_DELTA])
def test_no_recorded_value_is_a_gap_and_not_zero(kind: Kind) -> None:
    room = Room()
    room.take_metrics(numbers(kind, [({}, 0, 10, None)]), now=100)
    assert [math.isnan(v) for v in room.stored.values()] == [True]


def test_a_start_in_the_future_of_a_gauge_says_nothing() -> None:
    assert outcome(Kind.GAUGE, ({}, 50, 10, 1.0)) == (1, {})


def test_a_rate_too_large_for_a_double_is_infinite() -> None:
    room = Room()
    room.take_metrics(numbers(Kind.COUNTER_DELTA, [({}, 0, 0.5, 1.7e308)]), now=100)
    assert room.read(Statistic.RATE) == {0.5: math.inf}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([({}, 0, 10, 20)], {10: 2.0}, id="value over its interval"),
        pytest.param(
            [({}, 0, 10, 20), ({}, 30, 40, 10)], {10: 2.0, 40: 1.0}, id="a gap between intervals adds nothing"
        ),
        pytest.param(
            [({}, 0, 10, 20), ({}, 5, 20, 30)], {10: 2.0, 20: 2.0}, id="overlapping intervals are each a rate"
        ),
        pytest.param(
            [({}, None, 10, 20), ({}, None, 20, 30)], {10: None, 20: 3.0}, id="no start: since the last point"
        ),
        pytest.param([({}, 10, 10, 20), ({}, 20, 20, 30)], {10: None, 20: 3.0}, id="start = time is no start"),
        pytest.param([({}, 0, 10, 0)], {10: 0.0}, id="nothing happened"),
    ],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_rates_of_deltas(rows: list[Row], expected: dict[float, float | None], *, restarts: bool) -> None:
    room, together = Room(), Room()
    together.take_metrics(numbers(Kind.COUNTER_DELTA, rows), now=100)
    for row in rows:
        if restarts:
            room.restart()
        room.take_metrics(numbers(Kind.COUNTER_DELTA, [row]), now=100)
    for r in (room, together):
        found = {t: None if math.isnan(v) else v for t, v in r.read(Statistic.RATE).items()}
        assert found == expected


def test_an_up_down_delta_is_a_rate_that_may_be_negative() -> None:
    room = Room()
    room.take_metrics(numbers(Kind.UPDOWN_DELTA, [({}, 0, 10, -20)]), now=100)
    assert room.read(Statistic.RATE) == {10: -2.0}


@pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.COUNTER_CUMULATIVE, Kind.COUNTER_DELTA, Kind.UPDOWN_DELTA])
@pytest.mark.parametrize("start", [0, None])
def test_a_resent_batch_changes_nothing(kind: Kind, start: float | None) -> None:
    room = Room()
    batch = numbers(kind, [({}, start, 10, 5.0), ({}, start, 20, 7.0), ({"a": 1}, start, 10, 5.0)])
    room.take_metrics(batch, now=100)
    room.take_metrics(numbers(kind, [({}, start, 30, 8.0)]), now=100)
    before = dict(room.stored)
    for _ in range(5):
        consumed = room.take_metrics(batch, now=100)
        assert (consumed.settlements[0].stored, consumed.settlements[0].duplicates) == (3, 3)
        assert len(consumed.points) == 0
    assert room.stored == before


def test_of_two_values_for_one_time_the_last_wins_and_the_conflict_is_counted() -> None:
    room = Room()
    room.take_metrics(numbers(Kind.GAUGE, [({}, None, 10, 1.0)]), now=100)
    consumed = room.take_metrics(numbers(Kind.GAUGE, [({}, None, 10, 2.0), ({}, None, 10, 3.0)]), now=100)
    assert consumed.settlements[0].conflicts == 2
    assert room.read(Statistic.VALUE) == {10: 3.0}


@pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.COUNTER_DELTA])
def test_a_gap_replaces_a_value_like_any_other_value(kind: Kind) -> None:
    room = Room()
    room.take_metrics(numbers(kind, [({}, None, 10, 1.0), ({}, None, 20, 1.0)]), now=100)
    consumed = room.take_metrics(numbers(kind, [({}, None, 20, None)]), now=100)
    assert consumed.settlements[0].conflicts == 1
    assert [t for (_, t), v in room.stored.items() if t == at(20) and math.isnan(v)] == [at(20)]


def test_points_and_settlements_know_their_request() -> None:
    room = Room()
    gauge = numbers(Kind.GAUGE, [({}, None, 10, 1.0)])
    counter = numbers(Kind.COUNTER_CUMULATIVE, [({}, 0, 10, 1.0), ({}, 0, 20, 1.0), ({}, 0, 20, 1.0)])
    empty = MetricArrivals(3, rejected={"unsupported_kind": 2, "bad_attributes": 1})
    consumed = room.take_metrics(empty, counter, gauge, counter, now=100)
    assert [s.stored for s in consumed.settlements] == [0, 3, 1, 3]
    assert [s.duplicates for s in consumed.settlements] == [0, 1, 0, 3]
    assert consumed.settlements[0].rejected == {"unsupported_kind": 2, "bad_attributes": 1}
    statistics = [room.keys[s].statistic for s in consumed.points.series.tolist()]
    assert {(s, r) for s, r in zip(statistics, consumed.request.tolist(), strict=True) if s is Statistic.VALUE} == {
        (Statistic.VALUE, 2)
    }
    assert set(consumed.request.tolist()) <= {1, 2, 3}


def test_nothing_comes_of_nothing() -> None:
    room = Room()
    assert room.take_metrics(now=0).settlements == ()
    assert room.take_metrics(MetricArrivals(0), now=0).settlements[0].stored == 0


def test_our_own_metrics_count_as_stored_and_make_no_series() -> None:
    room = Room()
    consumed = room.take_metrics(numbers(Kind.GAUGE, [({}, None, 10, 1.0)], metric="foreband.yhat"), now=100)
    assert (consumed.settlements[0].stored, len(consumed.points), len(room.keys)) == (1, 0, 0)


def test_ten_times_the_series_limit_costs_the_existing_series_nothing() -> None:
    room, quiet = Room(series_limit=20), Room(series_limit=20)
    known = [raw({"host": i}) for i in range(10)]
    for minute in range(10):
        rows: list[Row] = [(a, 0, 60.0 * minute, 7.0 * minute) for a in known]
        flood: list[Row] = [({"uuid": f"{minute}-{i}"}, 0, 60.0 * minute, 1.0) for i in range(20)]
        quiet.take_metrics(numbers(Kind.COUNTER_CUMULATIVE, rows), now=1000)
        both = rows if minute == 0 else [*flood[:10], *rows, *flood[10:]]
        settlement = room.take_metrics(numbers(Kind.COUNTER_CUMULATIVE, both), now=1000).settlements[0]
        assert (settlement.stored, settlement.rejected.get("series_limit", 0)) == (10, len(both) - 10)
    assert room.named_points() == quiet.named_points()
    assert len(room.read(Statistic.RATE, host=3)) == 9


def test_enrichment_finds_the_bytes_a_series_came_with() -> None:
    room = Room()
    room.take_metrics(numbers(Kind.COUNTER_CUMULATIVE, [({"a": 1}, 0, 10, 1.0)]), now=100)
    aliases = [room.catalog.alias_of(series) for series in range(2)]
    assert aliases[0] is not None
    assert aliases[0] == aliases[1]
    assert (aliases[0][0].scope, aliases[0][1]) == (b"scope", raw({"a": 1}))


kinds = st.sampled_from([Kind.GAUGE, Kind.COUNTER_CUMULATIVE, Kind.COUNTER_DELTA, Kind.UPDOWN_DELTA])
any_row = st.tuples(
    st.sampled_from([{}, {"a": 1}, {"a": "1"}, b"{"]),
    st.sampled_from([None, 0.0, 5.0, 1e6]),
    st.sampled_from([-at(0) / 1e9, -1e7, -4000.0, 1.0, 10.0, 20.0, 4000.0, 1e5]),
    st.sampled_from([None, -1.0, 0.0, 3.0, math.inf, math.nan]),
)
requests = st.lists(st.tuples(kinds, st.lists(any_row, max_size=6)), max_size=6)


@settings(deadline=None, max_examples=60)
@given(requests, st.integers(1, 20))
def test_every_item_gets_exactly_one_outcome(batch: list[tuple[Kind, list[Row]]], limit: int) -> None:
    room = Room(series_limit=limit)
    arrivals = [numbers(kind, rows) for kind, rows in batch]
    consumed = room.take_metrics(*arrivals, now=5000)  # the room checks the sums
    again = room.take_metrics(*arrivals, now=5000)
    assert [s.stored for s in again.settlements] <= [s.stored for s in consumed.settlements]


well_behaved = st.lists(
    st.tuples(st.integers(0, 2), st.integers(32, 60), st.integers(0, 50), st.booleans()), min_size=1, max_size=15
)


kinds_restored = (Kind.COUNTER_CUMULATIVE, Kind.UPDOWN_CUMULATIVE, Kind.COUNTER_DELTA, Kind.GAUGE)


@settings(deadline=None, max_examples=60)
@given(well_behaved, st.integers(0, 15))
def test_a_restart_in_the_middle_changes_no_point(script: list[tuple[int, int, int, bool]], restart: int) -> None:
    rooms = [Room(), Room()]
    time, total, start = dict.fromkeys(range(3), 0.0), dict.fromkeys(range(3), 0.0), dict.fromkeys(range(3), -10.0)
    for i, (series, seconds, growth, is_reset) in enumerate(script):
        if is_reset:
            start[series], total[series] = time[series] + 0.5, 0.0
        time[series] += seconds
        total[series] += growth
        row: Row = ({"s": series}, start[series], time[series], total[series])
        delta: Row = ({"s": series}, time[series] - seconds, time[series], growth)
        arrivals = [numbers(k, [delta if k is Kind.COUNTER_DELTA else row], metric=k) for k in kinds_restored]
        for room in rooms:
            room.take_metrics(*arrivals, now=5000)
        if i == restart:
            rooms[0].restart()
    assert rooms[0].named_points() == rooms[1].named_points()
