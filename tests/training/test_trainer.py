import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import numpy as np
import numpy.typing as npt
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND, ManualClock, SystemClock
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.errors import StoreError
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import FORECASTS, LEVEL, Reason
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.training import Trainer, TrainingSettings
from collector_processor.training.pool import FitPool, PoolSettings
from collector_processor.training.request import Chunk, ChunkOutcome, FitOutcome, FitRequest, FitStatus
from tests.forecast.fleets import forecasts_of
from tests.forecast.shapes import NOW, daily, times
from tests.training import tasks

PATIENCE = 240.0
GROWING = ProphetSettings(growth="logistic", cap=9.0, scaling="absmax")


@dataclass
class World:
    """Nine-day-old series that get a new point whenever the clock moves; what was published, and whether it may be."""

    clock: ManualClock
    series: int = 1
    records: list[ModelRecord] = field(default_factory=list)
    seeds: list[tuple[int, Seed]] = field(default_factory=list)
    store_error: StoreError | None = None
    marks: dict[int, Reason] = field(default_factory=dict)

    @property
    def first_time(self) -> Int64:
        return np.full(self.series, NOW - 9 * DAY)

    @property
    def last_time(self) -> Int64:
        return np.full(self.series, self.clock.now_unix_nano())

    @property
    def is_modelled(self) -> Bool:
        return np.ones(self.series, np.bool_)

    @property
    def need(self) -> Float64:
        return np.zeros(self.series)

    @property
    def mark(self) -> npt.NDArray[np.uint8]:
        return np.array([self.marks.get(i, Reason.NONE) for i in range(self.series)], np.uint8)

    def mark_as(self, series: Int32, reason: npt.NDArray[np.uint8]) -> None:
        self.marks |= zip(series.tolist(), map(Reason, reason.tolist()), strict=True)

    def publish(self, records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
        if self.store_error is not None:
            raise self.store_error
        self.records += records
        self.seeds += seeds


class EchoPool(FitPool):
    """Answers at once and in this process; a chunk with one of the series in `failing` fails."""

    def __init__(self, clock: ManualClock, workers: int = 1) -> None:
        super().__init__(PoolSettings(workers), clock)
        self.asked: list[FitRequest] = []
        self.failing: set[int] = set()
        self._size = workers
        self.chunks: list[Chunk] = []
        self.cpu_seconds = 0.0
        self._waiting: list[Chunk] = []

    @property
    def free(self) -> int:
        return self._size - len(self._waiting)

    def submit(self, chunk: Chunk) -> None:
        self.asked += chunk
        self.chunks.append(chunk)
        self._waiting.append(chunk)

    def collect(self, timeout_seconds: float) -> list[ChunkOutcome]:  # noqa: ARG002
        outcomes = [self._answer_chunk(chunk) for chunk in self._waiting]
        self._waiting = []
        return outcomes

    def _answer_chunk(self, chunk: Chunk) -> ChunkOutcome:
        if any(request.series in self.failing for request in chunk):
            return ChunkOutcome(chunk, FitStatus.TIMED_OUT, "the fit took too long and was stopped")
        outcomes = tuple(self._answer(request) for request in chunk)
        return ChunkOutcome(chunk, FitStatus.FITTED, outcomes=outcomes, cpu_seconds=self.cpu_seconds)

    def _answer(self, request: FitRequest) -> FitOutcome:
        backtest = request.backtest
        if request.needs_backtest:
            backtest = {"reason": "prophet won", "end_unix_nano": request.end_unix_nano, "origins": 3}
        seed = seed_from_residuals(np.array([NOW]), np.ones((1, len(FORECASTS))), 1.0) if request.needs_seed else None
        return FitOutcome(
            request,
            FitStatus.FITTED,
            "because",
            forecaster="prophet" if backtest else "seasonal",
            provenance=json.dumps({"backtest": backtest}),
            backtest=backtest,
            trained_start_unix_nano=request.start_unix_nano,
            trained_end_unix_nano=request.end_unix_nano - 1,
            seed=seed,
        )


@pytest.fixture
def world() -> World:
    return World(ManualClock(NOW))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    open_writer(tmp_path, StoreSettings(reserve_bytes=0)).close()
    return tmp_path


@pytest.fixture
def pool(world: World) -> EchoPool:
    return EchoPool(world.clock)


@pytest.fixture
def trainer(world: World, store: Path, pool: EchoPool) -> Trainer:
    return Trainer(TrainingSettings(), store, lambda: world, world.publish, world.mark_as, world.clock, pool)


def test_a_first_fit_is_followed_by_a_backtest_with_a_seed_and_then_by_refits(
    trainer: Trainer, world: World, pool: EchoPool
) -> None:
    for _ in range(3):
        trainer.run_round(0.0)
    assert [(r.needs_backtest, r.needs_seed) for r in pool.asked] == [(False, False), (True, True)]
    world.clock.advance(HOUR)
    trainer.run_round(0.0)
    assert pool.asked[2].forecaster == "prophet"
    assert pool.asked[2].backtest == {"reason": "prophet won", "end_unix_nano": NOW + 1, "origins": 3}
    assert not pool.asked[2].needs_backtest
    world.clock.advance(DAY)
    trainer.run_round(0.0)
    assert (pool.asked[3].needs_backtest, pool.asked[3].needs_seed) == (True, False)
    assert [(r.series, r.version, r.forecaster) for r in world.records] == [
        (0, 1, "seasonal"),
        (0, 2, "prophet"),
        (0, 3, "prophet"),
        (0, 4, "prophet"),
    ]
    assert [series for series, _ in world.seeds] == [0]


def test_a_request_covers_the_window_from_midnight_to_the_newest_point(
    trainer: Trainer, pool: EchoPool, store: Path
) -> None:
    trainer.run_round(0.0)
    request = pool.asked[0]
    assert (request.end_unix_nano, request.start_unix_nano) == (NOW + 1, (NOW + 1) // DAY * DAY - 28 * DAY)
    assert (request.step, request.directory) == (5 * MINUTE, store)


def test_while_it_is_paused_no_fit_is_begun(trainer: Trainer, pool: EchoPool) -> None:
    trainer.is_paused = True
    trainer.run_round(0)
    assert not pool.chunks
    trainer.is_paused = False
    trainer.run_round(0)
    assert pool.chunks


def test_what_could_not_be_published_is_kept_and_nothing_new_is_begun(
    trainer: Trainer, world: World, pool: EchoPool
) -> None:
    world.series = 3
    world.store_error = StoreError("disk full")
    for _ in range(3):
        with pytest.raises(StoreError):
            trainer.run_round(0.0)
    assert len(pool.chunks) == 1
    assert trainer.status.unpublished == 3
    world.store_error = None
    trainer.run_round(0.0)
    assert [r.series for r in world.records] == [0, 1, 2]
    assert trainer.status.unpublished == 0


def test_failures_are_counted_and_the_series_paused_while_others_go_on(
    trainer: Trainer, world: World, pool: EchoPool, caplog: pytest.LogCaptureFixture
) -> None:
    world.series = 2
    pool.failing = {0}
    for _ in range(20):
        trainer.run_round(0.0)
        world.clock.advance(MINUTE)
    assert trainer.status.outcomes == {"timed_out": 3, "fitted": 2}
    assert trainer.status.paused == 1
    assert {r.series for r in world.records} == {1}
    assert trainer.status.forecasters == {"prophet": 1}
    assert "series 0 was not fitted: timed_out" in caplog.text


def test_a_failing_chunk_is_halved_until_the_series_to_blame_is_alone(
    trainer: Trainer, world: World, pool: EchoPool
) -> None:
    world.series = 100
    pool.failing = {37}
    for _ in range(40):
        trainer.run_round(0.0)
    first_fits = [[r.series for r in chunk] for chunk in pool.chunks if chunk[0].is_first]
    assert first_fits[0] == list(range(100))
    assert [37] in first_fits
    assert {r.series for r in world.records} == set(range(100)) - {37}
    assert trainer.status.outcomes["timed_out"] == 1
    asked = len(pool.chunks)
    world.clock.advance(MINUTE)
    trainer.run_round(0.0)
    assert [r.series for r in pool.chunks[asked]] == [37]


def test_a_chunk_tried_in_parts_is_told_of_once_however_many_parts_fail(
    trainer: Trainer, world: World, pool: EchoPool, caplog: pytest.LogCaptureFixture
) -> None:
    world.series = 64
    pool.failing = set(range(3, 50))
    for _ in range(200):
        trainer.run_round(0.0)
    (line,) = caplog.messages
    assert line.startswith("64 series failed together and were tried in parts (the fit took too long and was stopped)")
    assert "series 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 37 more were not fitted: timed_out" in line


def test_fits_wait_while_they_have_used_up_their_share_of_the_cpu(
    trainer: Trainer, world: World, pool: EchoPool
) -> None:
    pool.cpu_seconds = 40.0  # half a minute's worth is saved up
    world.series = 500
    for _ in range(3):
        trainer.run_round(0.0)
    assert (len(pool.chunks), trainer.status.cpu_seconds) == (1, 40.0)
    world.clock.advance(20 * NANOS_PER_SECOND)
    trainer.run_round(0.0)
    assert len(pool.chunks) == 1
    assert trainer.status.backlog_seconds == 20.0
    world.clock.advance(1)
    trainer.run_round(0.0)
    assert len(pool.chunks) == 2


def test_a_failing_series_is_marked_until_it_is_fitted_well(trainer: Trainer, world: World, pool: EchoPool) -> None:
    world.series = 2
    for _ in range(4):
        trainer.run_round(0.0)
    assert set(world.marks.values()) <= {Reason.NONE}
    pool.failing = {1}
    world.clock.advance(HOUR)
    for _ in range(4):
        trainer.run_round(0.0)
    assert world.mark.tolist() == [Reason.NONE, Reason.FIT_FAILED]
    pool.failing = set()
    world.clock.advance(MINUTE)
    for _ in range(2):
        trainer.run_round(0.0)
    assert world.mark.tolist() == [Reason.NONE, Reason.NONE]


def test_marks_lost_with_the_state_of_the_fast_path_are_made_again(
    trainer: Trainer, world: World, pool: EchoPool
) -> None:
    pool.failing = {0}
    for _ in range(2):
        trainer.run_round(0.0)
    assert world.marks == {0: Reason.FIT_FAILED}
    world.marks = {}
    world.clock.advance(5 * NANOS_PER_SECOND)
    trainer.run_round(0.0)
    assert world.marks == {0: Reason.FIT_FAILED}


def test_a_large_fleet_is_fitted_in_chunks_first_fits_apart(trainer: Trainer, world: World, pool: EchoPool) -> None:
    world.series = 600
    for _ in range(8):
        trainer.run_round(0.0)
    assert [len(chunk) for chunk in pool.chunks] == [256, 256, 88, 256, 256, 88]
    assert [{r.is_first for r in chunk} for chunk in pool.chunks] == [{True}] * 3 + [{False}] * 3


def test_series_of_equal_settings_are_fitted_together_wherever_they_stand_in_the_queue(
    world: World, store: Path, pool: EchoPool
) -> None:
    world.series = 31
    kinds = [ProphetSettings(), ProphetSettings(time_zone="Asia/Tokyo"), GROWING]
    trainer = Trainer(
        TrainingSettings(),
        store,
        lambda: world,
        world.publish,
        world.mark_as,
        world.clock,
        pool,
        lambda series: kinds[series % 3],
    )
    for _ in range(4):
        trainer.run_round(0.0)
    firsts = [chunk for chunk in pool.chunks if chunk[0].is_first]
    assert [[r.series for r in chunk] for chunk in firsts] == [
        list(range(0, 31, 3)),
        list(range(1, 31, 3)),
        list(range(2, 30, 3)),
    ]
    assert all(r.settings == kinds[r.series % 3] for r in pool.asked)


def test_after_the_first_fit_series_left_to_the_library_go_alone(world: World, store: Path, pool: EchoPool) -> None:
    world.series = 25
    trainer = Trainer(
        TrainingSettings(), store, lambda: world, world.publish, world.mark_as, world.clock, pool, lambda _: GROWING
    )
    for _ in range(4):
        trainer.run_round(0.0)
    assert [len(chunk) for chunk in pool.chunks] == [25, 1, 1, 1]


def test_a_series_whose_policy_has_changed_is_due_at_once_with_a_backtest(
    world: World, store: Path, pool: EchoPool
) -> None:
    tokyo = ProphetSettings(time_zone="Asia/Tokyo")
    with closing(open_writer(store, StoreSettings(reserve_bytes=0))) as writer:
        for series, fingerprint in enumerate(["", tokyo.fingerprint]):
            tested = {"end_unix_nano": NOW - HOUR, "reason": "a reason"}
            said = json.dumps({"backtest": tested} | ({"fingerprint": fingerprint} if fingerprint else {}))
            record = ModelRecord(series, series + 1, NOW - MINUTE, NOW - 9 * DAY, NOW, "prophet", "", b"", said)
            writer.commit(Commit(models=[record]))
    world.series = 2
    trainer = Trainer(
        TrainingSettings(), store, lambda: world, world.publish, world.mark_as, world.clock, pool, lambda _: tokyo
    )
    for _ in range(3):
        trainer.run_round(0.0)
    assert [(r.series, r.settings.time_zone, r.needs_backtest) for r in pool.asked] == [(0, "Asia/Tokyo", True)]
    assert trainer.status.backlog_seconds <= HOUR / NANOS_PER_SECOND


def test_the_backlog_says_how_long_the_most_overdue_series_waits(trainer: Trainer, world: World) -> None:
    world.series = 3000
    for _ in range(10):
        trainer.run_round(0.0)
        world.clock.advance(20 * 10**9)
    assert trainer.status.backlog_seconds == 180.0
    assert trainer.status.due > 100


def test_after_a_restart_only_what_is_due_is_fitted(world: World, store: Path, pool: EchoPool) -> None:
    said = json.dumps({"backtest": {"reason": "prophet won", "end_unix_nano": NOW - HOUR, "origins": 3}})
    fresh = ModelRecord(0, 7, NOW - MINUTE, NOW - DAY, NOW - MINUTE, "prophet", "because", b"", said)
    stale = replace(fresh, series=1, version=8, created_unix_nano=NOW - 2 * HOUR)
    damaged = replace(fresh, series=2, version=9, provenance='{"backtest": 3}')
    with closing(open_writer(store, StoreSettings(reserve_bytes=0))) as writer:
        writer.commit(Commit(models=[fresh, stale, damaged]))
    world.series = 3
    trainer = Trainer(TrainingSettings(), store, lambda: world, world.publish, world.mark_as, world.clock, pool)
    trainer.run_round(0.0)
    trainer.run_round(0.0)
    assert [(r.series, r.forecaster, r.needs_seed) for r in pool.asked] == [
        (2, "seasonal", False),
        (1, "prophet", False),
    ]
    assert [r.version for r in world.records] == [10, 11]


@pytest.fixture
def running(world: World, store: Path) -> Iterator[tuple[Trainer, Event]]:
    """A started trainer on real processes: series 0 is well, 1 hangs, 2 dies, 3 raises."""
    told = Event()

    def publish(records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
        world.publish(records, seeds)
        told.set()

    world.series = 4
    pool = FitPool(PoolSettings(workers=2, timeout_seconds=2.0, startup_seconds=1.0), SystemClock(), tasks.misbehave)
    trainer = Trainer(TrainingSettings(), store, lambda: world, publish, world.mark_as, world.clock, pool)
    trainer.start()
    yield trainer, told
    trainer.stop()


def test_the_thread_goes_on_beside_hanging_dying_and_failing_fits(running: tuple[Trainer, Event], world: World) -> None:
    trainer, told = running
    for _ in range(2):
        assert told.wait(PATIENCE)
        told.clear()
        world.clock.advance(2 * HOUR)
    assert {r.series for r in world.records} == {tasks.GOOD}
    assert trainer.status.outcomes["died"] >= 1
    assert trainer.status.outcomes["failed"] >= 1


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # prophet 1.5 on pandas 3.1
def test_a_series_in_a_store_becomes_a_forecast(tmp_path: Path) -> None:
    time = times(5 * 48, 30 * MINUTE)
    world, told = World(ManualClock(NOW)), Event()
    writer = open_writer(tmp_path, StoreSettings(reserve_bytes=0))
    writer.commit(Commit(points=PointBatch(np.zeros(time.size, np.int32), time, daily(time))))

    def publish(records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
        world.publish(records, seeds)
        if seeds:
            told.set()

    trainer = Trainer(TrainingSettings(), tmp_path, lambda: world, publish, world.mark_as, world.clock)
    trainer.start()
    try:
        assert told.wait(PATIENCE)
    finally:
        trainer.stop()
        writer.close()
    fleet = FleetModel.from_records(world.records)
    ahead = NOW + HOUR * np.arange(12)
    assert np.abs(forecasts_of(fleet, 0, ahead)[:, :LEVEL] - daily(ahead, noise=0.0)[:, np.newaxis]).max() < 0.5
    assert [r.version for r in world.records] == [1, 2]
