"""The queue of requests waiting to be forwarded, bounded in bytes: when it is full, the oldest make room."""

import sqlite3
from collections.abc import Sequence

from collector_processor.store.base import OutboxItem, StoredOutboxItem
from collector_processor.store.codec import seal, text_key, unseal


def put(connection: sqlite3.Connection, items: Sequence[OutboxItem]) -> None:
    """Append items."""
    connection.executemany(
        "INSERT INTO outbox (signal, items, size, payload) VALUES (?, ?, ?, ?)",
        (
            (item.signal, item.items, len(item.payload), seal(item.payload, _key(item.signal, item.items)))
            for item in items
        ),
    )


def remove(connection: sqlite3.Connection, item_ids: Sequence[int]) -> None:
    """Delete items that were forwarded."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", ((item_id,) for item_id in item_ids))


def drop_oldest(connection: sqlite3.Connection, excess_bytes: int) -> int:
    """Delete the oldest requests until `excess_bytes` are free; return how many telemetry items they held."""
    dropped, last_id = 0, 0
    for item_id, items, length in connection.execute("SELECT id, items, size FROM outbox ORDER BY id"):
        if excess_bytes <= 0:
            break
        last_id, dropped, excess_bytes = item_id, dropped + items, excess_bytes - length
    connection.execute("DELETE FROM outbox WHERE id <= ?", (last_id,))
    return dropped


def waiting(connection: sqlite3.Connection, after: int, limit: int) -> list[StoredOutboxItem]:
    """Return up to `limit` items with id > `after`, ascending."""
    found = connection.execute(
        "SELECT id, signal, items, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()
    return [
        StoredOutboxItem(item_id, OutboxItem(signal, items, unseal(payload, _key(signal, items), "outbox item")))
        for item_id, signal, items, payload in found
    ]


def size(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of waiting items and their payload bytes."""
    count, total = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()
    return int(count), int(total)


def _key(signal: str, items: int) -> int:
    return text_key(signal) + items
