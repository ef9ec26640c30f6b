"""Turn a store into what the first version would have left."""

import json
from collections.abc import Iterable

from collector_processor.store.base import OutboxItem, RequestReceipt
from collector_processor.store.codec import seal, text_key
from collector_processor.store.sqlite import SqliteWriter

_RECEIPTS_AS_ROWS = (
    "DROP TABLE taken",
    "CREATE TABLE receipt (digest BLOB PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX receipt_received ON receipt (received)",
    "PRAGMA user_version = 8",
)
_STATEMENTS = (
    "DROP TABLE sheet",
    "DROP TABLE sheet_ends",
    "DROP TABLE rollup",
    "ALTER TABLE part DROP COLUMN step",
    "DROP TABLE exemplar",
    "DROP TABLE feedback",
    "DROP TABLE incident",
    "DROP INDEX chunk_times",
    "DROP TABLE outbox_log",
    """CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, items INTEGER NOT NULL,
           size INTEGER NOT NULL, payload BLOB NOT NULL)""",
    "CREATE INDEX outbox_size ON outbox (size, items)",
    "PRAGMA user_version = 1",
)


def make_old(store: SqliteWriter, waiting: Iterable[OutboxItem], receipts: Iterable[RequestReceipt] = ()) -> None:
    """Take a store back, with what waits in its outbox and what was received; it must be closed after that."""
    make_receipts_rows(store, receipts)
    execute = store._connection.execute
    for statement in _STATEMENTS:
        execute(statement)
    for item in waiting:
        sealed = seal(item.payload, text_key(item.signal) + item.items)
        row = (item.signal, item.items, len(item.payload), sealed)
        execute("INSERT INTO outbox (signal, items, size, payload) VALUES (?, ?, ?, ?)", row)


def make_receipts_rows(store: SqliteWriter, receipts: Iterable[RequestReceipt]) -> None:
    """Take a store back to version 8, with what was received; it must be closed after that."""
    execute = store._connection.execute
    for statement in _RECEIPTS_AS_ROWS:
        execute(statement)
    for receipt in receipts:
        body = json.dumps([receipt.stored, receipt.rejected]).encode()
        sealed = seal(body, text_key(receipt.digest) + receipt.received_unix_nano)
        execute("INSERT INTO receipt VALUES (?, ?, ?)", (receipt.digest, receipt.received_unix_nano, sealed))
