import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.store.base import Commit
from collector_processor.store.faults import DamagedStoreError
from collector_processor.store.files import DATABASE
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer
from collector_processor.telemetry.points import PointBatch
from tests.store.batches import (
    START,
    episode,
    event_batch,
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
from tests.store.conftest import SETTINGS, SqliteStores
from tests.store.crash_loop import SERIES
from tests.store.takeover_loop import COMMITS, RECEIPTS, WAITING
from tests.store.takeover_loop import SERIES as SERIES_OF_OLD

ROOT = Path(__file__).parents[2]
LOG = f"{DATABASE}-wal"

READ_ON_REQUEST = """
import sys
from pathlib import Path
from collector_processor.store.sqlite import open_reader
from tests.store.batches import read_all
reader = open_reader(Path(sys.argv[1]))
for _ in sys.stdin:
    print(len(read_all(reader).points), flush=True)
"""


def test_nothing_acknowledged_is_lost_in_twenty_kills(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.store.crash_loop", str(tmp_path / "store"), "20"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == 20
    assert rounds[-1]["told"] > 200
    assert [r["missing"] for r in rounds] == [0] * 20
    assert [r["twice"] for r in rounds] == [0] * 20
    assert all(r["beyond"] in {0, SERIES} for r in rounds)  # the commit that was not told may be there
    for r in rounds:
        held = r["told"] + r["beyond"] // SERIES
        assert sorted(set(r["unsent"])) == list(range(r["unsent"][0], held))  # one not told is committed again
        assert held - 30 <= r["unsent"][0] <= held - 5  # what was done is not sent again, and nothing else is missing


def test_a_takeover_of_an_older_store_that_is_killed_anywhere_is_finished_by_the_next_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.store.takeover_loop", str(tmp_path), "12"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    whole = {
        "waiting": list(range(1, WAITING + 1)),
        "points": COMMITS * SERIES_OF_OLD,
        "receipts": list(range(RECEIPTS)),
        "copied": WAITING,
        "copy": "ok",
        "left": [],
    }
    assert [json.loads(line) for line in done.stdout.splitlines()] == [whole] * 12


def test_another_process_sees_each_commit(stores: SqliteStores) -> None:
    writer = stores.writer()
    command = [sys.executable, "-c", READ_ON_REQUEST, str(stores.directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for number in range(130):
            writer.commit(tick(number))
            writer.maintain(START + number * MINUTE, 0.01)
            other.stdin.write("\n")
            other.stdin.flush()
            assert int(other.stdout.readline()) == 5 * (number + 1)
        other.stdin.close()


def image(directory: Path, target: Path) -> Path:
    """Copy a store as a crash would leave it, the writer still open."""
    target.mkdir(mode=0o700)
    for path in directory.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, target)
    return target


@contextmanager
def opened(directory: Path, settings: StoreSettings = SETTINGS) -> Iterator[SqliteWriter]:
    with closing(open_writer(directory, settings)) as store:
        yield store


def test_a_store_killed_before_compaction_compacts_everything_later(stores: SqliteStores, tmp_path: Path) -> None:
    store = stores.writer()
    for number in range(100):
        store.commit(tick(number))
    before = read_all(store)
    with opened(image(stores.directory, tmp_path / "image")) as again:
        again.commit(tick(0, start=START + DAY))
        maintain_all(again, START + DAY)
        again.commit(tick(0, start=START + 3 * DAY))
        maintain_all(again, START + 3 * DAY)
        found = again.read_judged(before.points.series, 0, START + DAY)
        assert same_bits(found.points, before.points)
        assert same_verdicts(found.verdicts, before.verdicts)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_a_lost_log_is_noticed(stores: SqliteStores, tmp_path: Path, damage: str) -> None:
    store = stores.writer()
    for number in range(10):
        store.commit(tick(number))
    target = image(stores.directory, tmp_path / "image")
    log = target / LOG
    if damage == "gone":
        log.unlink()
    else:
        os.truncate(log, 0 if damage == "empty" else log.stat().st_size - 4096)
    before = (target / DATABASE).read_bytes()
    with pytest.raises(DamagedStoreError, match="acknowledged commits are missing"):
        open_writer(target, SETTINGS)
    assert (target / DATABASE).read_bytes() == before


def test_a_store_that_lost_commits_goes_on_when_told_to(stores: SqliteStores, tmp_path: Path) -> None:
    store = stores.writer()
    for number in range(10):
        store.commit(tick(number))
    target = image(stores.directory, tmp_path / "image")
    os.truncate(target / LOG, (target / LOG).stat().st_size - 4096)
    with opened(target, StoreSettings(reserve_bytes=0, accept_loss=True)) as again:
        assert 0 < len(read_all(again).points) < 50
        again.commit(tick(20))
        held = len(read_all(again).points)
    with opened(target) as again:
        assert len(read_all(again).points) == held


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_lost_database_never_starts_empty(stores: SqliteStores, damage: str) -> None:
    store = stores.writer()
    store.commit(tick(0))
    store.close()
    if damage == "gone":
        (stores.directory / DATABASE).unlink()
    else:
        (stores.directory / DATABASE).write_bytes(b"")
    with pytest.raises(StoreError, match="acknowledged commits are missing"):
        open_writer(stores.directory, SETTINGS)


def with_a_short_log(stores: SqliteStores) -> PointBatch:
    """Leave three commits in the log; return all points."""
    store = stores.writer()
    store.commit(tick(0))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(1, 4):
        store.commit(tick(number))
    return read_all(store).points


def test_a_log_cut_anywhere_is_whole_or_loud(stores: SqliteStores, tmp_path: Path) -> None:
    before = with_a_short_log(stores)
    size = (stores.directory / LOG).stat().st_size
    target = image(stores.directory, tmp_path / "image")
    for length in range(0, size, 512):
        restore(stores.directory, target)
        os.truncate(target / LOG, length)
        with pytest.raises(DamagedStoreError, match="acknowledged commits are missing"):
            open_writer(target, SETTINGS)
    restore(stores.directory, target)
    with opened(target) as again:
        assert same_bits(read_all(again).points, before)


def test_a_flipped_bit_in_the_log_is_harmless_or_loud(stores: SqliteStores, tmp_path: Path) -> None:
    before = with_a_short_log(stores)
    target, offsets, loud = image(stores.directory, tmp_path / "image"), random.Random(5), 0
    original = (target / LOG).read_bytes()
    for _ in range(100):
        restore(stores.directory, target)
        flipped, at = bytearray(original), offsets.randrange(len(original))
        flipped[at] ^= 1 << offsets.randrange(8)
        (target / LOG).write_bytes(flipped)
        try:
            with opened(target) as again:
                assert same_bits(read_all(again).points, before), f"a flipped bit at {at} went unnoticed"
        except DamagedStoreError:
            loud += 1
    assert loud > 90


def restore(directory: Path, target: Path) -> None:
    """Make an image anew."""
    shutil.rmtree(target)
    image(directory, target)


def test_a_damaged_mark_costs_only_the_check(stores: SqliteStores, tmp_path: Path) -> None:
    before = with_a_short_log(stores)
    target = image(stores.directory, tmp_path / "image")
    (target / "acknowledged").write_bytes(bytes(3))
    with opened(target) as again:
        assert same_bits(read_all(again).points, before)


def contents(store: SqliteWriter) -> list[object]:
    """Return everything a store holds, comparable."""
    held = read_all(store)
    columns = (
        held.points.series,
        held.points.time_unix_nano,
        held.points.value,
        held.verdicts.yhat,
        held.verdicts.score,
    )
    return [
        [column.tobytes() for column in columns],
        store.last_points().value.tobytes(),
        store.first_times()[1].tobytes(),
        store.catalog(),
        store.events().time_unix_nano.tolist(),
        repr(store.episodes(0, 1 << 62)),
        store.models(),
        store.blob("detector"),
        store.outbox.waiting(after=0, limit=100),
    ]


def test_a_flipped_bit_is_harmless_or_loud(stores: SqliteStores, tmp_path: Path) -> None:
    store = stores.writer()
    for number in range(0, 30 * 60, 10):
        store.commit(tick(number))
    records = Commit(
        series=[(number, series_key(number)) for number in range(40)],
        events=event_batch(START, START + 1),
        episodes=[episode("a", START, None)],
        models=[model(number, 1) for number in range(20)],
        blobs={"detector": bytes(range(256)) * 160},
        outbox=[outbox_item(number, 3000) for number in range(10)],
    )
    store.commit(records)
    maintain_all(store, START + 30 * HOUR)
    store.commit(Commit(points=points([(1, START, 7.0)])))
    before = contents(store)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    target = image(stores.directory, tmp_path / "image")
    original = (target / DATABASE).read_bytes()
    offsets, loud = random.Random(3), 0
    for _ in range(150):
        at = offsets.randrange(len(original))
        flipped = bytearray(original)
        flipped[at] ^= 1 << offsets.randrange(8)
        (target / DATABASE).write_bytes(flipped)
        try:
            with opened(target) as again:
                if any(not record.parameters for record in again.models()):
                    loud += 1  # a damaged model is counted, and its series fitted anew
                else:
                    assert contents(again) == before, f"a flipped bit at {at} went unnoticed"
        except StoreError:
            loud += 1
        for leftover in target.glob("*-*"):
            leftover.unlink()
    assert loud > 20


def test_garbage_instead_of_a_database_is_loud(stores: SqliteStores) -> None:
    stores.writer().close()
    (stores.directory / DATABASE).write_bytes(random.Random(1).randbytes(20_000))
    with pytest.raises(DamagedStoreError, match="restore the directory from a backup"):
        open_writer(stores.directory, SETTINGS)
    with pytest.raises(DamagedStoreError, match="restore"):
        open_reader(stores.directory)
