import os
import resource
import sqlite3
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.forecast.fleet import FleetModel
from collector_processor.store import compact
from collector_processor.store.base import Commit, RequestReceipt
from collector_processor.store.codec import seal
from collector_processor.store.connection import SCHEMA_VERSION
from collector_processor.store.files import DATABASE
from collector_processor.store.settings import MEBIBYTE, StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer
from collector_processor.telemetry.band import unknown_bands
from collector_processor.telemetry.feedback import Answer, Feedback
from collector_processor.training.drawn import Drawn
from tests.store.batches import (
    FOREVER,
    START,
    episode,
    ids,
    incident,
    maintain_all,
    model,
    outbox_item,
    points,
    read_all,
    same_bits,
    same_verdicts,
    series_key,
    tick,
)
from tests.store.conftest import SETTINGS, SqliteStores, take_smallest_steps
from tests.store.first_version import make_old, make_receipts_rows
from tests.store.store_checks import StoreChecks


class TestSqliteStore(StoreChecks):
    """The embedded store keeps every promise; the fixture `stores` is in conftest.py."""


def count(store: SqliteWriter, table: str) -> int:
    ((number,),) = store._connection.execute(f"SELECT count(*) FROM {table}")
    return int(number)


def fill(store: SqliteWriter, days: float, *, every: int = 30 * MINUTE) -> int:
    """Commit and maintain; return the last time."""
    last = START
    for number in range(int(days * DAY / every)):
        last = START + number * every
        store.commit(tick(0, start=last))
        maintain_all(store, last)
    return last


def test_a_reader_that_cannot_be_made_leaves_nothing_open(tmp_path: Path) -> None:
    open_writer(tmp_path, SETTINGS).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("DROP TABLE store")
    with pytest.raises(StoreError):
        open_reader(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE, timeout=0.0)) as alone:
        assert alone.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


def test_files_are_for_this_user_only(stores: SqliteStores) -> None:
    stores.writer().commit(tick(0))
    assert stat.S_IMODE(stores.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in stores.directory.iterdir()}
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}


def test_a_directory_that_everybody_may_write_is_refused(stores: SqliteStores) -> None:
    stores.directory.mkdir()
    stores.directory.chmod(0o777)
    with pytest.raises(StoreError, match="chmod 700"):
        stores.writer()


def test_a_second_writer_is_refused_and_touches_nothing(stores: SqliteStores) -> None:
    stores.writer().commit(tick(0))
    before = {path.name: path.read_bytes() for path in stores.directory.iterdir()}
    with pytest.raises(StoreError, match="another Foreband"):
        stores.writer()
    assert {path.name: path.read_bytes() for path in stores.directory.iterdir()} == before


def test_the_lock_is_free_after_closing_and_after_a_failed_start(stores: SqliteStores) -> None:
    stores.writer().close()
    (stores.directory / DATABASE).write_bytes(b"no database at all, but long enough to look like one" * 20)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            stores.writer()


def test_the_instance_id_stays(stores: SqliteStores) -> None:
    first = stores.writer()
    assert len(first.instance_id) == 36
    assert stores.reader().instance_id == first.instance_id
    first.close()
    assert stores.writer().instance_id == first.instance_id


def test_a_reader_of_no_store_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        open_reader(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(stores: SqliteStores) -> None:
    stores.writer()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        stores.reader()._connection.execute("DELETE FROM store")


def test_a_reader_works_when_no_writer_runs(stores: SqliteStores) -> None:
    writer = stores.writer()
    writer.commit(tick(0))
    writer.close()
    assert len(read_all_from(stores)) == 5


def read_all_from(stores: SqliteStores) -> list[float]:
    values: list[float] = read_all(stores.reader()).points.value.tolist()
    return values


def test_a_newer_schema_is_refused_and_left_alone(stores: SqliteStores) -> None:
    writer = stores.writer()
    writer.commit(tick(0))
    writer._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    writer.close()
    path = stores.directory / DATABASE
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}"):
        stores.writer()
    with pytest.raises(StoreError, match="newer Foreband"):
        stores.reader()
    assert path.read_bytes() == before


def test_chunks_that_share_times_are_found_without_looking_at_all(stores: SqliteStores) -> None:
    assert finds_chunks_by_their_times(stores.writer())


