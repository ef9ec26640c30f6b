"""What people answered to episodes, as rows of their own table."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from collector_processor.store.codec import seal, text_key, unseal
from collector_processor.telemetry.feedback import Answer, Feedback


def put(connection: sqlite3.Connection, feedback: Sequence[Feedback]) -> None:
    """Write answers over those with the same id."""
    connection.executemany(
        "INSERT OR REPLACE INTO feedback (id, series, given, body) VALUES (?, ?, ?, ?)",
        (
            (
                each.feedback_id,
                each.series,
                each.given_unix_nano,
                seal(json.dumps(asdict(each)).encode(), text_key(each.feedback_id)),
            )
            for each in feedback
        ),
    )


def given(connection: sqlite3.Connection, series: int | None) -> list[Feedback]:
    """Return answers, ascending by time; a store that no writer of this version has opened has none."""
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'feedback'").fetchone()[0]:
        return []
    found = connection.execute(
        "SELECT id, body FROM feedback WHERE ?1 IS NULL OR series = ?1 ORDER BY given, id", (series,)
    ).fetchall()
    return [_decode(*row) for row in found]


def _decode(name: str, body: bytes) -> Feedback:
    fields = json.loads(unseal(body, text_key(name), "feedback"))
    return Feedback(**{**fields, "answer": Answer(fields["answer"])})
