"""A notification of an alert that somebody else evaluated, as the store keeps it for whoever draws it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import orjson

NOTICES_BLOB = "notices"
"""Under which name the store keeps the newest ones."""

MOST_NOTICES = 1_000
"""Older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert; `fingerprint` and start tell it from all others.

    `series` is the stable id of the series it is about, empty where it says none. `end_unix_nano` is None while it
    fires.
    """

    fingerprint: str
    start_unix_nano: int
    end_unix_nano: int | None
    source: str
    title: str
    text: str
    series: str

    @property
    def identity(self) -> tuple[str, int]:
        """Return what tells it from all others."""
        return self.fingerprint, self.start_unix_nano


def packed(notices: Iterable[Notice]) -> bytes:
    """Return the newest of them as the store keeps them, by their start."""
    newest = sorted(notices, key=lambda notice: (notice.start_unix_nano, notice.fingerprint))[-MOST_NOTICES:]
    return orjson.dumps([asdict(notice) for notice in newest])


def unpacked(blob: bytes | None) -> list[Notice]:
    """Return what `packed` was given, nothing where there is no blob."""
    return [] if blob is None else [Notice(**fields) for fields in orjson.loads(blob)]
