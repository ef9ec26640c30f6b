from collections import defaultdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.counter_oracle import CounterOracle
from tests.signals.room import Room, Row, numbers

COUNTER = Kind.COUNTER_CUMULATIVE
Tick = tuple[float | None, float, float]
"""Start, time, value."""


def rates(ticks: list[Tick], batches: int | None = None) -> dict[float, float]:
    """Return the rates of one counter whose points come one by one, or all in one batch."""
    room = Room()
    rows: list[Row] = [({}, *tick) for tick in ticks]
    for part in [rows] if batches == 1 else [[row] for row in rows]:
        room.take_metrics(numbers(COUNTER, part), now=500.0)
    assert sorted(room.read(Statistic.TOTAL)) == sorted({time for _, time, _ in ticks})
    return room.read(Statistic.RATE)


@pytest.mark.parametrize("batches", [1, None])
@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        pytest.param([(0, 10, 5)], {}, id="the first point gives no rate, even with a known start"),
        pytest.param([(0, 10, 5), (0, 20, 25)], {20: 2.0}, id="growth over time"),
        pytest.param([(None, 10, 5), (None, 20, 5)], {20: 0.0}, id="a counter at rest has rate 0"),
        pytest.param([(0, 10, 5), (12, 20, 4)], {20: 0.5}, id="a restart counts from its start"),
        pytest.param([(0, 10, 5), (10, 20, 40)], {20: 4.0}, id="a restart is told by its start, not by its value"),
        pytest.param([(0, 10, 5), (20, 20, 3), (20, 30, 13)], {30: 1.0}, id="start = time: unknown start, no rate"),
        pytest.param([(0, 10, 50), (0, 20, 4), (0, 30, 14)], {30: 1.0}, id="a drop without a new start: no rate"),
        pytest.param([(0, 10, 50), (None, 20, 4), (None, 30, 14)], {30: 1.0}, id="the same with an unknown start"),
        pytest.param([(0, 10, 5), (0.04, 20, 15), (0.01, 30, 25)], {20: 1.0, 30: 1.0}, id="a drifting start"),
        pytest.param(
            [(0, 10, 5), (5, 20, 900), (5, 30, 910)], {30: 1.0}, id="a second writer, started later, is followed"
        ),
        pytest.param(
            [(5, 10, 1), (0, 11, 900), (5, 20, 11), (0, 21, 990)], {20: 1.0}, id="a writer that started earlier is not"
        ),
        pytest.param(
            [(5, 10, 1), (0, 320, 900), (0, 330, 910)], {330: 1.0}, id="until the followed one has been silent for long"
        ),
        pytest.param(
            [(0, 10, 900), (0, 11, 3), (0, 20, 910), (0, 21, 4), (0, 30, 920), (0, 31, 5)],
            {},
            id="two writers with the same start in turn: no rate is known",
        ),
        pytest.param(
            [(0, 10, 900), (0, 11, 3), (0, 21, 4), (0, 25, 910), (0, 35, 920)],
            {21: 0.1, 35: 1.0},
            id="two writers out of step: the rate of either, never their difference",
        ),
    ],
)
def test_rules(ticks: list[Tick], expected: dict[float, float], batches: int | None) -> None:
    assert rates(ticks, batches) == pytest.approx(expected)


def test_a_late_total_is_kept_but_gives_no_rate() -> None:
    assert rates([(0, 10, 5), (0, 30, 25), (0, 20, 15), (0, 40, 35)]) == {30: 1.0, 40: 1.0}


def test_a_second_value_for_the_newest_time_replaces_the_total_and_changes_no_rate() -> None:
    assert rates([(0, 10, 5), (0, 20, 15), (0, 20, 900), (0, 30, 25)]) == {20: 1.0, 30: 1.0}


def test_points_of_one_batch_may_come_in_any_order() -> None:
    assert rates([(0, 10, 5), (0, 30, 25), (0, 20, 15)], batches=1) == {20: 1.0, 30: 1.0}


def test_overlaps_are_counted() -> None:
    room = Room()
    rows: list[Row] = [({}, 0, 10, 900), ({}, 0, 11, 3), ({}, 0, 20, 910), ({}, 15, 21, 4), ({}, 0, 30, 920)]
    assert room.take_metrics(numbers(COUNTER, rows), now=100).overlaps == 3


growths, intervals = st.floats(0, 10), st.integers(5, 60)


