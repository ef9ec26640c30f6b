"""Models as rows: a sealed body each, made so that a hundred thousand are read in a second.

A body that fails its checksum, or is of an older Foreband, is read as a record without parameters: that costs its
series a refit, and nobody else anything.
"""

import sqlite3
from collections.abc import Sequence
from struct import Struct

from collector_processor.store.codec import seal, unseal
from collector_processor.store.faults import DamagedStoreError
from collector_processor.telemetry.model import ModelRecord

MODEL_VERSIONS_KEPT = 3

_FORMAT = 2  # 1 was JSON, compressed, and began with zlib's "x"
_HEAD = Struct("<BqqqIII")  # and the lengths of three texts


def put_models(connection: sqlite3.Connection, models: Sequence[ModelRecord]) -> None:
    """Add models and keep the newest few versions of their series."""
    connection.executemany(
        "INSERT OR REPLACE INTO model (series, version, body) VALUES (?, ?, ?)",
        ((m.series, m.version, seal(_encode(m), m.series)) for m in models),
    )
    connection.executemany(
        "DELETE FROM model WHERE series = ?1 AND version <="
        " (SELECT version FROM model WHERE series = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2)",
        ((series, MODEL_VERSIONS_KEPT) for series in {m.series for m in models}),
    )


def models(connection: sqlite3.Connection, after_version: int, from_series: int, most: int | None) -> list[ModelRecord]:
    """Return the newest record of each series from `from_series` on among those with version > `after_version`."""
    found = connection.execute(
        "SELECT series, version, body FROM model JOIN"
        " (SELECT series, max(version) AS version FROM model WHERE version > ? AND series >= ?"
        " GROUP BY series ORDER BY series LIMIT ?) USING (series, version) ORDER BY series",
        (after_version, from_series, -1 if most is None else most),
    )
    return [_decode(*row) for row in found]


def model(connection: sqlite3.Connection, series: int, version: int) -> ModelRecord | None:
    """Return one version of a series' model."""
    found = connection.execute(
        "SELECT series, version, body FROM model WHERE series = ? AND version = ?", (series, version)
    ).fetchone()
    return None if found is None else _decode(*found)


def versions(connection: sqlite3.Connection, series: int) -> list[ModelRecord]:
    """Return the versions kept of a series' model, the newest first."""
    found = connection.execute(
        "SELECT series, version, body FROM model WHERE series = ? ORDER BY version DESC", (series,)
    ).fetchall()
    return [_decode(*row) for row in found]


def _encode(model: ModelRecord) -> bytes:
    texts = [text.encode() for text in (model.forecaster, model.reason, model.provenance)]
    times = (model.created_unix_nano, model.trained_start_unix_nano, model.trained_end_unix_nano)
    return b"".join([_HEAD.pack(_FORMAT, *times, *map(len, texts)), *texts, model.parameters])


def _decode(series: int, version: int, sealed: object) -> ModelRecord:
    try:
        body = unseal(sealed, series, "model")
    except DamagedStoreError:
        return _unreadable(series, version)
    if not body or body[0] != _FORMAT:
        return _unreadable(series, version)
    _, created, start, end, *lengths = _HEAD.unpack_from(body)
    reason_at = _HEAD.size + lengths[0]
    provenance_at = reason_at + lengths[1]
    parameters_at = provenance_at + lengths[2]
    return ModelRecord(
        series,
        version,
        created,
        start,
        end,
        body[_HEAD.size : reason_at].decode(),
        body[reason_at:provenance_at].decode(),
        body[parameters_at:],
        body[provenance_at:parameters_at].decode(),
    )


def _unreadable(series: int, version: int) -> ModelRecord:
    return ModelRecord(series, version, 0, 0, 0, "", "it can't be read, and waits for a refit", b"", "")
