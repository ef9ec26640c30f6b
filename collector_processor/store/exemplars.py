"""Links from series to traces, as rows of their own table."""

import sqlite3
import struct
from collections.abc import Sequence

from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.points import Int32

_VALUE = struct.Struct("<d")


def put(connection: sqlite3.Connection, links: Sequence[TraceLink]) -> None:
    """Add links; one that is there already is written over."""
    connection.executemany(
        "INSERT OR REPLACE INTO exemplar (series, time, trace, body) VALUES (?, ?, ?, ?)",
        (
            (
                link.series,
                link.time_unix_nano,
                link.trace_id,
                seal(_VALUE.pack(link.value) + link.span_id, _key(link.series, link.time_unix_nano, link.trace_id)),
            )
            for link in links
        ),
    )


def between(connection: sqlite3.Connection, start: int, end: int, series: Int32 | None) -> list[TraceLink]:
    """Return links in `[start, end)`, ascending by time; a store that no writer of this version has opened has none."""
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'exemplar'").fetchone()[0]:
        return []
    found = connection.execute(
        "SELECT series, time, trace, body FROM exemplar WHERE time >= ? AND time < ? ORDER BY time, series, trace",
        (start, end),
    ).fetchall()
    wanted = None if series is None else set(series.tolist())
    return [_decode(*row) for row in found if wanted is None or row[0] in wanted]


def forget(connection: sqlite3.Connection, before: int) -> None:
    """Delete links older than that."""
    connection.execute("DELETE FROM exemplar WHERE time < ?", (before,))


def _decode(series: int, time: int, trace: bytes, body: bytes) -> TraceLink:
    raw = unseal(body, _key(series, time, trace), "exemplar")
    return TraceLink(series, time, _VALUE.unpack_from(raw)[0], trace, raw[_VALUE.size :])


def _key(series: int, time: int, trace: bytes) -> int:
    return text_key(trace) + time + series
