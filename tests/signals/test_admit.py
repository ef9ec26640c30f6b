import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.signals.admit import TimeLimits, admit, check_order, check_starts, check_times
from collector_processor.signals.outcome import Outcome
from collector_processor.telemetry.points import Bool, Float64, PointBatch

NOW = 1_800_000_000_000_000_000
LIMITS = TimeLimits()

Points = list[tuple[int, int, float]]


def batch(points: Points) -> PointBatch:
    series, time, value = zip(*points, strict=True) if points else ((), (), ())
    return PointBatch(np.array(series, np.int32), np.array(time, np.int64), np.array(value, np.float64))


class Store:
    def __init__(self, points: Points) -> None:
        self.values = {(s, t): v for s, t, v in points}
        self.asked = 0

    def existing(self, points: PointBatch) -> tuple[Bool, Float64]:
        self.asked += len(points)
        pairs = list(zip(points.series.tolist(), points.time_unix_nano.tolist(), strict=True))
        return np.array([p in self.values for p in pairs]), np.array([self.values.get(p, np.nan) for p in pairs])

    def newest(self, series: int) -> int:
        return max((t for s, t in self.values if s == series), default=0)


@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        (0, Outcome.TIME_MISSING),
        (-1, Outcome.TIME_OUT_OF_RANGE),
        (-(2**63), Outcome.TIME_OUT_OF_RANGE),
        (1, Outcome.TOO_OLD),
        (NOW - 15 * DAY - 1, Outcome.TOO_OLD),
        (NOW - 15 * DAY, Outcome.STORED),
        (NOW + 10 * MINUTE, Outcome.STORED),
        (NOW + 10 * MINUTE + 1, Outcome.TIME_IN_FUTURE),
        (2**63 - 1, Outcome.TIME_IN_FUTURE),
    ],
)
def test_a_time_is_judged_against_now(time: int, outcome: Outcome) -> None:
    assert check_times(np.array([time]), NOW, LIMITS) == [outcome]


@pytest.mark.parametrize(
    ("start", "outcome"),
    [
        (0, Outcome.STORED),
        (NOW, Outcome.STORED),
        (NOW + 1, Outcome.START_AFTER_TIME),
        (-1, Outcome.TIME_OUT_OF_RANGE),
    ],
)
def test_a_start_is_judged_against_its_time(start: int, outcome: Outcome) -> None:
    assert check_starts(np.array([start]), np.array([NOW])) == [outcome]


@pytest.mark.parametrize(
    ("newest", "outcome"), [(0, Outcome.STORED), (NOW + HOUR, Outcome.STORED), (NOW + HOUR + 1, Outcome.OUT_OF_ORDER)]
)
def test_a_point_may_be_an_hour_behind_its_series(newest: int, outcome: Outcome) -> None:
    assert check_order(np.array([NOW]), np.array([newest]), LIMITS) == [outcome]


def test_the_store_is_asked_about_late_points_only() -> None:
    store = Store([(0, 100, 1.0)])
    points = batch([(0, 90, 1.0), (0, 100, 1.0), (0, 110, 1.0), (1, 5, 1.0)])
    admit(points, np.array([100, 100, 100, 0]), store.existing)
    assert store.asked == 2


def test_a_value_that_could_not_be_computed_leaves_a_stored_point_alone() -> None:
    store = Store([(0, 100, 1.0)])
    points = batch([(0, 100, np.nan), (0, 50, np.nan)])
    admission = admit(points, np.array([100, 100]), store.existing, np.array([True, True]))
    assert admission.outcome.tolist() == [Outcome.DUPLICATE, Outcome.STORED]
    assert admission.written.tolist() == [1]


values = st.sampled_from([1.0, 2.0, -0.0, float("nan"), float("inf")])
some_points = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), values), max_size=20)


@settings(deadline=None, max_examples=60)
@given(some_points, some_points)
def test_a_batch_gives_what_its_points_one_by_one_would(before: Points, points: Points) -> None:
    store = Store(before)
    newest = np.array([store.newest(s) for s, _, _ in points], np.int64)
    admission = admit(batch(points), newest, store.existing)
    there, outcomes = dict(store.values), []
    for series, time, value in points:
        old = there.get((series, time))
        there[series, time] = value
        if old is None:
            outcomes.append(Outcome.STORED)
        else:
            outcomes.append(Outcome.DUPLICATE if repr(old + 0.0) == repr(value + 0.0) else Outcome.CONFLICT)
    assert admission.outcome.tolist() == outcomes

    written = [points[i] for i in admission.written.tolist()]
    assert written == sorted(written, key=lambda p: p[:2])
    assert len({p[:2] for p in written}) == len(written)
    after = store.values | {(s, t): v for s, t, v in written}
    assert after.keys() == there.keys()
    np.testing.assert_equal({pair: v + 0.0 for pair, v in after.items()}, {pair: v + 0.0 for pair, v in there.items()})
