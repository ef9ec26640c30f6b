import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.signals.pace import SERIES_PER_PIECE, Pace, piece_names
from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.room import Room, Row, numbers

Step = tuple[float, float]
"""An increase and the seconds it took; 0 seconds: unknown."""


def rates(pace: Pace, *steps: Step, series: int = 0) -> list[float]:
    pace.grow(series + 1)
    increase, seconds = zip(*steps, strict=True)
    elapsed = (np.array(seconds) * NANOS_PER_SECOND).astype(np.int64)
    found: list[float] = pace.rates(np.full(len(steps), series, np.int32), np.array(increase, float), elapsed).tolist()
    return found


def test_even_intervals_give_a_rate_each() -> None:
    assert rates(Pace(), (60, 60), (120, 60), (0, 60)) == [1.0, 2.0, 0.0]


def test_a_short_interval_is_counted_with_the_next() -> None:
    found = rates(Pace(), (60, 60), (40, 2), (60, 60))
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(100 / 62)


def test_half_the_usual_interval_is_long_enough() -> None:
    assert rates(Pace(), (60, 60), (30, 30)) == [1.0, 1.0]


def test_short_intervals_are_held_until_they_are_long_enough_together() -> None:
    found = rates(Pace(), (60, 60), (10, 11), (10, 11), (10, 11))
    assert [math.isnan(rate) for rate in found] == [False, True, True, False]
    assert found[-1] == pytest.approx(30 / 33)


def test_what_is_held_is_given_up_where_an_increase_is_unknown() -> None:
    assert rates(Pace(), (60, 60), (40, 2), (math.nan, 60), (60, 60))[-1] == 1.0
    assert rates(Pace(), (60, 60), (40, 2), (40, 0), (60, 60))[-1] == 1.0


def test_a_sender_that_reports_more_often_from_now_on_gets_its_rates_back() -> None:
    found = rates(Pace(), (60, 60), *[(10, 10)] * 12)
    assert np.isnan(found[1:]).any()
    assert found[-4:] == [1.0] * 4
    assert sum(10 for rate in found[1:] if rate == pytest.approx(1.0)) > 50


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([5.0, math.nan]), st.sampled_from([0.0, 1.0, 10.0, 60.0])),
        max_size=30,
    ),
    st.integers(1, 7),
)
def test_rates_do_not_depend_on_batches(script: list[tuple[int, float, float]], size: int) -> None:
    alone, together = Pace(), Pace()
    expected = [rates(alone, (increase, seconds), series=s)[0] for s, increase, seconds in script]
    together.grow(3)
    found = np.full(len(script), np.nan)
    for begin in range(0, len(script), size):
        part = sorted(range(begin, min(begin + size, len(script))), key=lambda i: script[i][0])
        series, increase, seconds = zip(*(script[i] for i in part), strict=True)
        elapsed = (np.array(seconds) * NANOS_PER_SECOND).astype(np.int64)
        found[part] = together.rates(np.array(series, np.int32), np.array(increase), elapsed)
    np.testing.assert_array_equal(found, expected)


def test_the_flush_of_a_sender_that_ends_and_the_start_of_its_successor_make_no_spike() -> None:
    room = Room()
    kind = Kind.COUNTER_CUMULATIVE
    rows: list[Row] = [({}, 0.0, 60.0 * i, 60.0 * i) for i in range(1, 6)]
    rows += [({}, 0.0, 301.0, 310.0)]  # the flush: ten in a second
    rows += [({}, 302.0, 303.0, 9.0), ({}, 302.0, 363.0, 69.0)]  # nine in the first second, then as usual
    for row in rows:
        room.take_metrics(numbers(kind, [row]), now=400)
    found = room.read(Statistic.RATE)
    assert max(found.values()) < 1.4
    assert set(found) == {120, 180, 240, 300, 363}
    assert room.read(Statistic.TOTAL)[301] == 310.0


def test_a_delta_of_a_short_interval_is_a_gap_and_part_of_the_next() -> None:
    room = Room()
    for time, increase in ((60.0, 60.0), (120.0, 60.0), (180.0, 60.0), (181.0, 10.0), (240.0, 59.0)):
        room.take_metrics(numbers(Kind.COUNTER_DELTA, [({}, None, time, increase)]), now=400)
    found = room.read(Statistic.RATE)
    assert math.isnan(found[181])
    assert found[240] == pytest.approx(69 / 60)


@pytest.mark.parametrize("kind", [Kind.COUNTER_CUMULATIVE, Kind.COUNTER_DELTA])
def test_what_is_held_outlives_a_restart(kind: Kind) -> None:
    room, total = Room(), 0.0
    for time, increase in ((60.0, 60.0), (120.0, 60.0), (121.0, 10.0), (122.0, 7.0), (180.0, 58.0), (240.0, 60.0)):
        total += increase
        value = increase if kind is Kind.COUNTER_DELTA else total
        start = None if kind is Kind.COUNTER_DELTA else 0.0
        room.take_metrics(numbers(kind, [({}, start, time, value)]), now=400)
        if time == 122.0:
            room.restart()
    found = room.read(Statistic.RATE)
    assert [found[180], found[240]] == pytest.approx([75 / 60, 1.0])


def test_only_pieces_that_changed_are_saved() -> None:
    pace = Pace()
    rates(pace, (60, 60), series=3)
    rates(pace, (60, 60), series=SERIES_PER_PIECE)
    assert pace.take_unsaved() == {}
    rates(pace, (9, 1), series=SERIES_PER_PIECE)
    (held,) = pace.take_unsaved().items()
    assert held[0] in piece_names(SERIES_PER_PIECE + 1)
    assert held[0] not in piece_names(SERIES_PER_PIECE)
    assert pace.take_unsaved() == {}
    rates(pace, (60, 60), series=SERIES_PER_PIECE)
    assert pace.take_unsaved() == {held[0]: b""}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([5.0, 1e-9, math.nan]), st.floats(-1.0, 100.0)),
        min_size=1,
        max_size=40,
    )
)
def test_the_past_of_few_series_has_the_rates_that_it_had_one_after_the_other(
    rows: list[tuple[int, float, float]],
) -> None:
    series, increase, seconds = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True))
    elapsed = (seconds * NANOS_PER_SECOND).astype(np.int64)
    found = []
    for long_run in (0, 1000):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("collector_processor.signals.pace._LONG_RUN", long_run)
            pace = Pace()
            pace.grow(3)
            twice = [pace.rates(series.astype(np.int32), increase, elapsed).tobytes() for _ in range(2)]
            found.append((twice, pace.take_unsaved()))
    assert found[0] == found[1]
