"""Receipts of the requests of a commit, together as one row behind those before: one page, however many they are.

A row for each, found by its digest, meant another page of the database for every request of a commit.
"""

import json
import sqlite3
from collections.abc import Sequence

from collector_processor.clock import HOUR
from collector_processor.store.base import RequestReceipt
from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.store.connection import transaction
from collector_processor.store.faults import translated

LIFETIME = HOUR
MOST = 200_000
_MOVED_AT_ONCE = 1_000


def put(connection: sqlite3.Connection, receipts: Sequence[RequestReceipt]) -> None:
    """Keep receipts, and of older ones those of commits within the last hour, while they are not too many."""
    ((before,),) = connection.execute("SELECT coalesce(max(id), 0) FROM taken")
    last, newest = before + len(receipts), max(receipt.received_unix_nano for receipt in receipts)
    connection.execute("INSERT INTO taken (id, received, body) VALUES (?, ?, ?)", (last, newest, _body(receipts, last)))
    connection.execute(
        "DELETE FROM taken WHERE id < (SELECT id FROM taken WHERE received >= ? AND id > ? ORDER BY id LIMIT 1)",
        (newest - LIFETIME, last - MOST),
    )


def since(connection: sqlite3.Connection, received: int) -> list[RequestReceipt]:
    """Return receipts of requests taken since then, in order of commit."""
    rows = connection.execute("SELECT id, body FROM taken WHERE received >= ? ORDER BY id", (received,)).fetchall()
    receipts = [
        RequestReceipt(bytes.fromhex(digest), *rest)
        for last, body in rows
        for digest, *rest in json.loads(unseal(body, last, "receipts"))
    ]
    return [receipt for receipt in receipts if receipt.received_unix_nano >= received]


def move_rows(connection: sqlite3.Connection) -> None:
    """Move the receipts of an older version, once.

    Raises:
        StoreError: if they cannot be read or moved; they are where they were.
    """
    with translated():
        ((is_old,),) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'receipt'")
    if not is_old:
        return
    with transaction(connection):
        rows = connection.execute("SELECT digest, received, body FROM receipt ORDER BY received").fetchall()
        found = [_moved(*row) for row in rows]
        for first in range(0, len(found), _MOVED_AT_ONCE):
            put(connection, found[first : first + _MOVED_AT_ONCE])
        connection.execute("DROP TABLE receipt")


def _body(receipts: Sequence[RequestReceipt], last: int) -> bytes:
    """Return the row of receipts whose last one has this number."""
    rows = [(r.digest.hex(), r.received_unix_nano, r.stored, r.rejected) for r in receipts]
    return seal(json.dumps(rows).encode(), last)


def _moved(digest: bytes, received: int, body: bytes) -> RequestReceipt:
    return RequestReceipt(digest, received, *json.loads(unseal(body, text_key(digest) + received, "receipt")))
