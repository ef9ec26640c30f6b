"""The queues of requests waiting to be forwarded, one per destination, each bounded in bytes: the oldest make room."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from collector_processor.store.base import DEFAULT_DESTINATION, OutboxItem, StoredOutboxItem
from collector_processor.store.codec import seal, text_key, unseal


def put(connection: sqlite3.Connection, items: Sequence[OutboxItem]) -> None:
    """Append items."""
    connection.executemany(
        "INSERT INTO outbox (signal, items, size, payload, destination) VALUES (?, ?, ?, ?, ?)",
        ((i.signal, i.items, len(i.payload), seal(i.payload, _key(i)), i.destination) for i in items),
    )


def remove(connection: sqlite3.Connection, item_ids: Sequence[int]) -> None:
    """Delete items that were forwarded."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", ((item_id,) for item_id in item_ids))


def drop_oldest(connection: sqlite3.Connection, destination: str, excess_bytes: int) -> int:
    """Delete the oldest requests of a queue until `excess_bytes` are free; return how many items they held."""
    dropped, last_id = 0, 0
    for item_id, items, length in connection.execute(
        "SELECT id, items, size FROM outbox WHERE destination = ? ORDER BY id", (destination,)
    ):
        if excess_bytes <= 0:
            break
        last_id, dropped, excess_bytes = item_id, dropped + items, excess_bytes - length
    connection.execute("DELETE FROM outbox WHERE destination = ? AND id <= ?", (destination, last_id))
    return dropped


def waiting(connection: sqlite3.Connection, destination: str, after: int, limit: int) -> list[StoredOutboxItem]:
    """Return up to `limit` items of a queue with id > `after`, ascending."""
    found = connection.execute(
        "SELECT id, signal, items, payload FROM outbox WHERE destination = ? AND id > ? ORDER BY id LIMIT ?",
        (destination, after, limit),
    ).fetchall()
    return [
        _stored(item_id, OutboxItem(signal, items, payload, destination)) for item_id, signal, items, payload in found
    ]


def sizes(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return, by destination, the number of waiting items and their payload bytes."""
    found = connection.execute("SELECT destination, count(*), sum(size) FROM outbox GROUP BY destination").fetchall()
    return {destination: (int(count), int(total)) for destination, count, total in found}


def _stored(item_id: int, sealed: OutboxItem) -> StoredOutboxItem:
    return StoredOutboxItem(item_id, replace(sealed, payload=unseal(sealed.payload, _key(sealed), "outbox item")))


def _key(item: OutboxItem) -> int:
    """Return what an item's checksum covers beside its payload; items of the first version had no destination."""
    named = 0 if item.destination == DEFAULT_DESTINATION else text_key(item.destination)
    return text_key(item.signal) + item.items + named
