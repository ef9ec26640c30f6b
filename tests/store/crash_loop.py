"""A writer that is killed again and again; run as a program, because it forks.

    python -m tests.store.crash_loop DIRECTORY ROUNDS

Each round forks a child that opens the store, commits batches and tells each number after `commit` returned. The parent
kills it at a random moment, opens the store itself and prints one line of JSON: how many batches were told
in all, how many points of those are missing, and how many the store holds beyond them or twice.
"""

import json
import os
import random
import select
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.store.base import OutboxItem
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_writer
from tests.store.batches import FOREVER, START, tick

SERIES = 40
STEP_MINUTES = 5
SETTINGS = StoreSettings(reserve_bytes=0)
_COMMITS_BETWEEN_SENDS, _COMMITS_LEFT = 20, 5


def main(directory: Path, rounds: int) -> None:
    moments, told = random.Random(7), 0
    for _ in range(rounds):
        told = kill_a_writer(directory, told, wanted=moments.randrange(1, 60), extra=moments.random() * 0.01)
        sys.stdout.write(json.dumps(examine(directory, told)) + "\n")


def kill_a_writer(directory: Path, told: int, *, wanted: int, extra: float) -> int:
    """Return the number of batches the writer told before it died."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        write_forever(directory, told, sender)
    os.close(sender)
    goal = told + wanted
    while told < goal:
        told = last_number(os.read(receiver, 8 * 1024), told)
    select.select([], [], [], extra)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while rest := os.read(receiver, 8 * 1024):
        told = last_number(rest, told)
    os.close(receiver)
    return told


def write_forever(directory: Path, done: int, sender: int) -> None:
    """Commit batch after batch, housekeeping between them, and tell each."""
    store = open_writer(directory, SETTINGS)
    while True:
        store.commit(replace(tick(done * STEP_MINUTES, SERIES), outbox=[request(done)]))
        done += 1
        if done % _COMMITS_BETWEEN_SENDS == 0:
            send(store, done - _COMMITS_LEFT)
        os.write(sender, done.to_bytes(8, "little"))
        store.maintain(START + done * STEP_MINUTES * MINUTE, 0.002)


def last_number(received: bytes, told: int) -> int:
    return int.from_bytes(received[-8:], "little") if received else told


def examine(directory: Path, told: int) -> dict[str, int | list[int]]:
    """Count what is missing of the batches that were told."""
    store = open_writer(directory, SETTINGS)
    found = store.read_points(np.arange(SERIES, dtype=np.int32), 0, FOREVER)
    sent = [tick(number * STEP_MINUTES, SERIES).points for number in range(told)]
    held = set(zip(found.series.tolist(), found.time_unix_nano.tolist(), found.value.tolist(), strict=True))
    due = {
        row
        for batch in sent
        for row in zip(batch.series.tolist(), batch.time_unix_nano.tolist(), batch.value.tolist(), strict=True)
    }
    unsent = [number_in(stored.item.payload) for stored in store.outbox.waiting(after=0, limit=10_000)]
    store.close()
    return {
        "told": told,
        "missing": len(due - held),
        "beyond": len(held - due),
        "twice": len(found) - len(held),
        "unsent": unsent,
    }


def request(number: int) -> OutboxItem:
    """Return the request that is forwarded with batch `number`."""
    return OutboxItem("metrics", SERIES, number.to_bytes(8, "little") * 1000)


def number_in(payload: bytes) -> int:
    """Return the number of a request's batch."""
    assert payload == payload[:8] * 1000
    return int.from_bytes(payload[:8], "little")


def send(store: SqliteWriter, before: int) -> None:
    """Be done with the requests of all batches before this one."""
    for stored in store.outbox.waiting(after=0, limit=_COMMITS_BETWEEN_SENDS):
        if number_in(stored.item.payload) < before:
            store.outbox.done("default", stored.item_id)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
