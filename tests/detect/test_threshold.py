from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.largest import usual
from collector_processor.detect.past_maxima import seeded
from collector_processor.detect.threshold import BlockMaxima
from collector_processor.detect.waves import waves
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int32, Int64
from tests.detect import oracle

MIDNIGHT = 19_000 * DAY
NAN = float("nan")
F = len(FORECASTS)


def ids(*series: int) -> Int32:
    return np.array(series, np.int32)


def two(first: Float64, second: Float64) -> Float64:
    """Return distances of the first two forecasts; the others are absent."""
    return np.stack([first, second, *[np.full(first.size, NAN)] * (F - 2)], axis=1)


def irregular(seed: int, n: int, *, gap: int = 40 * MINUTE) -> tuple[Int64, Float64]:
    """Return times with gaps from minutes to days, and heavy-tailed distances of all forecasts, some absent."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(gap, n).astype(np.int64) + 1
    gaps[rng.random(n) < 0.01] += rng.integers(1, 5) * DAY
    distance = rng.lognormal(0.0, 1.5, (n, F))
    distance[rng.random((n, F)) < 0.1] = np.nan
    distance[: n // 3, 1] = np.nan  # the second forecast came later
    return MIDNIGHT + int(rng.integers(0, DAY)) + np.cumsum(gaps), distance


def learned(time: Int64, distance: Float64) -> BlockMaxima:
    maxima = BlockMaxima()
    maxima.grow(1)
    for i in range(time.size):
        maxima.learn(ids(0), time[i : i + 1], distance[i : i + 1])
    return maxima


@pytest.mark.parametrize("seed", range(6))
def test_learning_point_by_point_is_what_the_oracle_says_and_what_a_seed_gives(seed: int) -> None:
    time, distance = irregular(seed, 600, gap=(5 + 50 * seed) * MINUTE)
    maxima = learned(time, distance)
    seed_record = seeded(time, distance)
    assert maxima.export(0, 1).tobytes() == seed_record.tobytes()
    rows = [(t, d) for t, d in zip(time.tolist(), distance.tolist(), strict=True) if not np.isnan(d).all()]
    for forecast in range(F):
        history = [(t, d[forecast]) for t, d in rows if not np.isnan(d[forecast])]
        assert maxima.reach(ids(0))[0, forecast] == pytest.approx(oracle.reach(history, rows[-1][0]), rel=1e-6)


def test_the_oracle_agrees_after_every_single_point() -> None:
    time, distance = irregular(11, 300, gap=3 * HOUR)
    distance[:] = np.where(np.isnan(distance[:, :1]), 1.0, distance[:, :1])
    maxima, history = BlockMaxima(), list[tuple[int, float]]()
    maxima.grow(1)
    for i in range(time.size):
        maxima.learn(ids(0), time[i : i + 1], distance[i : i + 1])
        history.append((int(time[i]), float(distance[i, 0])))
        assert maxima.reach(ids(0))[0, 0] == pytest.approx(oracle.reach(history, int(time[i])), rel=1e-6)
        standing = maxima.standing(ids(0))
        assert standing.complete_days[0] == oracle.observed(history) // DAY


def test_many_series_at_once_are_each_what_they_are_alone() -> None:
    alone = [irregular(20 + k, 120) for k in range(8)]
    together = BlockMaxima()
    together.grow(8)
    for i in range(120):
        together.learn(
            np.arange(8, dtype=np.int32),
            np.array([time[i] for time, _ in alone]),
            np.stack([distance[i] for _, distance in alone]),
        )
    for k, (time, distance) in enumerate(alone):
        assert together.export(k, k + 1).tobytes() == learned(time, distance).export(0, 1).tobytes()


def test_a_repeat_within_three_days_is_within_reach_and_forgotten_after_them() -> None:
    maxima = learned(np.array([MIDNIGHT]), two(np.array([7.0]), np.array([NAN])))
    for hours, expected in [(1, 7.0), (72, 7.0), (73, 1.0)]:
        maxima.learn(ids(0), np.array([MIDNIGHT + hours * HOUR]), two(np.array([1.0]), np.array([NAN])))
        assert maxima.reach(ids(0))[0, 0] == expected


def test_one_wild_day_in_nineteen_weighs_as_one_day() -> None:
    time = MIDNIGHT + np.arange(0, 20 * DAY, HOUR)
    distance = np.ones((time.size, F))
    distance[time == MIDNIGHT + 2 * DAY] = 50.0
    maxima = learned(time, distance)
    assert (maxima.reach(ids(0)) > 1.0).all()
    assert (maxima.reach(ids(0)) < 15.0).all()


def test_days_without_data_are_skipped_and_do_not_count_as_calm() -> None:
    days = np.array([0, 1, 2, 3, 30])
    time = MIDNIGHT + days * DAY
    maxima = learned(time, np.full((5, F), 4.0))
    maxima.learn(ids(0), np.array([MIDNIGHT + 60 * DAY]), np.full((1, F), 0.5))
    assert maxima.reach(ids(0)).tolist() == [[4.0] * F]


def test_a_block_begun_in_its_middle_is_not_complete() -> None:
    time = MIDNIGHT + 20 * HOUR + np.arange(0, 8 * DAY, HOUR)
    distance = np.full((time.size, F), 2.0)
    distance[:4] = 0.1
    assert learned(time, distance).export(0, 1)["current"]["blocks"].tolist() == [[7] * F]
    assert learned(time[4:], distance[4:]).export(0, 1)["current"]["blocks"].tolist() == [[7] * F]


def test_late_and_repeated_points_change_nothing() -> None:
    time, distance = irregular(5, 50)
    maxima = learned(time, distance)
    before = maxima.export(0, 1).tobytes()
    maxima.learn(ids(0), time[-1:], np.full((1, F), 1e9))
    maxima.learn(ids(0), time[:1], np.full((1, F), 1e9))
    assert maxima.export(0, 1).tobytes() == before


def test_the_tolerance_adds_three_tenths_of_the_standard_deviation() -> None:
    maxima = BlockMaxima()
    maxima.grow(1)
    time = MIDNIGHT + np.arange(0, 2 * DAY, HOUR)
    assert maxima.adopt(ids(0), seeded(time, np.full((time.size, F), 3.0)), np.array([5.0])).all()
    standing = maxima.standing(ids(0))
    assert standing.tolerance.tolist() == [[4.5 * 2.5] * F]
    assert standing.complete_days.tolist() == [1]


def test_a_forecast_known_for_an_hour_is_not_judged_by_beside_one_known_for_days() -> None:
    time = MIDNIGHT + np.arange(0, 3 * DAY, HOUR)
    distance = two(np.where(time < time[-2], NAN, 0.001), np.ones(time.size))
    standing = learned(time, distance).standing(ids(0))
    assert np.isnan(standing.tolerance[0, 0])
    assert standing.tolerance[0, 1] == pytest.approx(1.0 + 1.5 / 2**1.5)
    assert standing.complete_days[0] == 2


def test_a_series_that_came_back_after_a_month_has_not_been_observed_for_a_month() -> None:
    time = np.array([0, HOUR, 30 * DAY, 30 * DAY + HOUR]) + MIDNIGHT
    assert learned(time, np.ones((4, F))).standing(ids(0)).complete_days[0] == 0


def test_nothing_is_known_about_a_new_series() -> None:
    maxima = BlockMaxima()
    maxima.grow(3)
    standing = maxima.standing(ids(1))
    assert np.isnan(standing.tolerance).all()
    assert standing.complete_days[0] == 0


def test_a_longer_seed_replaces_the_history_but_not_what_was_seen_since() -> None:
    maxima = BlockMaxima()
    maxima.grow(1)
    now = MIDNIGHT + 10 * DAY + 5 * HOUR
    maxima.learn(ids(0), np.array([now]), two(np.array([9.0]), np.array([NAN])))
    time = MIDNIGHT + np.arange(0, 10 * DAY, HOUR)
    adopted = maxima.adopt(ids(0), seeded(time, np.full((time.size, F), 2.0)), np.array([0.0]))
    assert adopted.all()
    assert maxima.reach(ids(0)).tolist() == [[9.0, *[2.0] * (F - 1)]]
    assert maxima.newest(ids(0))[0] == now
    assert maxima.standing(ids(0)).complete_days[0] == 9


def test_time_observed_live_after_a_seeds_end_is_added_to_the_seeds() -> None:
    live = MIDNIGHT + 10 * DAY + np.arange(0, 6 * HOUR, HOUR)
    maxima = learned(live, np.ones((6, F)))
    time = MIDNIGHT + np.arange(0, 10 * DAY, HOUR)
    assert maxima.adopt(ids(0), seeded(time, np.ones((time.size, F))), np.array([0.0])).all()
    assert maxima.export(0, 1)["current"]["observed"].tolist() == [[10 * DAY + 4 * HOUR] * F]


def test_a_seed_of_about_the_same_length_is_not_taken_and_its_std_is() -> None:
    time = MIDNIGHT + np.arange(0, 10 * DAY, HOUR)
    maxima = learned(time, np.full((time.size, F), 2.0))
    adopted = maxima.adopt(ids(0), seeded(time[:-1], np.full((time.size - 1, F), 8.0)), np.array([10.0]))
    assert not adopted.any()
    assert maxima.standing(ids(0)).tolerance[0] == pytest.approx(5.0 * (1.0 + 1.5 / 9**1.5))


def test_adopting_a_seed_is_as_if_it_had_been_learned_live() -> None:
    time, distance = irregular(31, 400)
    maxima = BlockMaxima()
    maxima.grow(1)
    maxima.adopt(ids(0), seeded(time[:300], distance[:300]), np.array([0.0]))
    for i in range(300, 400):
        maxima.learn(ids(0), time[i : i + 1], distance[i : i + 1])
    assert maxima.export(0, 1).tobytes() == learned(time, distance).export(0, 1).tobytes()


def test_distances_beyond_single_precision_neither_warn_nor_become_infinite() -> None:
    maxima = learned(np.array([MIDNIGHT]), two(np.array([1e300]), np.array([np.inf])))
    assert np.isfinite(maxima.reach(ids(0))).all()


@pytest.mark.parametrize("count", [1, 2, 3, 10, 41, 42, 43, 100])
def test_the_level_is_that_of_the_last_forty_two(count: int) -> None:
    values = np.random.default_rng(count).lognormal(size=count).astype(np.float32)
    ring = np.zeros((1, 42), np.float32)
    for i, value in enumerate(values):
        ring[0, i % 42] = value
    expected = oracle.once_in_eleven_days(values[-42:].tolist()) if count >= 3 else 0.0
    assert usual(ring, np.array([count], np.int32))[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", ["normal", "exponential"])
def test_the_level_is_passed_on_about_one_day_in_eleven(shape: str) -> None:
    rng = np.random.default_rng(5)
    draws = np.abs(rng.normal(size=(400, 43, 288)) if shape == "normal" else rng.exponential(size=(400, 43, 288)))
    largest = draws.max(axis=2).astype(np.float32)
    passed = largest[:, 42] > usual(largest[:, :42], np.full(400, 42, np.int32))
    assert passed.mean() == pytest.approx(1 / 11, abs=0.04)


def test_days_of_the_largest_number_there_is_stay_finite() -> None:
    ring = np.zeros((1, 42), np.float32)
    ring[0, :3] = np.finfo(np.float32).max, 0.0, np.finfo(np.float32).max
    assert np.isfinite(usual(ring, np.array([3], np.int32))).all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_waves_hold_each_series_once_and_keep_its_time_order(rows: list[tuple[int, int]]) -> None:
    series = np.array([s for s, _ in rows], np.int32)
    time = np.array([t for _, t in rows], np.int64)
    split = waves(series, time)
    assert sorted(int(i) for wave in split for i in wave) == list(range(len(rows)))
    assert all(max(Counter(series[wave].tolist()).values()) == 1 for wave in split)
    assert len(split) == max(Counter(series.tolist()).values(), default=0)
    for s in set(series.tolist()):
        times = [int(time[i]) for wave in split for i in wave if series[i] == s]
        assert times == sorted(times)
