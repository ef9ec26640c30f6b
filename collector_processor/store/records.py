"""What else the store holds: series, events, episodes and named byte strings, as rows of their own tables."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from collector_processor.errors import StoreError
from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.telemetry.band import BAND_DTYPE, BandStates, unknown_bands
from collector_processor.telemetry.episode import Drift, Episode, Onset, Shift
from collector_processor.telemetry.points import EventBatch, Int32
from collector_processor.telemetry.series import SeriesKey

_BANDS, _PAST_BANDS = "\0bands/", "\0bands0"  # names no caller of `put_blob` can use
_BAND_LAYOUT = text_key(str(BAND_DTYPE.descr)).to_bytes(4, "little")
_BYTES_PER_EVENT = 4 + 8 + 8 + 1


def put_series(connection: sqlite3.Connection, series: Sequence[tuple[int, SeriesKey]]) -> None:
    """Add series; a series that is there already must be the same one.

    Raises:
        StoreError: if an id already names another series.
    """
    rows = [(series_id, seal(key.to_json().encode(), series_id)) for series_id, key in series]
    insert = "INSERT INTO series (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
    if not rows or connection.executemany(insert, rows).rowcount == len(rows):
        return
    for series_id, body in rows:
        ((held,),) = connection.execute("SELECT body FROM series WHERE id = ?", (series_id,))
        if held != body:
            raise StoreError(f"series {series_id} is already another series in the store")


def catalog(connection: sqlite3.Connection, from_series: int) -> list[tuple[int, SeriesKey]]:
    """Return series with id >= `from_series`, ascending."""
    found = connection.execute("SELECT id, body FROM series WHERE id >= ? ORDER BY id", (from_series,)).fetchall()
    return [(series_id, SeriesKey.from_json(unseal(body, series_id, "series").decode())) for series_id, body in found]


def series_ids(connection: sqlite3.Connection, from_series: int) -> list[int]:
    """Return ids of series from `from_series` on, ascending."""
    found = connection.execute("SELECT id FROM series WHERE id >= ? ORDER BY id", (from_series,)).fetchall()
    return [series_id for (series_id,) in found]


def last_series(connection: sqlite3.Connection) -> int:
    """Return the highest id of a series, -1 where there is none."""
    ((last,),) = connection.execute("SELECT coalesce(max(id), -1) FROM series")
    return int(last)


def put_events(connection: sqlite3.Connection, events: EventBatch, sequence: int) -> None:
    """Keep one commit's events as row `sequence`."""
    body = events.stream.tobytes() + events.time_unix_nano.tobytes()
    body += events.duration_seconds.tobytes() + events.is_error.tobytes()
    connection.execute(
        "INSERT INTO event (id, newest, body) VALUES (?, ?, ?)",
        (sequence, int(events.time_unix_nano.max()), seal(body, sequence)),
    )


def forget_events(connection: sqlite3.Connection, before: int) -> None:
    """Delete rows whose newest event is older than `before`."""
    connection.execute("DELETE FROM event WHERE newest < ?", (before,))


def events(connection: sqlite3.Connection) -> EventBatch:
    """Return all events in order of commit."""
    found = connection.execute("SELECT id, body FROM event ORDER BY id").fetchall()
    return EventBatch.concat([_decode_events(unseal(body, row_id, "event row")) for row_id, body in found])


def put_episodes(connection: sqlite3.Connection, episodes: Iterable[Episode]) -> None:
    """Write episodes over those with the same id."""
    connection.executemany(
        "INSERT OR REPLACE INTO episode (id, series, start_time, end_time, body) VALUES (?, ?, ?, ?, ?)",
        (
            (
                e.episode_id,
                e.series,
                e.start_unix_nano,
                e.end_unix_nano,
                seal(json.dumps(asdict(e)).encode(), text_key(e.episode_id)),
            )
            for e in episodes
        ),
    )


