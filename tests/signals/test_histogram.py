import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.signals.histogram import BucketBlock, bucket_quantiles, is_consistent
from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.room import Room, at, histogram

CUMULATIVE, DELTA = Kind.HISTOGRAM_CUMULATIVE, Kind.HISTOGRAM_DELTA


def prometheus_quantile(q: float, bounds: list[float], counts: list[float]) -> float:
    """Prometheus' bucketQuantile (promql/quantile.go), bucket by bucket."""
    total = sum(counts)
    if not bounds or total == 0:
        return math.nan
    rank, seen = q * total, 0.0
    for bucket, count in enumerate(counts):
        if seen + count >= rank or bucket == len(bounds):
            break
        seen += count
    if bucket == len(bounds):
        return bounds[-1]
    if bucket == 0 and bounds[0] <= 0:
        return bounds[0]
    lower = bounds[bucket - 1] if bucket else 0.0
    return lower + (bounds[bucket] - lower) * ((rank - seen) / counts[bucket])


bound_lists = st.lists(st.integers(-50, 50), max_size=6, unique=True).map(sorted)


@settings(deadline=None, max_examples=60)
@given(bound_lists, st.data())
def test_quantiles_are_those_of_prometheus(bounds: list[int], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.lists(st.sampled_from([0, 0, 1, 2, 7, 100]), min_size=len(bounds) + 1, max_size=len(bounds) + 1),
            min_size=1,
            max_size=4,
        )
    )
    quantiles = [0.5, 0.95, 0.99]
    found = bucket_quantiles(np.array(bounds, float), np.array(rows, float), quantiles)
    expected = [[prometheus_quantile(q, [*map(float, bounds)], [*map(float, r)]) for q in quantiles] for r in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("bounds", "counts", "count", "is_good"),
    [
        ([1, 2], [1, 2, 3], 6, True),
        ([], [6], 6, True),
        ([1, 2], [0, 0, 0], 0, True),
        ([1, 2], [1, 2, 3], 7, False),
        ([1, 2], [1, 2], 3, False),
        ([2, 1], [1, 2, 3], 6, False),
        ([1, 1], [1, 2, 3], 6, False),
        ([1, math.nan], [1, 2, 3], 6, False),
        ([1, math.inf], [1, 2, 3], 6, False),
        ([1, 2], [-1, 4, 3], 6, False),
        ([1, 2], [math.nan, 4, 3], 6, False),
    ],
)
def test_a_histogram_must_agree_with_itself(
    bounds: list[float], counts: list[float], count: float, *, is_good: bool
) -> None:
    block = BucketBlock(np.array(bounds, float), np.array([0]), np.array([counts], float))
    assert is_consistent(block, np.array([count])) == [is_good]
    room = Room()
    settlement = room.take_metrics(histogram(DELTA, 0, 10, counts, 1.0, bounds, count=count), now=20).settlements[0]
    assert settlement.rejected == ({} if is_good else {"bad_histogram": 1})


def derived(room: Room) -> list[dict[float, float]]:
    return [room.read(s, "m") for s in (Statistic.RATE, Statistic.MEAN, Statistic.P50, Statistic.P95, Statistic.P99)]


def test_a_cumulative_histogram_is_measured_from_point_to_point() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [5, 0, 0, 0], 2.5), now=100)
    assert room.read(Statistic.COUNT) == {10: 5}
    assert room.read(Statistic.SUM) == {10: 2.5}
    assert derived(room) == [{}, {}, {}, {}, {}]
    room.take_metrics(histogram(CUMULATIVE, 0, 20, [5, 20, 0, 0], 32.5), now=100)
    assert derived(room) == [{20: 2.0}, {20: 1.5}, {20: 1.5}, {20: pytest.approx(1.95)}, {20: pytest.approx(1.99)}]


def test_an_interval_without_observations_has_a_rate_and_nothing_else() -> None:
    room = Room()
    for time in (10, 20):
        room.take_metrics(histogram(CUMULATIVE, 0, time, [5, 0, 0, 0], 2.5), now=100)
    room.take_metrics(histogram(DELTA, 20, 30, [0, 0, 0, 0], 0.0), now=100)
    assert [key.kind for key in room.keys if key.statistic is Statistic.RATE] == [CUMULATIVE, DELTA]
    assert sorted(t for (s, t) in room.stored if not room.keys[s].statistic.is_modelled) == sorted(2 * [at(10), at(20)])
    assert [v for (s, _), v in room.stored.items() if room.keys[s].statistic.is_modelled] == [0.0, 0.0]


def test_a_restarted_histogram_counts_from_its_start() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [50, 0, 0, 0], 25), now=100)
    room.take_metrics(histogram(CUMULATIVE, 15, 20, [0, 10, 0, 0], 15), now=100)
    assert derived(room) == [{20: 2.0}, {20: 1.5}, {20: 1.5}, {20: pytest.approx(1.95)}, {20: pytest.approx(1.99)}]


def test_other_bounds_cost_quantiles_once_and_nothing_else() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [5, 0, 0, 0], 2.5), now=100)
    room.take_metrics(histogram(CUMULATIVE, 0, 20, [15, 0], 7.5, [8.0]), now=100)
    room.take_metrics(histogram(CUMULATIVE, 0, 30, [25, 0], 12.5, [8.0]), now=100)
    assert derived(room) == [
        {20: 1.0, 30: 1.0},
        {20: 0.5, 30: 0.5},
        {30: 4.0},
        {30: pytest.approx(7.6)},
        {30: pytest.approx(7.92)},
    ]