def finds_chunks_by_their_times(store: SqliteWriter) -> bool:
    plan = store._connection.execute("EXPLAIN QUERY PLAN SELECT 1 FROM chunk WHERE times = 1").fetchall()
    return "chunk_times" in str(plan)


def test_a_store_of_the_first_version_is_taken_over_with_what_waits_in_it(stores: SqliteStores) -> None:
    writer = stores.writer()
    make_old(writer, [outbox_item(1)])
    writer.close()
    with closing(open_reader(stores.directory)) as reader:
        assert reader.exemplars(0, 2**62) == []
        assert reader.feedback() == []
        assert reader.incidents(0, 2**62) == []
        assert reader.incident("any") is None
        assert len(read_all(reader).points) == len(reader.last_points()) == len(reader.first_times()[0]) == 0
    again = stores.writer()
    again.commit(Commit(outbox=[replace(outbox_item(2), destinations=("tempo",))]))
    copy = stores.directory / f"{DATABASE}.version-1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as older:
        assert older.execute("PRAGMA user_version").fetchone() == (1,)
        assert older.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
        assert older.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [w.item for w in again.outbox.waiting(after=0, limit=9)] == [outbox_item(1)]
    assert again.outbox.sizes() == {"default": (1, 100), "tempo": (1, 100)}
    assert finds_chunks_by_their_times(again)


def test_band_states_of_another_layout_are_unknown_to_readers_and_deleted_by_the_next_writer(
    stores: SqliteStores,
) -> None:
    writer = stores.writer()
    writer.commit(Commit(bands={0: unknown_bands(2), 512: unknown_bands(3)}))
    writer.commit(Commit(blobs={"\0bands/00000000": b"another layout"}))
    expected = unknown_bands(515).tobytes()
    assert stores.reader().bands().tobytes() == expected
    assert writer.discarded_bands == 0
    writer.close()
    again = stores.writer()
    assert again.discarded_bands == 1
    assert again.bands().tobytes() == expected
    again.close()
    assert stores.writer().discarded_bands == 0


