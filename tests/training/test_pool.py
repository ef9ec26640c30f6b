import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from collector_processor.clock import NANOS_PER_SECOND, ManualClock, SystemClock
from collector_processor.training.pool import FitPool, PoolSettings
from collector_processor.training.request import FitOutcome, FitStatus
from tests.training import tasks
from tests.training.tasks import misbehave, request

PATIENCE = 240.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_770_000_000 * NANOS_PER_SECOND)


@pytest.fixture
def pool(clock: ManualClock) -> Iterator[FitPool]:
    pool = FitPool(PoolSettings(workers=1, recycle_after=3), clock, misbehave)
    yield pool
    pool.close()


def outcome_of(pool: FitPool, series: int, directory: Path = Path()) -> FitOutcome:
    chunk = (request(series, directory),)
    pool.submit(chunk)
    (finished,) = pool.collect(PATIENCE)
    assert finished.chunk == chunk
    return finished.outcomes[0] if finished.outcomes else FitOutcome(chunk[0], finished.status, finished.reason)


def is_gone(pid: int) -> bool:
    """Wait for a process that is not ours to wait for."""
    try:
        psutil.Process(pid).wait(PATIENCE)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_a_request_comes_back_as_its_outcome_from_another_process(pool: FitPool) -> None:
    outcome = outcome_of(pool, tasks.GOOD)
    assert outcome.request == request(tasks.GOOD)
    assert outcome.status is FitStatus.FITTED
    assert outcome.reason == str(pool.pids[0]) != str(os.getpid())


def test_a_raised_error_fails_one_chunk_and_keeps_the_process(pool: FitPool) -> None:
    outcome = outcome_of(pool, tasks.RAISE)
    assert (outcome.status, outcome.reason) == (FitStatus.FAILED, "ValueError: this series is cursed")
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED
    assert pool.started == 1


@pytest.mark.parametrize(("task", "code"), [(tasks.DIE, "7"), (tasks.SEGFAULT, "-6")])
def test_a_dying_process_costs_its_request_only(pool: FitPool, task: int, code: str) -> None:
    outcome = outcome_of(pool, task)
    assert outcome.status is FitStatus.DIED
    assert outcome.reason.endswith(f"exit code {code}")
    assert pool.free == 1
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED
    assert pool.started == 2


def test_the_cpu_of_a_fit_and_of_what_it_started_is_known(pool: FitPool) -> None:
    chunk = (request(tasks.BURN),)
    pool.submit(chunk)
    (finished,) = pool.collect(PATIENCE)
    assert float(finished.outcomes[0].reason) <= finished.cpu_seconds <= float(finished.outcomes[0].reason) + 0.5


def test_a_fit_that_was_killed_is_charged_the_time_it_had(pool: FitPool, clock: ManualClock) -> None:
    outcome_of(pool, tasks.GOOD)
    pool.submit((request(tasks.HANG),))
    clock.advance(30 * NANOS_PER_SECOND)
    assert [o.cpu_seconds for o in pool.collect(0.0)] == [30.0]


