import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.signals.exponential import SparseBuckets, exponential_quantiles
from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.room import Room, exponential

CUMULATIVE, DELTA = Kind.EXPONENTIAL_CUMULATIVE, Kind.EXPONENTIAL_DELTA


def buckets(
    scale: int, positive: dict[int, float], negative: dict[int, float], zeros: tuple[float, float]
) -> SparseBuckets:
    return SparseBuckets(
        scale=np.array([scale]),
        zero_count=np.array([zeros[0]], float),
        zero_threshold=np.array([zeros[1]], float),
        row=np.zeros(len(positive) + len(negative), np.int64),
        index=np.array([*positive, *negative], np.int64),
        count=np.array([*positive.values(), *negative.values()], float),
        is_negative=np.repeat([False, True], [len(positive), len(negative)]),
    )


def prometheus_quantile(
    q: float, scale: int, positive: dict[int, float], negative: dict[int, float], zeros: tuple[float, float]
) -> float:
    """Prometheus' histogramQuantile of a native histogram, bucket by bucket."""
    edges = [(-(2.0 ** ((i + 1) / 2**scale)), -(2.0 ** (i / 2**scale)), c) for i, c in sorted(negative.items())[::-1]]
    edges += [(-zeros[1], zeros[1], zeros[0])]
    edges += [(2.0 ** (i / 2**scale), 2.0 ** ((i + 1) / 2**scale), c) for i, c in sorted(positive.items())]
    rank = q * sum(c for _, _, c in edges)
    seen = 0.0
    for low, high, count in edges:
        if count and seen + count >= rank:
            share = (rank - seen) / count
            if low <= 0 <= high:
                begin, end = (low if negative else 0.0), (high if positive or not negative else 0.0)
                return begin + (end - begin) * share
            if low > 0:
                return float(2 ** (math.log2(low) + share * math.log2(high / low)))
            return float(-(2 ** (math.log2(-low) + share * math.log2(high / low))))
        seen += count
    return math.nan


counts = st.dictionaries(st.integers(-40, 40), st.sampled_from([1.0, 2.0, 50.0]), max_size=6)
histograms = st.tuples(st.integers(-2, 5), counts, counts, st.tuples(st.sampled_from([0.0, 3.0]), st.just(1e-60)))


@settings(deadline=None, max_examples=200)
@given(st.lists(histograms, min_size=1, max_size=4))
def test_quantiles_are_those_of_prometheus_native_histograms(
    drawn: list[tuple[int, dict[int, float], dict[int, float], tuple[float, float]]],
) -> None:
    quantiles = [0.5, 0.95, 0.99]
    found = exponential_quantiles(SparseBuckets.concat([buckets(*h) for h in drawn]), quantiles)
    expected = [[prometheus_quantile(q, *h) for q in quantiles] for h in drawn]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-65)


def test_the_quantile_of_the_largest_doubles_is_finite() -> None:
    assert exponential_quantiles(buckets(-10, {0: 1.0}, {}, (0.0, 0.0)), [0.99, 1.0]).max() <= np.finfo(float).max


def test_a_histogram_without_observations_has_no_quantile() -> None:
    assert np.isnan(exponential_quantiles(buckets(0, {}, {}, (0.0, 1.0)))).all()


def derived(room: Room) -> list[dict[float, float]]:
    return [room.read(s) for s in (Statistic.RATE, Statistic.MEAN, Statistic.P50, Statistic.P95, Statistic.P99)]


def test_a_delta_point_gives_rate_mean_and_quantiles() -> None:
    room = Room()
    room.take_metrics(exponential(DELTA, 0, 10, {0: 20.0}, 30.0), now=100)
    rate, mean, p50, *_ = derived(room)
    assert (rate, mean) == ({10: 2.0}, {10: 1.5})
    assert p50[10] == pytest.approx(math.sqrt(2))
    assert len(room.keys) == 5


def test_a_cumulative_point_is_measured_from_the_one_before() -> None:
    room = Room()
    room.take_metrics(exponential(CUMULATIVE, 0, 10, {0: 20.0, 9: 50.0}, 30.0), now=100)
    assert derived(room) == [{}] * 5
    room.take_metrics(exponential(CUMULATIVE, 0, 20, {0: 20.0, 1: 10.0, 9: 50.0}, 60.0), now=100)
    rate, mean, p50, *_ = derived(room)
    assert (rate, mean) == ({20: 1.0}, {20: 3.0})
    assert p50[20] == pytest.approx(2 * math.sqrt(2))
    assert room.read(Statistic.COUNT) == {10: 70.0, 20: 80.0}


def test_a_new_start_counts_everything_since() -> None:
    room = Room()
    room.take_metrics(exponential(CUMULATIVE, 0, 10, {5: 20.0}), now=100)
    room.take_metrics(exponential(CUMULATIVE, 10.5, 20.5, {1: 10.0}), now=100)
    assert derived(room)[0] == {20.5: 1.0}
    assert derived(room)[2][20.5] == pytest.approx(2 * math.sqrt(2))


def test_a_bucket_that_shrinks_gives_no_quantile() -> None:
    room = Room()
    room.take_metrics(exponential(CUMULATIVE, 0, 10, {0: 5.0, 1: 5.0}), now=100)
    room.take_metrics(exponential(CUMULATIVE, 0, 20, {0: 15.0, 1: 4.0}), now=100)
    assert derived(room)[0] == {20: 0.9}
    assert derived(room)[2:] == [{}] * 3


def test_a_restart_costs_one_interval_of_quantiles_and_no_rate() -> None:
    room = Room()
    for i in range(1, 4):
        room.take_metrics(exponential(CUMULATIVE, 0, 10 * i, {0: 5.0 * i}), now=100)
        room.restart()
    assert derived(room)[0] == {20: 0.5, 30: 0.5}
    assert derived(room)[2] == {}


def test_a_wider_zero_bucket_takes_in_what_lies_below_it() -> None:
    room = Room()
    room.take_metrics(exponential(CUMULATIVE, 0, 10, {-9: 4.0, 3: 1.0}), now=100)
    room.take_metrics(exponential(CUMULATIVE, 0, 20, {3: 11.0}, zeros=(4.0, 2.0**-8)), now=100)
    assert derived(room)[2][20] == pytest.approx(2**3.5)


measurements = st.lists(st.floats(0.001, 1000.0), max_size=20)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(measurements, st.integers(0, 3), st.booleans()), min_size=1, max_size=8))
def test_each_interval_has_the_quantiles_of_its_own_measurements_whatever_the_scales(
    script: list[tuple[list[float], int, bool]],
) -> None:
    """Cumulative points of falling scale in batches; the oracle buckets each interval's measurements itself."""
    room = Room()
    seen: list[float] = []
    scale, waiting, expected = 4, [exponential(CUMULATIVE, 0, 1, {}, scale=4)], {}
    for i, (more, coarser, ends) in enumerate(script, 1):
        seen += more
        scale = max(scale - coarser, -3)
        waiting.append(exponential(CUMULATIVE, 0, 1 + 10 * i, indexed(seen, scale), scale=scale))
        if more:
            expected[1 + 10.0 * i] = prometheus_quantile(0.5, scale, indexed(more, scale), {}, (0.0, 0.0))
        if ends:
            room.take_metrics(*reversed(waiting), now=10_000)
            waiting = []
    room.take_metrics(*waiting, now=10_000)
    assert room.read(Statistic.P50) == pytest.approx(expected)


def indexed(values: list[float], scale: int) -> dict[int, float]:
    return dict(Counter(math.ceil(math.log2(v) * 2**scale) - 1 for v in values))
