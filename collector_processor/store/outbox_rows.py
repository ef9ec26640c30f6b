"""What the database knows of the outbox: how far each log is committed; and the queue of older versions, moved once."""

import json
import logging
import sqlite3
from collections.abc import Mapping

from collector_processor.errors import StoreError
from collector_processor.store.base import DEFAULT_DESTINATION, OutboxItem
from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.store.connection import transaction
from collector_processor.store.faults import DamagedStoreError, translated
from collector_processor.store.outbox import Outbox
from collector_processor.store.segment_log import LogEnd

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 64


def ends(connection: sqlite3.Connection) -> dict[int, LogEnd]:
    """Return how far each log is committed."""
    with translated():
        found = connection.execute("SELECT id, body FROM outbox_log").fetchall()
    return {log_id: _end(*json.loads(unseal(body, log_id, "outbox log"))) for log_id, body in found}


def put_ends(connection: sqlite3.Connection, committed: Mapping[int, LogEnd]) -> None:
    """Write how far logs are committed."""
    connection.executemany(
        "INSERT OR REPLACE INTO outbox_log (id, body) VALUES (?, ?)",
        ((log_id, seal(json.dumps([*_fields(end)]).encode(), log_id)) for log_id, end in committed.items()),
    )


def move_rows(connection: sqlite3.Connection, outbox: Outbox) -> None:
    """Move what waits in the table of an older version into the outbox; what cannot be moved now waits for a start."""
    try:
        while _has_table(connection) and not _move_some(connection, outbox):
            pass
    except StoreError as error:
        log.error("requests of an older version wait for the next start: %s", error)  # noqa: TRY400


def _move_some(connection: sqlite3.Connection, outbox: Outbox) -> bool:
    """Move the oldest rows; drop the table and return True where there are none."""
    with translated():
        rows = connection.execute(
            "SELECT id, signal, items, payload, destination FROM outbox ORDER BY id LIMIT ?", (_ROWS_AT_ONCE,)
        ).fetchall()
    items = [item for row in rows for item in _item(*row)]
    with outbox.appended(items) as committed, transaction(connection):
        put_ends(connection, committed)
        connection.execute("DELETE FROM outbox WHERE id <= ?", (rows[-1][0] if rows else 0,))
        if not rows:
            connection.execute("DROP TABLE outbox")
    return not rows


def _item(row_id: int, signal: str, items: int, sealed: bytes, destination: str) -> list[OutboxItem]:
    """Return the item of a row, none where it is damaged; items of the first version had no destination."""
    named = 0 if destination == DEFAULT_DESTINATION else text_key(destination)
    try:
        payload = unseal(sealed, text_key(signal) + items + named, "outbox item")
    except DamagedStoreError:
        log.error("outbox row %d is damaged: %d %s items for %s are lost", row_id, items, signal, destination)  # noqa: TRY400
        return []
    return [OutboxItem(signal, items, payload, (destination,))]


def _has_table(connection: sqlite3.Connection) -> bool:
    with translated():
        ((count,),) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'")
    return bool(count)


def _end(destinations: list[str], segment: int, length: int, number: int) -> LogEnd:
    return LogEnd(tuple(destinations), segment, length, number)


def _fields(end: LogEnd) -> tuple[tuple[str, ...], int, int, int]:
    return end.destinations, end.segment, end.length, end.number