def test_a_process_that_cannot_load_its_task_says_why_in_the_outcome_and_nowhere_else(
    clock: ManualClock, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ModuleType("nowhere")
    exec("def fit(chunk): ...", nowhere.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    pool = FitPool(PoolSettings(), clock, nowhere.fit)
    try:
        outcome = outcome_of(pool, tasks.GOOD)
    finally:
        pool.close()
    assert outcome.status is FitStatus.DIED
    assert outcome.reason.endswith("exit code 1: ModuleNotFoundError: No module named 'nowhere'")
    assert capfd.readouterr().err == ""


def test_a_hanging_fit_is_killed_after_its_time_with_all_it_started(
    pool: FitPool, clock: ManualClock, tmp_path: Path
) -> None:
    pool.submit((request(tasks.HANG_IN_CHILD, tmp_path),))
    (pid,) = pool.pids
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert pool.collect(0.01) == []
    child = int((tmp_path / "child").read_text())
    clock.advance(150 * NANOS_PER_SECOND - 1)
    assert pool.collect(0.0) == []
    clock.advance(1)
    (outcome,) = pool.collect(0.0)
    assert outcome.status is FitStatus.TIMED_OUT
    assert is_gone(pid)
    assert is_gone(child)
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED


def test_a_warm_process_gets_the_plain_time(pool: FitPool, clock: ManualClock) -> None:
    outcome_of(pool, tasks.GOOD)
    pool.submit((request(tasks.HANG),))
    clock.advance(30 * NANOS_PER_SECOND)
    assert [o.status for o in pool.collect(0.0)] == [FitStatus.TIMED_OUT]


def test_a_backtest_may_take_as_long_as_its_fits(pool: FitPool, clock: ManualClock) -> None:
    outcome_of(pool, tasks.GOOD)
    pool.submit((request(tasks.GOOD), replace(request(tasks.HANG), needs_backtest=True)))
    clock.advance(120 * NANOS_PER_SECOND - 1)
    assert pool.collect(0.0) == []
    clock.advance(1)
    assert [o.status for o in pool.collect(0.0)] == [FitStatus.TIMED_OUT]


def test_a_large_chunk_has_more_time_because_it_has_to_be_read(pool: FitPool, clock: ManualClock) -> None:
    outcome_of(pool, tasks.GOOD)
    pool.submit((*[request(tasks.GOOD)] * 99, request(tasks.HANG)))
    clock.advance(90 * NANOS_PER_SECOND - 1)
    assert pool.collect(0.0) == []
    clock.advance(1)
    assert [o.status for o in pool.collect(0.0)] == [FitStatus.TIMED_OUT]


def test_others_go_on_beside_a_hanging_fit(clock: ManualClock) -> None:
    pool = FitPool(PoolSettings(workers=2), clock, misbehave)
    try:
        pool.submit((request(tasks.HANG),))
        for _ in range(5):
            assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED
        assert (pool.busy, pool.free) == (1, 1)
    finally:
        pool.close()


def test_a_chunk_comes_back_as_an_outcome_per_request(pool: FitPool) -> None:
    chunk = (request(tasks.GOOD), request(tasks.ENVIRONMENT))
    pool.submit(chunk)
    (finished,) = pool.collect(PATIENCE)
    assert tuple(outcome.request for outcome in finished.outcomes) == chunk


def test_a_poisoned_series_costs_its_whole_chunk(pool: FitPool) -> None:
    chunk = (request(tasks.GOOD), request(tasks.DIE))
    pool.submit(chunk)
    (finished,) = pool.collect(PATIENCE)
    assert (finished.status, finished.chunk, finished.outcomes) == (FitStatus.DIED, chunk, ())


def test_no_more_than_the_allowed_number_of_processes_is_started(pool: FitPool) -> None:
    pool.submit((request(tasks.HANG),))
    assert pool.free == 0
    with pytest.raises(RuntimeError, match="busy"):
        pool.submit((request(tasks.GOOD),))
    assert len(pool.pids) == 1


def test_a_process_is_replaced_after_its_share_of_fits(pool: FitPool) -> None:
    pids = [outcome_of(pool, tasks.GOOD).reason for _ in range(4)]
    assert len(set(pids[:3])) == 1
    assert pids[3] != pids[2]
    assert is_gone(int(pids[0]))


def test_processes_that_die_before_their_first_outcome_are_restarted_less_and_less_often(
    pool: FitPool, clock: ManualClock
) -> None:
    outcome_of(pool, tasks.DIE)
    assert pool.free == 1
    outcome_of(pool, tasks.DIE)
    assert pool.free == 0
    clock.advance(NANOS_PER_SECOND)
    assert pool.free == 1
    outcome_of(pool, tasks.DIE)
    clock.advance(NANOS_PER_SECOND)
    assert pool.free == 0
    clock.advance(NANOS_PER_SECOND)
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED
    outcome_of(pool, tasks.DIE)
    assert pool.free == 1


def test_an_idle_process_that_was_killed_costs_one_request(pool: FitPool) -> None:
    outcome_of(pool, tasks.GOOD)
    killed = psutil.Process(pool.pids[0])
    killed.kill()
    killed.wait(PATIENCE)
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.DIED
    assert outcome_of(pool, tasks.GOOD).status is FitStatus.FITTED


def test_fits_run_on_one_thread_at_low_priority(pool: FitPool) -> None:
    assert outcome_of(pool, tasks.ENVIRONMENT).reason == f"1 1 {min(19, os.nice(0) + 10)}"


def test_temporary_files_go_with_the_process(pool: FitPool) -> None:
    directory = Path(outcome_of(pool, tasks.LEAVE_FILES).reason)
    assert (directory / "left.csv").exists()
    pool.close()
    assert not directory.exists()


def test_a_fit_cannot_take_more_memory_than_allowed(clock: ManualClock) -> None:
    pool = FitPool(PoolSettings(memory_limit=3 << 30), clock, misbehave)
    try:
        outcome = outcome_of(pool, tasks.ALLOCATE)
        assert (outcome.status, outcome.reason.split(":")[0]) == (FitStatus.FAILED, "MemoryError")
    finally:
        pool.close()


def test_closing_waits_for_no_hanging_fit_and_leaves_no_process() -> None:
    pool = FitPool(PoolSettings(workers=2), SystemClock(), misbehave)
    pool.submit((request(tasks.HANG),))
    pool.submit((request(tasks.HANG),))
    pids = pool.pids
    pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


PARENT = """
from pathlib import Path
from collector_processor.clock import SystemClock
from collector_processor.training.pool import FitPool, PoolSettings
from tests.training import tasks
pool = FitPool(PoolSettings(), SystemClock(), tasks.misbehave)
pool.submit((tasks.request(tasks.HANG_IN_CHILD, Path({directory!r})),))
while not Path({directory!r}, "child").exists() or not Path({directory!r}, "child").read_text():
    pool.collect(0.01)
print(pool.pids[0], flush=True)
pool.collect(1e6)
"""


def test_fit_processes_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(directory=str(tmp_path))], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert is_gone(pid)
    assert is_gone(int((tmp_path / "child").read_text()))
    assert not list(tmp_path.glob("foreband-fit-*"))