def writer(start: float | None, begins: float, total: float, growth: float, interval: int) -> list[Tick]:
    return [(start, begins + t, total + growth * t) for t in range(0, 400, interval)]


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1e6), st.floats(0, 1e6), growths, growths, st.integers(5, 10), intervals, st.integers(10, 100))
def test_a_writer_that_joins_later_makes_no_spike_whatever_its_total(
    total: float, other: float, growth: float, other_growth: float, interval: int, other_interval: int, joins: int
) -> None:
    one = writer(0, 10, total, growth, interval)
    two = writer(joins, joins + 10.5, other, other_growth, other_interval)
    allowed = max(growth, other_growth) * 1.000001 + 1e-6
    assert all(0 <= rate <= allowed for rate in rates(sorted([*one, *two], key=lambda t: t[1]), batches=1).values())


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([0, None]), st.floats(1e4, 1e6), growths, growths, intervals, intervals)
def test_writers_with_the_same_start_make_no_spike_either(
    start: float | None, apart: float, growth: float, other_growth: float, interval: int, other_interval: int
) -> None:
    high = writer(start, 10, apart, growth, interval)
    low = writer(start, 12.5, 0, other_growth, other_interval)
    allowed = max(growth, other_growth) * 1.000001 + 1e-6
    assert all(0 <= rate <= allowed for rate in rates(sorted([*high, *low], key=lambda t: t[1]), batches=1).values())


steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # series
        st.sampled_from([1, 5, 10, 60, 400, -30, -3, 0]),  # seconds after the series' newest point
        st.sampled_from([0.0, 1.0, 17.0, 300.0, -1.0, -250.0]),  # growth
        st.sampled_from(["same", "same", "same", "unknown", "between", "now", "older", "overlap", "gap"]),
        st.booleans(),  # does a batch end here
        st.sampled_from([False, False, False, True]),  # and does the process restart
    ),
    max_size=60,
)


_SECOND = (0, 1, 0.0, "same", False, False)
_HELD_OVER_A_RESTART = [
    *[_SECOND] * 6,
    (0, -30, 0.0, "same", False, False),
    (0, 1, 0.0, "same", True, True),
    (0, 1, 1.0, "same", False, False),
]


@settings(deadline=None, max_examples=60)
@given(steps)
@example(_HELD_OVER_A_RESTART)
def test_rates_are_those_of_the_rules_taken_one_by_one(
    script: list[tuple[int, int, float, str, bool, bool]],
) -> None:
    room = Room()
    oracles: dict[int, CounterOracle] = defaultdict(CounterOracle)
    expected: dict[tuple[int, float], float] = {}
    batch: dict[tuple[int, float], Row] = {}
    newest = dict.fromkeys(range(3), 1000.0)
    value, start = dict.fromkeys(range(3), 1000.0), dict.fromkeys(range(3), 900.0)
    for series, after, growth, how, ends, restarts in script:
        time = newest[series] + after
        value[series] = max(0.0, value[series] + growth)
        moves = {"between": newest[series] + 1, "now": time, "older": start[series] - 50, "overlap": time - 70}
        start[series] = min(moves.get(how, start[series]), time)
        if (series, time) in batch or (series, time) in {(s, t) for s, t in expected}:
            continue
        total = None if how == "gap" else value[series]
        batch[series, time] = ({"s": series}, None if how == "unknown" else start[series], time, total)
        newest[series] = max(newest[series], time)
        if ends:
            _play(room, oracles, expected, batch)
            if restarts and not _ends_in_doubt(room, oracles):
                room.restart()
                for oracle in oracles.values():
                    oracle.restart()
    _play(room, oracles, expected, batch)
    for series in range(3):
        wanted = {t: r for (s, t), r in expected.items() if s == series and not np.isnan(r)}
        assert room.read(Statistic.RATE, s=series) == pytest.approx(wanted)


def _play(
    room: Room,
    oracles: dict[int, CounterOracle],
    expected: dict[tuple[int, float], float],
    batch: dict[tuple[int, float], Row],
) -> None:
    """Give a batch to both; `expected` gets NaN for points without a rate."""
    if not batch:
        return
    room.take_metrics(numbers(COUNTER, list(batch.values())), now=50_000.0)
    for (series, time), (_, start, _, total) in sorted(batch.items()):
        rate = None if total is None else oracles[series].rate(start, time, total)
        expected[series, time] = np.nan if rate is None else rate
    batch.clear()


def _ends_in_doubt(room: Room, oracles: dict[int, CounterOracle]) -> bool:
    """Tell whether some newest stored total isn't the point that is followed (a gap, an earlier writer)."""
    for series, oracle in oracles.items():
        totals = room.read(Statistic.TOTAL, s=series)
        if oracle.seen and (oracle.seen.time, oracle.seen.value) != max(totals.items()):
            return True
    return False


def test_after_a_gap_at_the_end_a_restart_costs_one_rate() -> None:
    room = Room()
    room.take_metrics(numbers(COUNTER, [({}, 0, 10, 5), ({}, 0, 20, None)]), now=100)
    room.restart()
    room.take_metrics(numbers(COUNTER, [({}, 0, 30, 25), ({}, 0, 40, 35)]), now=100)
    assert room.read(Statistic.RATE) == {40: 1.0}


def test_a_gap_breaks_nothing() -> None:
    room = Room()
    room.take_metrics(numbers(COUNTER, [({}, 0, 10, 5), ({}, 0, 20, None), ({}, 0, 30, 25)]), now=100)
    assert room.read(Statistic.RATE) == {30: 1.0}
    totals = room.read(Statistic.TOTAL)
    assert (totals[10], totals[30]) == (5, 25)
    assert np.isnan(totals[20])
