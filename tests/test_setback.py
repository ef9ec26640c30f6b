"""A store whose writes fail, and what each refused request then costs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector_processor.clock import HOUR
from collector_processor.errors import StoreError
from collector_processor.pipeline import PipelineState
from collector_processor.store.base import Commit
from collector_processor.store.sqlite import SqliteWriter
from tests.pipeline_room import NOW, SECOND, Room, gauge_request, opened

Fails = Callable[[Commit], bool]


class Disk:
    """Takes the commits that it should, counts the others and how often state is rebuilt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: Fails = lambda _commit: False
        self.failed: list[Commit] = []
        self.rebuilt = 0
        commit, reload = SqliteWriter.commit, PipelineState.reload

        def committed(writer: SqliteWriter, batch: Commit) -> None:
            if self.fails(batch):
                self.failed.append(batch)
                raise StoreError("the disk is full", retry_after_seconds=10.0)
            commit(writer, batch)

        def reloaded(state: PipelineState, now: int) -> None:
            self.rebuilt += 1
            reload(state, now)

        monkeypatch.setattr(SqliteWriter, "commit", committed)
        monkeypatch.setattr(PipelineState, "reload", reloaded)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def room(disk: Disk, tmp_path: Path) -> Iterator[Room]:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 1.0)))
        disk.rebuilt = 0
        yield room


def refuse(room: Room, now: int = NOW) -> float:
    """Send what must be refused, as the thread that owns the series does; return when to come again."""
    with pytest.raises(StoreError, match="the disk is full") as refused:
        room.metrics(gauge_request("cpu", (0, 2.0)), now=now)
    room.pipeline.recover(now)
    return refused.value.retry_after_seconds


def test_while_every_write_fails_state_is_rebuilt_once(room: Room, disk: Disk) -> None:
    disk.fails = lambda _commit: True
    for second in range(20):
        assert refuse(room, NOW + second * SECOND) == 10
    assert disk.rebuilt == 1
    disk.fails = lambda _commit: False
    room.metrics(gauge_request("cpu", (0, 2.0)), now=NOW + 20 * SECOND)
    assert room.points("cpu/value") == [(-60, 1.0), (0, 2.0)]
    assert disk.rebuilt == 1


def test_where_only_real_writes_fail_they_are_tried_ever_less_often(room: Room, disk: Disk) -> None:
    disk.fails = lambda commit: len(commit.points) > 0
    waits = [refuse(room, NOW + second * SECOND) for second in range(60)]
    tried = [second for second, commit in enumerate(waits) if commit == 10]
    assert tried[:6] == [0, 1, 2, 4, 8, 16]
    assert disk.rebuilt == len(disk.failed) == len(tried) < 12
    assert waits[9:16] == [7, 6, 5, 4, 3, 2, 1]


def test_a_clock_that_is_set_back_ends_the_pause(room: Room, disk: Disk) -> None:
    disk.fails = lambda commit: len(commit.points) > 0
    for second in range(10):
        refuse(room, NOW + second * SECOND)
    disk.fails = lambda _commit: False
    room.metrics(gauge_request("cpu", (-50, 2.0)), now=NOW - HOUR // 2)
    assert room.desk.shortage() == ""


def test_readiness_says_what_failed_until_a_write_works_again(room: Room, disk: Disk) -> None:
    disk.fails = lambda _commit: True
    refuse(room)
    assert room.desk.shortage() == "the disk is full"
    with pytest.raises(StoreError):
        room.pipeline.tick(NOW + SECOND)
    assert room.desk.shortage() == "the disk is full"
    disk.fails = lambda _commit: False
    room.pipeline.tick(NOW + 2 * SECOND)
    assert room.desk.shortage() == ""
