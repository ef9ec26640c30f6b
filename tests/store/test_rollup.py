"""Means kept beside the points: always those of the points, whatever was written when."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.errors import StoreError
from collector_processor.store import chunks, compact, rollup
from collector_processor.store.base import Commit, SeriesReader
from collector_processor.store.codec import encode_block
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer
from collector_processor.telemetry.points import Float64, Int64
from tests.store.batches import FOREVER, START, ids, maintain_all, points
from tests.store.conftest import SETTINGS, SqliteStores, take_smallest_steps

STEP = 5 * MINUTE
SERIES = 4
EVERY = 150 * NANOS_PER_SECOND
ALL = ids(*range(SERIES))


def value_of(series: int, time: int) -> float:
    """One constant, one around 1e12, one of whole numbers, one with gaps and a NaN now and then."""
    noise = float(np.random.default_rng(time // NANOS_PER_SECOND * SERIES + series).normal())
    return (0.1, 1e12 + noise, float(round(noise * 5)), float("nan") if noise > 1.5 else noise * 1e-9)[series]


def commit_of(*times: int) -> Commit:
    return Commit(points=points([(one, time, value_of(one, time)) for time in times for one in range(SERIES)]))


def require_means(store: SeriesReader, start: int = 0, end: int = FOREVER, step: int = STEP) -> None:
    """Compare with means taken one step after the other."""
    held = store.read_points(ALL, start, end)
    found = store.read_means(ALL, start, end, step)
    for series in range(SERIES):
        mine = (held.series == series) & np.isfinite(held.value)
        time, value = held.time_unix_nano[mine], held.value[mine]
        assert found.is_present[series] == bool(time.size)
        (at,) = np.nonzero(np.isfinite(found.mean[series]))
        assert (at + found.first_step).tolist() == sorted(set((time // step).tolist()))
        if time.size:
            assert (found.first_time[series], found.last_time[series]) == (time[0], time[-1])
            rounding = 1e-15 * np.abs(value).max()
            assert found.std[series] == pytest.approx(np.std(value - value[0]), rel=1e-9, abs=rounding)
            close = widest_part(time, value) * 2.0**-17 + rounding
            expected = slow_means(time, value, step)
            np.testing.assert_allclose(found.mean[series, at], expected, rtol=0.0, atol=close)


def slow_means(time: Int64, value: Float64, step: int) -> list[float]:
    by_step: dict[int, list[float]] = {}
    for number, one in zip((time // step).tolist(), value.tolist(), strict=True):
        by_step.setdefault(number, []).append(one - float(value[0]))
    return [float(value[0]) + sum(of_step) / len(of_step) for of_step in by_step.values()]


def widest_part(time: Int64, value: Float64) -> float:
    parts = [time // length == part for length in (DAY, 2 * HOUR) for part in set((time // length).tolist())]
    return max(float(np.std(value[part] - value[0])) for part in parts)


class Fleet:
    """A store that gets two points of every series each step, and what a test does to it besides."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = START
        self.step = STEP
        self.store = open_writer(directory, SETTINGS)

    def run(self, minutes: int, slices: int) -> None:
        """Go on for a while, with so many slices of housekeeping each hour."""
        for _ in range(0, minutes, 60):
            times = range(self.now, self.now + HOUR, EVERY)
            self.store.commit(commit_of(*times))
            self.now += HOUR
            self.maintain(slices)

    def late(self, series: int, back: int, value: float) -> None:
        """Write a point that is new, or takes the place of one."""
        self.store.commit(Commit(points=points([(series, max(START, self.now - back * MINUTE), value)])))

    def maintain(self, slices: int) -> None:
        for _ in range(slices):
            self.store.maintain(self.now, 0.0)

    def close(self) -> None:
        self.store.close()

    def restart(self, step: int) -> None:
        self.store.close()
        self.step = step
        self.store = open_writer(self.directory, replace(SETTINGS, rollup_step=step))