@pytest.mark.parametrize("is_one_batch", [False, True])
def test_other_bounds_of_the_same_number_are_other_bounds(*, is_one_batch: bool) -> None:
    room = Room()
    points = [
        histogram(CUMULATIVE, 0, 20, [1, 0, 0], 1.0, [4.0, 8.0], metric="another of these bounds"),
        histogram(CUMULATIVE, 0, 10, [5, 0, 0], 2.5, [1.0, 2.0]),
        histogram(CUMULATIVE, 0, 20, [15, 0, 0], 7.5, [4.0, 8.0]),
        histogram(CUMULATIVE, 0, 30, [25, 0, 0], 9.5, [4.0, 8.0]),
    ]
    for part in [points] if is_one_batch else [[p] for p in points]:
        room.take_metrics(*part, now=100)
    assert derived(room)[:3] == [{20: 1.0, 30: 1.0}, {20: 0.5, 30: pytest.approx(0.2)}, {30: 2.0}]


def test_bounds_that_keep_changing_leave_nothing_behind() -> None:
    room = Room()
    for i in range(1, 50):
        room.take_metrics(histogram(CUMULATIVE, 0, i, [float(i), 0], 1.0, [float(i)]), now=100)
    assert len(room.metrics._buckets._layouts) == 1


def test_a_histogram_of_very_many_buckets_takes_the_memory_of_its_own_counts() -> None:
    room, buckets = Room(), 100_000
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [0.0] * buckets, 0.0, range(1, buckets)), now=100)
    (layout,) = room.metrics._buckets._layouts.values()
    assert layout._counts.shape == (1, buckets)


def test_buckets_that_shrink_give_no_quantiles() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [5, 0, 0, 0], 2.5), now=100)
    room.take_metrics(histogram(CUMULATIVE, 0, 20, [4, 11, 0, 0], 12.5), now=100)
    assert derived(room) == [{20: 1.0}, {20: 1.0}, {}, {}, {}]


def test_without_a_sum_there_is_no_mean() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [5, 0, 0, 0]), now=100)
    room.take_metrics(histogram(CUMULATIVE, 0, 20, [15, 0, 0, 0]), now=100)
    assert room.read(Statistic.SUM) == {}
    assert derived(room) == [{20: 1.0}, {}, {20: 0.5}, {20: pytest.approx(0.95)}, {20: pytest.approx(0.99)}]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_sum_that_was_missing_once_gives_no_mean_of_more_than_one_interval(*, restarts: bool) -> None:
    room = Room()
    for time, total in ((10, 1.0), (20, np.nan), (30, 7.0), (40, 9.0)):
        room.take_metrics(histogram(CUMULATIVE, 0, time, [time / 10, 0, 0, 0], total), now=100)
        if restarts:
            room.restart()
    assert room.read(Statistic.MEAN) == {40: 2.0}


def test_a_delta_histogram_needs_no_predecessor() -> None:
    room = Room()
    room.take_metrics(histogram(DELTA, 0, 10, [0, 20, 0, 0], 30.0), now=100)
    assert derived(room) == [{10: 2.0}, {10: 1.5}, {10: 1.5}, {10: pytest.approx(1.95)}, {10: pytest.approx(1.99)}]


def test_a_gap_in_a_histogram_is_kept_as_a_gap() -> None:
    room = Room()
    room.take_metrics(histogram(CUMULATIVE, 0, 10, [5, 0, 0, 0], 2.5), now=100)
    settlement = room.take_metrics(histogram(CUMULATIVE, 0, 20, [0, 0, 0, 0], is_gap=True), now=100).settlements[0]
    assert settlement.stored == 1
    assert np.isnan(room.read(Statistic.COUNT)[20])
    room.take_metrics(histogram(CUMULATIVE, 0, 30, [25, 0, 0, 0], 12.5), now=100)
    assert derived(room)[:2] == [{30: 1.0}, {30: 0.5}]


def test_a_restart_costs_one_interval_of_quantiles_and_no_rate_or_mean() -> None:
    room, undisturbed = Room(), Room()
    for i in range(1, 6):
        for r in (room, undisturbed):
            r.take_metrics(histogram(CUMULATIVE, 0, 10 * i, [5 * i, 3 * i, i, 0], 7.0 * i), now=100)
        if i == 3:
            room.restart()
    missing = undisturbed.named_points().keys() - room.named_points().keys()
    assert room.named_points().items() <= undisturbed.named_points().items()
    assert len(missing) == 3
    assert {time for _, time in missing} == {at(40)}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(0, 9), min_size=3, max_size=3), st.booleans()), max_size=25
    )
)
def test_intervals_are_those_of_each_series_however_batched(script: list[tuple[int, list[int], bool]]) -> None:
    """Each script step adds observations to one of three series; compare with the increments themselves."""
    room = Room()
    counts = {s: [1.0, 0.0, 0.0] for s in range(3)}
    for s, first in counts.items():
        room.take_metrics(histogram(CUMULATIVE, 0, 1, first, bounds=[1.0, 2.0], metric=f"m{s}"), now=10_000)
    expected, waiting = [], []
    seen = dict.fromkeys(counts, 0)
    for s, more, ends in script:
        seen[s] += 1
        time = 10 * seen[s]
        counts[s] = [c + m for c, m in zip(counts[s], more, strict=True)]
        waiting.append(histogram(CUMULATIVE, 0, time, counts[s], bounds=[1.0, 2.0], metric=f"m{s}"))
        if sum(more):
            expected.append((f"m{s}", time, prometheus_quantile(0.5, [1.0, 2.0], [*map(float, more)])))
        if ends:
            room.take_metrics(*reversed(waiting), now=10_000)
            waiting = []
    room.take_metrics(*waiting, now=10_000)
    found = {(m, t): v for m in ("m0", "m1", "m2") for t, v in room.read(Statistic.P50, m).items()}
    assert found == pytest.approx({(m, t): v for m, t, v in expected})