def episodes(connection: sqlite3.Connection, start: int, end: int, series: Int32 | None) -> list[Episode]:
    """Return episodes that overlap `[start, end)`, ascending by start."""
    found = connection.execute(
        "SELECT id, series, body FROM episode WHERE start_time < ?2"
        " AND (start_time >= ?1 OR end_time > ?1 OR end_time IS NULL) ORDER BY start_time, id",
        (start, end),
    ).fetchall()
    wanted = None if series is None else set(series.tolist())
    return [_decode_episode(name, body) for name, of, body in found if wanted is None or of in wanted]


def episode(connection: sqlite3.Connection, episode_id: str) -> Episode | None:
    """Return the episode of that id."""
    found = connection.execute("SELECT id, body FROM episode WHERE id = ?", (episode_id,)).fetchone()
    return None if found is None else _decode_episode(*found)


def open_episodes(connection: sqlite3.Connection) -> list[Episode]:
    """Return open episodes, ascending by start."""
    found = connection.execute("SELECT id, body FROM episode WHERE end_time IS NULL ORDER BY start_time, id").fetchall()
    return [_decode_episode(*row) for row in found]


def forget_episodes(connection: sqlite3.Connection, before: int) -> None:
    """Delete episodes that ended before then."""
    connection.execute("DELETE FROM episode WHERE end_time < ?", (before,))


def put_blob(connection: sqlite3.Connection, name: str, data: bytes) -> None:
    """Write a named byte string over the last one."""
    connection.execute(
        "INSERT OR REPLACE INTO blob (name, body) VALUES (?, ?)", (name, seal(bytes(data), text_key(name)))
    )


def blob(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return a named byte string."""
    found = connection.execute("SELECT body FROM blob WHERE name = ?", (name,)).fetchone()
    return None if found is None else unseal(found[0], text_key(name), "blob")


def put_bands(connection: sqlite3.Connection, first: int, bands: BandStates) -> None:
    """Write the band states of series from `first` on over the last ones."""
    put_blob(connection, f"{_BANDS}{first:08}", _BAND_LAYOUT + bands.tobytes())


def bands(connection: sqlite3.Connection) -> BandStates:
    """Return band states as last saved, in order of series; unknown where none are saved in this version's layout."""
    pieces = [
        (int(name.removeprefix(_BANDS)), np.frombuffer(saved, BAND_DTYPE, offset=len(_BAND_LAYOUT)))
        for name, saved in _saved_bands(connection)
        if saved.startswith(_BAND_LAYOUT)
    ]
    states = unknown_bands(max((first + piece.size for first, piece in pieces), default=0))
    for first, piece in pieces:
        states[first : first + piece.size] = piece
    return states


def discard_foreign_bands(connection: sqlite3.Connection) -> int:
    """Delete band states that another version saved in another layout; return in how many pieces they were."""
    foreign = [(name,) for name, saved in _saved_bands(connection) if not saved.startswith(_BAND_LAYOUT)]
    connection.executemany("DELETE FROM blob WHERE name = ?", foreign)
    return len(foreign)


def _saved_bands(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    found = connection.execute(
        "SELECT name, body FROM blob WHERE name >= ? AND name < ? ORDER BY name", (_BANDS, _PAST_BANDS)
    ).fetchall()
    return [(name, unseal(body, text_key(name), "bands")) for name, body in found]


def _decode_episode(name: str, body: bytes) -> Episode:
    fields = json.loads(unseal(body, text_key(name), "episode"))
    for field, part in {"onset": Onset, "shift": Shift, "drift": Drift}.items():
        if fields.get(field) is not None:
            fields[field] = part(**fields[field])
    return Episode(**fields)


def _decode_events(body: bytes) -> EventBatch:
    n = len(body) // _BYTES_PER_EVENT
    return EventBatch(
        np.frombuffer(body, np.int32, n),
        np.frombuffer(body, np.int64, n, offset=4 * n),
        np.frombuffer(body, np.float64, n, offset=12 * n),
        np.frombuffer(body, np.bool_, n, offset=20 * n),
    )