run = st.tuples(st.just("run"), st.sampled_from([60, 120, 600]), st.integers(0, 6))
late = st.tuples(
    st.just("late"),
    st.integers(0, SERIES - 1),
    st.sampled_from([0, 1, 2, 3, 61, 120, 121, 300, 1500]),
    st.sampled_from([0.1, 7.0, float("nan")]),
)
restart = st.tuples(st.just("restart"), st.sampled_from([STEP, STEP, 10 * MINUTE, 7 * MINUTE]))
slices = st.tuples(st.just("maintain"), st.integers(1, 30))
everything = st.tuples(st.just("maintain"), st.just(1000))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(run, late, restart, slices, everything), min_size=3, max_size=12))
def test_means_are_those_of_the_points_whatever_was_written_when(does: Sequence[tuple[object, ...]]) -> None:
    with ExitStack() as opened:
        directory = opened.enter_context(tempfile.TemporaryDirectory())
        opened.enter_context(one_chunk_a_slice())
        fleet = opened.enter_context(closing(Fleet(Path(directory) / "store")))
        fleet.run(180, 3)
        beside = opened.enter_context(closing(open_reader(fleet.directory)))
        for name, *arguments in does:
            getattr(fleet, str(name))(*arguments)
            require_means(fleet.store, step=fleet.step)
            require_means(beside, fleet.now - 5 * HOUR, fleet.now - HOUR)


@contextmanager
def one_chunk_a_slice() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        take_smallest_steps(patch)
        yield


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with closing(Fleet(tmp_path / "store")) as fleet:
        yield fleet


