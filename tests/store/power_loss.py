"""What a power failure leaves of a store: images made from a journal of all a writer told the disk.

    python -m tests.store.power_loss IMAGES

A writer runs with `journal.c` preloaded. At random moments everything synced is there, and of what was not, each
sector of 512 bytes may be there or not, whatever was written after it. Removing a file may or may not have happened
before its directory is synced; a name that was made and not synced yet is not lost (ext4, XFS and APFS keep it with the
file). Every image is opened as a start would open it.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from collector_processor.clock import MINUTE
from collector_processor.errors import StoreError
from collector_processor.store import connection, segment_log
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from tests.store.batches import START, read_all, tick
from tests.store.crash_loop import number_in, request, send

SERIES, COMMITS, STEP_MINUTES = 40, 400, 5
SETTINGS = StoreSettings(reserve_bytes=0)
LEFT = 5
"""Requests of the last commits are not sent yet."""

TOLD = "told"
"""A file beside the store's: the writer puts a byte there for each acknowledged commit."""

_SECTOR = 512
_FIRST_CHANGES = 40
"""While the store is being made every moment counts."""

_ROOT = Path(__file__).parents[2]
_COMMITS_BETWEEN_STARTS = 90

Change = tuple[str, int, bytes]
"""w(rite) or t(runcate), where, and what."""


T = TypeVar("T")


@dataclass
class File:
    """What is surely on the disk, and what was written since."""

    durable: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        self.durable, self.pending = _apply(self.durable, self.pending), []

    def left(self, is_kept: Callable[[], bool]) -> bytes:
        """Return what a power failure may leave."""
        return _apply(self.durable, [piece for change in self.pending for piece in _sectors(change) if is_kept()])


@dataclass
class Disk:
    """The files of a directory."""

    files: dict[str, File] = field(default_factory=dict)
    removed: dict[str, File] = field(default_factory=dict)
    told: int = 0

    def take(self, kind: str, name: str, at: int, data: bytes) -> None:
        if name == TOLD:
            self.told += len(data)
        elif kind == "u":
            self.removed[name] = self.files.pop(name, File())
        elif not name:
            if kind == "s":
                self.removed.clear()
        elif kind == "s":
            self.files.setdefault(name, File()).sync()
        elif kind == "f":
            self.files.setdefault(name, File()).pending.clear()
        else:
            self.files.setdefault(name, File()).pending.append((kind, at, data))

    def image(self, target: Path, chance: random.Random) -> None:
        """Write what a power failure may leave now."""
        target.mkdir(mode=0o700)
        share = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        survivors = self.removed if chance.random() < 0.5 else {}
        for name, file in (survivors | self.files).items():
            if not name.endswith("-shm"):
                (target / name).write_bytes(file.left(lambda: chance.random() < share))


def build_shim(directory: Path) -> Path | None:
    """Compile the shim; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    target = directory / "journal.so"
    source = Path(__file__).with_name("journal.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl", "-lpthread"], check=True)
    return target


def record(shim: Path, directory: Path, *, synchronous: str = "FULL", fail_every: int = 0) -> Path:
    """Run a writer on a new store, on a disk where every so many syncs fail; return its journal."""
    journal = directory / "journal"
    environ = {
        "FOREBAND_JOURNAL": str(journal),
        "FOREBAND_JOURNAL_OF": str(directory / "store"),
        "FOREBAND_FAIL_EVERY": str(fail_every),
        "LD_PRELOAD": str(shim),
    }
    command = [sys.executable, "-m", "tests.store.power_loss", "write", str(directory / "store"), synchronous]
    subprocess.run(command, cwd=_ROOT, env={**os.environ, **environ}, check=True)
    return journal


def write(directory: Path, synchronous: str) -> None:
    """Commit, compact, check-point, close and open again; what is refused is sent again, as a sender would."""
    connection._PAGES_BEFORE_CHECKPOINT, segment_log.SEGMENT_BYTES = 60, 100_000
    store = patiently(lambda: open_writer(directory, SETTINGS))
    told = os.open(directory / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(COMMITS):
        if number % _COMMITS_BETWEEN_STARTS == 0:
            store.close()
            store = patiently(lambda: open_writer(directory, SETTINGS))
            store._connection.execute(f"PRAGMA synchronous = {synchronous}")
        patiently(partial(store.commit, replace(tick(number * STEP_MINUTES, SERIES), outbox=[request(number)])))
        os.write(told, b".")
        send(store, number - LEFT)
        with suppress(StoreError):
            store.maintain(START + number * STEP_MINUTES * MINUTE, 0.002)
    store.close()


def patiently(work: Callable[[], T]) -> T:
    while True:
        with suppress(StoreError):
            return work()


def changes(journal: Path) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield kind, name of the file, place and data, in order."""
    body, at = journal.read_bytes(), 0
    while at < len(body):
        kind, where, name, size = (int.from_bytes(body[at + 8 * i : at + 8 * i + 8], "little") for i in range(4))
        begin = at + 32 + name
        yield chr(kind), body[at + 32 : begin].decode(), where, body[begin : begin + size]
        at = begin + size


