"""A store of the first version whose new writer is killed while it takes it over; run as a program, because it forks.

    python -m tests.store.takeover_loop DIRECTORY STEPS

A child opens a copy of the old store and kills itself before its n-th SQL statement, for `STEPS` numbers spread over
all that there are. After each the store is opened whole, and one line of JSON says what is in it.
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from collector_processor.store.base import RequestReceipt
from collector_processor.store.files import DATABASE
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from tests.store.batches import FOREVER, START, outbox_item, tick
from tests.store.first_version import make_old

SETTINGS = StoreSettings(reserve_bytes=0)
COMMITS, SERIES, WAITING, RECEIPTS = 5, 5, 150, 30
NEVER = 1 << 62


def main(directory: Path, steps: int) -> None:
    old, target = directory / "old", directory / "target"
    with closing(open_writer(old, SETTINGS)) as store:
        for number in range(COMMITS):
            store.commit(tick(number, SERIES))
        receipts = [RequestReceipt(bytes([number]) * 16, START + number, number, {}) for number in range(RECEIPTS)]
        make_old(store, map(outbox_item, range(1, WAITING + 1)), receipts)
    statements = opened_and_killed(old, target, NEVER)
    for step in range(steps):
        opened_and_killed(old, target, 1 + statements * step // steps)
        sys.stdout.write(json.dumps(examine(target)) + "\n")


def opened_and_killed(old: Path, target: Path, before: int) -> int:
    """Open a copy of the old store in a child that dies before a statement; return how many it began."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(old, target)
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        os.close(receiver)
        open_and_die(target, before, sender)
    os.close(sender)
    with os.fdopen(receiver, "rb") as told:
        began = len(told.read())
    assert os.waitpid(child, 0)[1] == (0 if before == NEVER else signal.SIGKILL)
    return began


def open_and_die(target: Path, before: int, sender: int) -> NoReturn:
    """Kill this process before its n-th statement on any connection; tell each that begins."""
    numbers = count(1)

    def on_statement(_: str) -> None:
        if next(numbers) == before:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(sender, b".")

    class Watched(sqlite3.Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.set_trace_callback(on_statement)

    sqlite3.connect = partial(sqlite3.connect, factory=Watched)  # type: ignore[assignment]
    try:
        open_writer(target, SETTINGS)
    finally:
        os._exit(sys.exc_info()[0] is not None)


def examine(directory: Path) -> dict[str, object]:
    """Open the store as the next start would, and count."""
    with closing(open_writer(directory, SETTINGS)) as store:
        waiting = [queued.item.items for queued in store.outbox.waiting(after=0, limit=10_000)]
        points = len(store.read_points(np.arange(SERIES, dtype=np.int32), 0, FOREVER))
        receipts = [receipt.stored for receipt in store.receipts(0)]
    with closing(sqlite3.connect(directory / f"{DATABASE}.version-1")) as copy:
        ((copied,),) = copy.execute("SELECT count(*) FROM outbox").fetchall()
        ((verdict,),) = copy.execute("PRAGMA integrity_check").fetchall()
    left = [path.name for path in directory.iterdir() if path.suffix == ".part"]
    return {
        "waiting": waiting,
        "points": points,
        "receipts": receipts,
        "copied": copied,
        "copy": verdict,
        "left": left,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