def test_an_older_store_is_not_changed_where_there_is_no_room_for_a_copy(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = stores.writer()
    writer._connection.execute("PRAGMA user_version = 2")
    writer.close()
    before = (stores.directory / DATABASE).read_bytes()
    monkeypatch.setattr("collector_processor.store.connection.disk_space", lambda _: (1000, 1 << 30))
    with pytest.raises(StoreError, match="copied before it is changed"):
        stores.writer()
    assert (stores.directory / DATABASE).read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(stores: SqliteStores) -> None:
    stores.directory.mkdir(mode=0o700)
    path = stores.directory / DATABASE
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a Foreband store"):
        stores.writer()
    assert path.read_bytes() == before


def test_one_id_cannot_name_two_series(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(Commit(series=[(0, series_key(0))]))
    store.commit(Commit(series=[(0, series_key(0)), (1, series_key(1))]))
    with pytest.raises(StoreError, match="another series"):
        store.commit(Commit(series=[(2, series_key(2)), (0, series_key(9))], points=points([(2, START, 1.0)])))
    assert store.catalog() == [(0, series_key(0)), (1, series_key(1))]
    assert len(read_all(store).points) == 0


def test_the_head_comes_to_rest_when_its_block_is_over_and_survives_a_restart_before(stores: SqliteStores) -> None:
    first = stores.writer()
    for number in range(134):
        first.commit(tick(number))
        assert not first.maintain(START + number * MINUTE, 1.0)
    assert [count(first, table) for table in ("head", "sheet", "chunk")] == [134, 0, 0]
    first.close()
    second = stores.writer()
    for number in range(134, 136):
        second.commit(tick(number))
    maintain_all(second, START + 135 * MINUTE)
    assert [count(second, table) for table in ("head", "sheet", "chunk")] == [0, 1, 5]
    assert len(read_all(second).points) == 136 * 5
    assert second.last_points().time_unix_nano.tolist() == [START + 135 * MINUTE] * 5
    second.commit(tick(0, start=START + 5 * HOUR))
    maintain_all(second, START + 5 * HOUR)
    assert [count(second, table) for table in ("head", "sheet", "sheet_ends", "chunk")] == [1, 0, 0, 10]


def test_times_are_stored_once_for_series_that_share_them(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "_SLICE_NANO", 0)
    store = stores.writer()
    for number in range(256):
        store.commit(tick(number, series=50))
    maintain_all(store, START + 255 * MINUTE)
    assert count(store, "times") == 2
    store.commit(Commit(points=points([(3, START + 1, 1.0)])))
    store.commit(tick(600, series=50))
    maintain_all(store, START + 600 * MINUTE)
    assert count(store, "times") == 4  # three blocks, and the late series' own


def test_days_are_merged_when_they_are_over(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(0, 27 * 60, 10):
        store.commit(tick(number))
    before = read_all(store)
    maintain_all(store, START + 27 * HOUR)
    after = read_all(store)
    assert same_bits(before.points, after.points)
    assert same_verdicts(before.verdicts, after.verdicts)
    ((days, blocks),) = store._connection.execute("SELECT sum(id >= 1 << 24), sum(id < 1 << 24) FROM part")
    assert (days, blocks) == (1, 1)
    assert count(store, "chunk") == 10


def test_answers_stay_the_same_after_every_single_slice(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    take_smallest_steps(monkeypatch)
    monkeypatch.setattr(compact, "_CHUNKS_DELETED_AT_ONCE", 2)
    store = stores.writer()
    for number in range(0, 30 * 60, 60):
        store.commit(tick(number))
    store.commit(Commit(points=points([(0, START, -1.0), (1, START + MINUTE, -2.0)])))
    reader = stores.reader()
    before, last, first = read_all(reader), reader.last_points(), reader.first_times()
    slices = 0
    while store.maintain(START + 30 * HOUR, 1e-9):
        slices += 1
        if slices == 40:
            store.commit(Commit(points=points([(2, START + 2 * MINUTE, -3.0)])))
            before = read_all(store)
        assert same_bits(read_all(reader).points, before.points)
        assert same_verdicts(read_all(reader).verdicts, before.verdicts)
        assert same_bits(reader.last_points(), last)
        assert [column.tolist() for column in reader.first_times()] == [column.tolist() for column in first]
        assert reader.existing(before.points)[0].all()
    assert slices > 80


def test_housekeeping_given_up_half_way_is_done_again(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    take_smallest_steps(monkeypatch)
    store = stores.writer()
    for number in range(0, 30 * 60, 60):
        store.commit(tick(number))
    before = read_all(store)
    for _ in range(12):
        for _ in range(17):
            store.maintain(START + 30 * HOUR, 1e-9)
        store.close()
        store = stores.writer()
    monkeypatch.undo()
    maintain_all(store, START + 30 * HOUR)
    assert same_bits(read_all(store).points, before.points)
    assert same_verdicts(read_all(store).verdicts, before.verdicts)
    assert count(store, "chunk WHERE id < 1 << 48") == 10  # two blocks after the day; the next is not over


def test_a_point_rewritten_in_the_middle_of_a_day_merge_stays(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.writer()
    for number in range(0, 24 * 60, 60):
        store.commit(tick(number))
        maintain_all(store, START + number * MINUTE)
    take_smallest_steps(monkeypatch)
    store.commit(tick(27 * 60))
    while count(store, "part WHERE id >= 1 << 24") == 0:
        store.maintain(START + 27 * HOUR, 0.0)
    store.close()
    store = stores.writer()
    assert count(store, "part WHERE id < 1 << 24") > 11
    store.commit(Commit(points=points([(series, START + HOUR, -9.0) for series in range(5)])))
    store.commit(tick(30 * 60))
    maintain_all(store, START + 30 * HOUR)
    assert (count(store, "head"), count(store, "part WHERE id >= 1 << 24")) == (0, 1)
    rewritten = store.read_judged(ids(0, 1, 2, 3, 4), START + HOUR, START + HOUR + 1)
    assert rewritten.points.value.tolist() == [-9.0] * 5
    assert np.isnan(rewritten.verdicts.yhat).all()


def test_housekeeping_comes_in_slices(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(136):
        store.commit(tick(number, series=600))
    slices = 1
    while store.maintain(START + 3 * HOUR, 0.0):
        slices += 1
    assert count(store, "head") == 0
    assert slices > 2


def test_nothing_to_do_is_said_at_once(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(tick(0))
    store.maintain(START, 1.0)
    assert store.maintain(START + MINUTE, 1.0) is False


def test_points_past_retention_go_with_their_day_and_a_tenth_at_a_time(stores: SqliteStores) -> None:
    store = stores.writer(StoreSettings(retention_nano=40 * DAY, reserve_bytes=0))
    last = fill(store, 20, every=2 * HOUR)
    held = len(read_all(store).points)
    store.close()
    store = stores.writer(StoreSettings(retention_nano=15 * DAY, reserve_bytes=0))
    for run in range(6):
        maintain_all(store, last + run * HOUR)
        left = len(read_all(store).points)
        assert held - left <= 0.1 * held + 60
        held = left
    oldest = store.first_times()[1].min()
    assert oldest == START + 4 * DAY  # the day that ends 15 days and 22 hours before the newest point is kept
    assert len(store.read_points(ids(0), 0, int(oldest))) == 0
    assert len(store.read_points(ids(0), int(oldest), FOREVER)) == 16 * 12


def test_a_clock_that_jumps_deletes_nothing(stores: SqliteStores) -> None:
    store = stores.writer(StoreSettings(retention_nano=DAY, reserve_bytes=0))
    store.commit(tick(0))
    store.commit(tick(0, start=START + 20 * HOUR))
    store.commit(Commit(episodes=[episode("a", START, START + 1)]))
    for now in (START + 21 * HOUR, START + 44 * HOUR, START + 3650 * DAY, START - 3650 * DAY):
        maintain_all(store, now)
        assert len(read_all(store).points) == 10
        assert len(store.episodes(0, FOREVER)) == 1


def test_nothing_is_deleted_while_the_clock_is_a_day_ahead_of_the_data(stores: SqliteStores) -> None:
    store = stores.writer()
    last = fill(store, 5, every=2 * HOUR)
    store.close()
    store = stores.writer(StoreSettings(retention_nano=DAY, reserve_bytes=0))
    held = len(read_all(store).points)
    maintain_all(store, last + DAY + 1)
    assert len(read_all(store).points) == held
    maintain_all(store, last + DAY - HOUR)
    assert len(read_all(store).points) < held


def test_old_episodes_and_incidents_go_with_retention(stores: SqliteStores) -> None:
    store = stores.writer(StoreSettings(retention_nano=DAY, reserve_bytes=0))
    store.commit(Commit(episodes=[episode("old", START, START + 1), episode("open", START, None)]))
    store.commit(Commit(incidents=[incident("old", START, START + 1), incident("open", START, None)]))
    store.commit(tick(0, start=START + 3 * DAY))
    maintain_all(store, START + 3 * DAY)
    assert [e.episode_id for e in store.episodes(0, FOREVER)] == ["open"]
    assert [each.incident_id for each in store.incidents(0, FOREVER)] == ["open"]


@pytest.mark.parametrize("damage", ["flipped", "of an older version", "empty", "no bytes"])
def test_a_model_that_cannot_be_read_costs_nobody_but_its_series(stores: SqliteStores, damage: str) -> None:
    store = stores.writer()
    store.commit(Commit(models=[model(1, 5), model(2, 6)]))
    ((body,),) = store._connection.execute("SELECT body FROM model WHERE series = 1")
    spoiled = {
        "flipped": body[:9] + bytes([body[9] ^ 4]) + body[10:],
        "of an older version": seal(zlib.compress(b'{"series": 1, "version": 5}'), 1),
        "empty": b"",
        "no bytes": "text",
    }
    store._connection.execute("UPDATE model SET body = ? WHERE series = 1", (spoiled[damage],))
    unreadable, sound = store.models()
    assert sound == model(2, 6)
    assert (unreadable.series, unreadable.version, unreadable.parameters) == (1, 5, b"")
    assert FleetModel.from_records([unreadable]).unreadable == 1
    assert Drawn.of(unreadable) is None


def test_keys_that_are_known_are_not_read_again_and_those_not_committed_yet_are_left_out(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(Commit(series=[(number, series_key(number)) for number in range(3)]))
    known = [series_key(number) for number in range(5)]
    for held in (known, known[:3], known[:2], []):
        with closing(open_reader(stores.directory, partial(list, held))) as reader:
            found = reader.catalog(from_series=1)
        assert found == [(1, series_key(1)), (2, series_key(2))]
        assert [key is known[series] for series, key in found] == [len(held) > 2] * 2


def test_only_three_versions_of_a_model_are_kept(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(Commit(models=[model(1, version) for version in range(5)] + [model(2, 1)]))
    assert count(store, "model") == 4


def test_receipts_are_bounded(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector_processor.store.receipts.MOST", 10)
    store = stores.writer()
    receipts = [RequestReceipt(number.to_bytes(16, "big"), START + number, 1, {}) for number in range(25)]
    for first in range(0, 25, 4):
        store.commit(Commit(receipts=receipts[first : first + 4]))
    assert store.receipts(0) == receipts[-13:]  # whole commits: less would be 9
    assert store.receipts(START + 23) == receipts[-2:]


def test_receipts_of_an_older_version_are_taken_over(stores: SqliteStores) -> None:
    writer = stores.writer()
    receipts = [RequestReceipt(bytes([number]) * 16, START - number, number, {"late": 1}) for number in range(3)]
    make_receipts_rows(writer, receipts)
    writer.close()
    again = stores.writer()
    assert again.receipts(0) == receipts[::-1]
    again.close()
    assert stores.writer().receipts(0) == receipts[::-1]


def test_a_full_outbox_drops_the_oldest_and_counts_them(stores: SqliteStores) -> None:
    store = stores.writer(StoreSettings(outbox_max_bytes=1000, reserve_bytes=0))
    for number in range(1, 15):
        store.commit(Commit(outbox=[outbox_item(number)]))
    waiting = store.outbox.waiting(after=0, limit=100)
    assert [w.item.items for w in waiting] == list(range(15 - len(waiting), 15))
    assert 5 <= len(waiting) <= 10
    assert store.outbox.dropped == {"default": sum(range(1, 15 - len(waiting)))}
    store.outbox.done("default", waiting[-1].item_id)
    assert store.outbox.sizes() == {}


def test_a_full_queue_costs_no_other_queue_anything(stores: SqliteStores) -> None:
    settings = StoreSettings(outbox_max_bytes=100_000, outbox_limits={"dead": 1000}, reserve_bytes=0)
    store = stores.writer(settings)
    for number in range(1, 31):
        store.commit(Commit(outbox=[replace(outbox_item(number), destinations=("dead", "alive"))]))
    assert store.outbox.sizes()["alive"] == (30, 3000)
    kept, held = store.outbox.sizes()["dead"]
    assert held <= 1000
    assert store.outbox.dropped == {"dead": sum(range(1, 31 - kept))}
    assert [w.item.items for w in store.outbox.waiting(after=0, limit=99, destination="dead")] == list(
        range(31 - kept, 31)
    )


def test_the_outbox_stays_bounded_after_a_restart(stores: SqliteStores) -> None:
    settings = StoreSettings(outbox_max_bytes=1000, reserve_bytes=0)
    store = stores.writer(settings)
    store.commit(Commit(outbox=[outbox_item(number) for number in range(9)]))
    store.close()
    store = stores.writer(settings)
    store.commit(Commit(outbox=[outbox_item(number) for number in range(9)]))
    assert store.outbox.sizes()["default"][1] <= 1000


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def commit_until_refused(store: SqliteWriter, series: int = 5) -> tuple[int, StoreError]:
    """Return how many ticks are stored, beginning with tick 0, and why no more."""
    for number in range(1000):
        try:
            store.commit(tick(number, series))
        except StoreError as refused:
            return number, refused
    raise AssertionError("the store took everything")


def test_a_disk_that_takes_no_more_keeps_what_it_has_and_recovers(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(tick(0))
    log = stores.directory / f"{DATABASE}-wal"
    with no_file_larger_than(log.stat().st_size + 60_000):
        stored, refused = commit_until_refused(store)
    assert "disk" in str(refused)
    assert "INSERT" not in str(refused)
    assert stored > 1
    assert len(read_all(store).points) == 5 * stored
    assert len(read_all(stores.reader()).points) == 5 * stored
    store.commit(tick(stored))
    store.close()
    assert len(read_all(stores.writer()).points) == 5 * (stored + 1)


def test_a_full_disk_keeps_what_it_has_and_recovers(stores: SqliteStores) -> None:
    store = stores.writer()
    ((pages,),) = store._connection.execute("PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    _, refused = commit_until_refused(store, series=200)
    assert "disk is full" in str(refused)
    held = len(read_all(store, series=200).points)
    with pytest.raises(StoreError, match="disk is full"):
        store.commit(tick(5000, series=200))
    assert held == len(read_all(store, series=200).points) > 0
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.commit(tick(5000, series=200))
    assert len(read_all(store, series=200).points) == held + 200


def test_commits_leave_a_reserve_of_free_disk(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(tick(0))
    store.close()
    store = stores.writer(StoreSettings(reserve_bytes=1 << 60))
    with pytest.raises(StoreError, match="nearly full"):
        store.commit(tick(1))
    store.maintain(START, 0.1)
    assert len(read_all(store).points) == 5
    assert SETTINGS.reserve_bytes == 0
    assert StoreSettings().reserve_bytes == 256 * MEBIBYTE


@pytest.mark.parametrize(
    "commit",
    [
        Commit(feedback=[Feedback("f", 0, Answer.EXPECTED, "e", 0, 1, 1.5, START, "a", 1.0, 1.2)]),
        Commit(blobs={"name": b""}),
        Commit(forget_events_before=START),
    ],
    ids=["an answer", "a blob", "what is forgotten"],
)
def test_whatever_is_written_asks_for_room(stores: SqliteStores, commit: Commit) -> None:
    store = stores.writer(StoreSettings(reserve_bytes=1 << 60))
    with pytest.raises(StoreError, match="nearly full"):
        store.commit(commit)
    assert store.feedback() == []


def test_a_head_that_nobody_maintains_stays_bounded(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector_processor.store.housekeeping._HEAD_POINTS", 250)
    store = stores.writer()
    for number in range(400):
        store.commit(tick(number))
    assert count(store, "head") < 150
    assert len(read_all(store).points) == 2000


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStores(tmp_path / "file", None).writer()  # type: ignore[arg-type]


@contextmanager
def nobody() -> Iterator[None]:
    """Have no rights but those everybody has, where root runs the tests; else it is so already."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def opened_to_all() -> Iterator[Path]:
    """A directory that users other than the owner may look into, as they may not into those of the tests."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_a_directory_without_permission_is_refused(opened_to_all: Path) -> None:
    opened_to_all.chmod(0o500)
    with nobody(), pytest.raises(StoreError, match="cannot be used: Permission denied"):
        open_writer(opened_to_all / "store", SETTINGS)


@pytest.mark.parametrize("what", ["directory", "database", "lock"])
def test_a_store_that_may_only_be_read_is_refused_and_says_what_to_look_at(opened_to_all: Path, what: str) -> None:
    directory = opened_to_all / "store"
    with closing(open_writer(directory, SETTINGS)) as store:
        store.commit(tick(0))
    if os.geteuid() == 0:
        for path in (directory, *directory.iterdir()):
            os.chown(path, 65534, 65534)
    denied = {"directory": directory, "database": directory / DATABASE, "lock": directory / "lock"}[what]
    denied.chmod(0o500 if denied.is_dir() else 0o400)
    before = (directory / DATABASE).read_bytes()
    with nobody(), pytest.raises(StoreError, match=r"Permission denied|check owner and permissions"):
        open_writer(directory, SETTINGS)
    assert (directory / DATABASE).read_bytes() == before
    denied.chmod(0o700)


def test_a_store_of_another_user_is_refused(opened_to_all: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is somebody else")
    open_writer(opened_to_all / "store", SETTINGS).close()
    with nobody(), pytest.raises(StoreError, match="cannot be used: Permission denied"):
        open_writer(opened_to_all / "store", SETTINGS)


def test_a_large_read_is_sorted_and_whole(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(130):
        store.commit(tick(number, series=300))
    store.commit(Commit(points=points([(7, START + 30 * MINUTE + 1, 1.0)])))
    maintain_all(store, START + 131 * MINUTE)
    store.commit(Commit(points=points([(7, START + 30 * MINUTE + 2, 2.0)])))
    found = store.read_points(np.arange(300, dtype=np.int32), START, START + HOUR)
    assert len(found) == 300 * 60 + 2
    key = found.series.astype(np.int64) * DAY + found.time_unix_nano - START
    assert bool((np.diff(key) > 0).all())