def verdicts(journal: Path, images: int, seed: int = 1) -> Counter[str]:
    """Open images of so many moments and of the first ones; count what a start finds."""
    chance, disk, found = random.Random(seed), Disk(), Counter[str]()
    story = list(changes(journal))
    moments = Counter(chance.randrange(1, len(story)) for _ in range(images))
    moments.update(range(1, _FIRST_CHANGES))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as space:
        for number, change in enumerate(story, 1):
            disk.take(*change)
            for _ in range(moments[number]):
                target = Path(space) / "image"
                disk.image(target, chance)
                found[verdict(target, disk.told)] += 1
                shutil.rmtree(target)
    return found


def verdict(directory: Path, told: int) -> str:
    """Say what a start finds where so many commits were acknowledged; one more may have become durable."""
    try:
        with closing(open_writer(directory, SETTINGS)) as store:
            held = read_all(store, SERIES).points
            unsent = [number_in(stored.item.payload) for stored in store.outbox.waiting(after=0, limit=10_000)]
            damaged = store.outbox.damaged
            store.commit(tick(COMMITS * STEP_MINUTES, SERIES))
    except StoreError as error:
        return f"refused: {error}"
    count = len(held) // SERIES
    if not told <= count <= told + 1:
        return "acknowledged commits lost"
    if damaged or unsent != list(range(unsent[0] if unsent else 0, count)) or count - len(unsent) > max(0, told - LEFT):
        return "requests to forward lost"
    expected = sorted(
        row
        for number in range(count)
        for batch in (tick(number * STEP_MINUTES, SERIES).points,)
        for row in zip(batch.series.tolist(), batch.time_unix_nano.tolist(), batch.value.tolist(), strict=True)
    )
    rows = zip(held.series.tolist(), held.time_unix_nano.tolist(), held.value.tolist(), strict=True)
    return "whole" if list(rows) == expected else "something else than was written"


def _sectors(change: Change) -> Iterator[Change]:
    kind, at, data = change
    if kind == "t":
        yield change
        return
    begin = 0
    while begin < len(data):
        end = min(len(data), begin + _SECTOR - (at + begin) % _SECTOR)
        yield kind, at + begin, data[begin:end]
        begin = end


def _apply(content: bytes, changes: list[Change]) -> bytes:
    body = bytearray(content)
    for kind, at, data in changes:
        if kind == "t":
            del body[at:]
            body.extend(bytes(at - len(body)))
        else:
            body.extend(bytes(max(0, at - len(body))))
            body[at : at + len(data)] = data
    return bytes(body)


def main(images: int) -> None:
    """Print what a start finds in so many images."""
    with tempfile.TemporaryDirectory() as space:
        shim = build_shim(Path(space))
        if shim is None:
            sys.exit("needs Linux and a C compiler")
        for text, count in verdicts(record(shim, Path(space)), images).items():
            sys.stdout.write(f"{count} {text}\n")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]))
