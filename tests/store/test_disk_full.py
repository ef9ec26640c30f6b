"""A disk that somebody else fills: nothing acknowledged is lost, reading goes on, and so does writing afterwards."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector_processor.clock import HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.store.base import Commit
from collector_processor.store.reserve import BALLAST, BALLAST_BYTES
from collector_processor.store.settings import MEBIBYTE, StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer
from tests.small_disk import empty, fill, small_disk
from tests.store.batches import START, maintain_all, outbox_item, read_all, same_bits, tick
from tests.store.conftest import take_smallest_steps

SETTINGS = StoreSettings(reserve_bytes=8 * MEBIBYTE, reserve_share=0.0)
NO_RESERVE = StoreSettings(reserve_bytes=0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "32m") as disk:
        yield disk


def test_it_stops_before_the_disk_is_full_and_goes_on_with_a_tenth_more(disk: Path) -> None:
    with closing(open_writer(disk / "store", SETTINGS)) as store:
        store.commit(Commit(outbox=[outbox_item(1)], points=tick(0).points))
        fill(disk, 8 * MEBIBYTE - 4096)
        with pytest.raises(StoreError, match="nearly full: 7 MiB are left, 8 MiB are reserved") as refused:
            store.commit(tick(1))
        assert refused.value.retry_after_seconds == 10.0
        store.outbox.done("default", store.outbox.waiting(after=0, limit=1)[0].item_id)  # that needs no space
        empty(disk)
        fill(disk, 8 * MEBIBYTE + 4096)
        assert "nearly full" in store.shortage()
        empty(disk)
        fill(disk, 9 * MEBIBYTE)
        store.commit(tick(1))
        assert len(read_all(store).points) == 10


def test_the_share_of_the_disk_counts_where_it_is_more(disk: Path) -> None:
    with closing(open_writer(disk / "store", StoreSettings(reserve_bytes=1, reserve_share=0.9))) as store:
        fill(disk, 20 * MEBIBYTE)
        assert "28 MiB are reserved" in store.shortage()


@pytest.mark.parametrize("is_clean", [True, False])
def test_it_starts_on_a_disk_that_is_full_to_the_last_byte(disk: Path, is_clean: bool) -> None:
    with closing(open_writer(disk / "store", SETTINGS)) as store:
        for number in range(5):
            store.commit(tick(number))
        if not is_clean:
            shutil.copytree(disk / "store", disk / "killed", ignore=shutil.ignore_patterns("*-shm", BALLAST))
    if not is_clean:
        for path in (disk / "killed").iterdir():
            shutil.copy(path, disk / "store")
    assert (disk / "store" / BALLAST).stat().st_blocks * 512 == BALLAST_BYTES
    fill(disk)
    with closing(open_writer(disk / "store", SETTINGS)) as again:
        assert len(read_all(again).points) == 25
        with closing(open_reader(disk / "store")) as reader:
            assert len(read_all(reader).points) == 25
        with pytest.raises(StoreError, match="nearly full"):
            again.commit(tick(5))
        empty(disk)
        again.commit(tick(5))
        assert len(read_all(again).points) == 30
    assert (disk / "store" / BALLAST).exists()


def test_a_disk_that_fills_in_the_middle_of_compaction_costs_nothing(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_smallest_steps(monkeypatch)
    with closing(open_writer(disk / "store", NO_RESERVE)) as store:
        for number in range(0, 30 * 60, 20):
            store.commit(tick(number, series=20))
        before = read_all(store).points
        for _ in range(7):
            store.maintain(START + 30 * HOUR, 0.0)
        fill(disk)
        with pytest.raises(StoreError, match="disk"):
            maintain_all(store, START + 30 * HOUR)
        assert same_bits(read_all(store).points, before)
        with pytest.raises(StoreError, match="disk"):
            commit_until_refused(store)
        with closing(open_reader(disk / "store")) as reader:
            held = read_all(reader).points
        empty(disk)
        maintain_all(store, START + 30 * HOUR)
        assert same_bits(read_all(store).points, held)
        assert len(held) >= len(before)


def commit_until_refused(store: SqliteWriter) -> None:
    for number in range(10_000):
        store.commit(tick(0, start=START + 29 * HOUR + number * MINUTE, series=20))
