"""Incidents as rows of their own table."""

import sqlite3
from collections.abc import Sequence

import orjson

from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.telemetry.incident import Incident


def put(connection: sqlite3.Connection, incidents: Sequence[Incident]) -> None:
    """Write incidents over those with the same id."""
    connection.executemany(
        "INSERT OR REPLACE INTO incident (id, start_time, end_time, body) VALUES (?, ?, ?, ?)",
        (
            (
                each.incident_id,
                each.start_unix_nano,
                each.end_unix_nano,
                seal(orjson.dumps(each.fields()), text_key(each.incident_id)),
            )
            for each in incidents
        ),
    )


def between(connection: sqlite3.Connection, start: int, end: int) -> list[Incident]:
    """Return incidents that overlap `[start, end)`, ascending by start."""
    if not _has_table(connection):
        return []
    found = connection.execute(
        "SELECT id, body FROM incident WHERE start_time < ?2"
        " AND (start_time >= ?1 OR end_time > ?1 OR end_time IS NULL) ORDER BY start_time, id",
        (start, end),
    ).fetchall()
    return [_decode(*row) for row in found]


def one(connection: sqlite3.Connection, incident_id: str) -> Incident | None:
    """Return the incident of that id."""
    if not _has_table(connection):
        return None
    found = connection.execute("SELECT id, body FROM incident WHERE id = ?", (incident_id,)).fetchone()
    return None if found is None else _decode(*found)


def forget(connection: sqlite3.Connection, before: int) -> None:
    """Delete incidents that ended before then."""
    connection.execute("DELETE FROM incident WHERE end_time < ?", (before,))


def _has_table(connection: sqlite3.Connection) -> bool:
    """Tell whether a writer of this version has ever opened the store."""
    found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'incident'").fetchone()
    return bool(found[0])


def _decode(name: str, body: bytes) -> Incident:
    return Incident.from_fields(orjson.loads(unseal(body, text_key(name), "incident")))