def without_points(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_points(*_: object) -> None:
        raise AssertionError("points at rest were read")

    monkeypatch.setattr(chunks, "read_points", read_points)


def test_a_quiet_fleet_is_served_without_reading_a_point_at_rest(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.run(3 * 1440, 500)
    fleet.store.commit(commit_of(fleet.now + EVERY))
    expected = fleet.store.read_points(ALL, 0, FOREVER)
    parts = chunks.parts(fleet.store._connection)
    assert {bool(part >> 24) for part in parts} == {True, False}  # days and blocks
    require_means(fleet.store)
    without_points(monkeypatch)
    found = fleet.store.read_means(ALL, 0, FOREVER, STEP)
    assert found.last_time.max() == expected.time_unix_nano.max()


def half_merged(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop where some series are in their day and others still in its blocks."""
    fleet.run(1560, 500)
    fleet.run(60, 0)
    take_smallest_steps(monkeypatch)
    day = compact.day_to_merge(fleet.store._connection, fleet.now)
    assert day is not None
    slices = compact.merge_day(fleet.store._connection, day, STEP)
    next(slices)
    next(slices)


def test_a_day_half_merged_is_served_without_its_points(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    half_merged(fleet, monkeypatch)
    require_means(fleet.store)
    without_points(monkeypatch)
    fleet.store.read_means(ALL, 0, FOREVER, STEP)


def test_a_late_point_that_gets_into_its_day_before_the_rest_counts_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_merged(fleet, monkeypatch)
    late = Commit(points=points([(3, START + 20 * HOUR + 1, 5.0)]))
    fleet.store.commit(late)
    fleet.store.commit(commit_of(fleet.now))
    connection = fleet.store._connection
    for _ in chain(compact.sort_head(connection, 1_000_000), compact.settle(connection, fleet.now, STEP)):
        require_means(fleet.store)
    held = chunks.parts(fleet.store._connection)
    assert {bool(part >> 24) for part in held} == {True, False}
    require_means(fleet.store)
    fleet.restart(STEP)
    maintain_all(fleet.store, fleet.now)
    require_means(fleet.store)


def test_a_late_point_counts_before_and_after_it_is_at_rest(fleet: Fleet) -> None:
    fleet.run(2880, 500)
    before = fleet.store.read_means(ids(2), 0, FOREVER, STEP).mean[0, 100]
    fleet.store.commit(Commit(points=points([(2, START + 100 * STEP + 1, 1000.0)])))
    late = fleet.store.read_means(ids(2), 0, FOREVER, STEP).mean[0, 100]
    fleet.run(180, 500)
    at_rest = fleet.store.read_means(ids(2), 0, FOREVER, STEP).mean[0, 100]
    assert before < 100 < late == pytest.approx(at_rest, rel=1e-3)
    require_means(fleet.store)


def test_a_store_without_rollups_gets_them_and_is_right_meanwhile(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.run(1800, 500)
    fleet.store._connection.execute("UPDATE part SET step = 0")
    fleet.store._connection.execute("DELETE FROM rollup")
    require_means(fleet.store)
    while fleet.store.maintain(fleet.now, 0.0):
        require_means(fleet.store)
    without_points(monkeypatch)
    fleet.store.read_means(ALL, 0, FOREVER, STEP)


def test_rollups_of_another_step_are_made_anew(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.run(1800, 500)
    for step in (10 * MINUTE, STEP):
        fleet.restart(step)
        fleet.late(1, 1000, 5.0)
        fleet.run(180, 0)
        fleet.store.maintain(fleet.now, 0.0)
        require_means(fleet.store, step=step)
    maintain_all(fleet.store, fleet.now)
    without_points(monkeypatch)
    fleet.store.read_means(ALL, 0, FOREVER, STEP)


def test_a_step_that_does_not_divide_two_hours_is_read_from_points(fleet: Fleet) -> None:
    fleet.restart(7 * MINUTE)
    fleet.run(1800, 500)
    require_means(fleet.store, step=7 * MINUTE)
    assert rollups(fleet.store) == 0


def test_zero_whole_numbers_and_constants_come_back_exactly(stores: SqliteStores) -> None:
    store = stores.writer()
    values = np.array([[0.1] * 600, [0.0, 1.0, 5.0] * 200, [1e12 + 1, 1e12 - 1, 1e12] * 200])
    time = START + np.arange(600) * STEP
    store.commit(
        Commit(points=points([(s, int(t), v) for s in range(3) for t, v in zip(time, values[s], strict=True)]))
    )
    store.commit(Commit(points=points([(9, START + 9 * DAY, 0.0)])))
    maintain_all(store, START + 9 * DAY)
    assert rollups(store) > 0
    np.testing.assert_array_equal(store.read_means(ids(0, 1, 2), 0, FOREVER, STEP).mean, values)


@pytest.mark.parametrize("values", [(1.7e308, -1.7e308, 0.0), (5e-324, 0.0, 1e-300)])
def test_what_has_no_lattice_is_read_from_its_points(stores: SqliteStores, values: tuple[float, ...]) -> None:
    store = stores.writer()
    store.commit(Commit(points=points([(0, START + k * STEP, value) for k, value in enumerate(values)])))
    store.commit(Commit(points=points([(1, START + DAY, 1.0)])))
    maintain_all(store, START + DAY)
    np.testing.assert_allclose(store.read_means(ids(0), 0, FOREVER, STEP).mean[0], values, rtol=1e-15)


def test_a_damaged_rollup_is_noticed(fleet: Fleet) -> None:
    fleet.run(300, 500)
    fleet.store._connection.execute("UPDATE rollup SET levels = zeroblob(40)")
    with pytest.raises(StoreError, match=r"rollup \d+ fails its checksum"):
        fleet.store.read_means(ALL, 0, FOREVER, STEP)


def test_rollups_go_with_their_part(fleet: Fleet) -> None:
    fleet.run(300, 500)
    assert rollups(fleet.store) > 0
    for part in chunks.parts(fleet.store._connection):
        for _ in compact.drop_part(fleet.store._connection, part):
            pass
    assert rollups(fleet.store) == 0


def test_levels_of_random_walks_take_few_bytes() -> None:
    time = START + np.arange(288) * STEP
    walk = np.cumsum(np.random.default_rng(0).normal(size=(128, 288)), axis=1)
    made = rollup.roll_up([(one, time, walk[one]) for one in range(128)], int(START // DAY) | 1 << 24, STEP)
    assert len(encode_block(made.levels)) / made.levels.size < 3.0


def rollups(store: SqliteWriter) -> int:
    ((count,),) = store._connection.execute("SELECT count(*) FROM rollup")
    return int(count)
