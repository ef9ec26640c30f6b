"""What spans say of calls: the id that both ends share, and whom client spans say they call.

The latter is in attributes, which are not decoded otherwise: of a request the first eight calling spans are looked
into, then one of two eight times, one of four, and so on, chosen by their random ids. Each stands for as many.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from collector_processor.otlp import schema
from collector_processor.telemetry.arrival import Peer
from collector_processor.telemetry.points import Int64

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = 2, 3, 4, 5  # OTLP SpanKind
_ID_BYTES = 8
_NONE = bytes(_ID_BYTES)

_AT_ONCE = 8
_RAREST = 256  # what the last byte of an id can choose
_LONGEST_NAME = 256

_SAID_BY = ("peer.service", "server.address", "net.peer.name", "db.system.name", "db.system", "messaging.system")
"""Attributes that name the other side, the most telling first."""

_PREFIXES = tuple(b"\n" + bytes([len(name)]) + name.encode() + b"\x12" for name in _SAID_BY)


def read_links(spans: Sequence[Any], kinds: Sequence[int]) -> bytes:
    """Return the ids of calls, eight bytes a span: its own where it calls, its parent's where it is called.

    Zeros where there is none. Where ids have other lengths than eight bytes some are taken for others.
    """
    ids = [
        span.parent_span_id or _NONE
        if kind == _SERVER or kind == _CONSUMER  # noqa: PLR1714 - a third faster than `in`, for every span
        else span.span_id
        if kind == _CLIENT or kind == _PRODUCER  # noqa: PLR1714
        else _NONE
        for span, kind in zip(spans, kinds, strict=True)
    ]
    joined = b"".join(ids)
    if len(joined) != _ID_BYTES * len(ids):
        return b"".join(each if len(each) == _ID_BYTES else _NONE for each in ids)
    return joined


def links_of(pieces: Sequence[bytes]) -> Int64:
    """Return the ids that `read_links` gave as numbers."""
    return np.frombuffer(b"".join(pieces), "<i8").astype(np.int64)


class PeerReader:
    """Reads whom the spans of one request call, of ever fewer of them."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self._every = 1
        self._read = 0

    def read(self, spans: Sequence[Any], kinds: Sequence[int]) -> None:
        """Take in more spans."""
        if _CLIENT not in kinds and _PRODUCER not in kinds:
            return
        for span, kind in zip(spans, kinds, strict=True):
            if kind in (_CLIENT, _PRODUCER) and len(span.span_id) == _ID_BYTES:
                self._take(span, span.span_id)

    def _take(self, span: Any, identity: bytes) -> None:
        if identity[-1] % self._every:
            return
        name = _peer_of(span)
        if name:
            self.peers.append(Peer(int.from_bytes(identity, "little", signed=True), name, float(self._every)))
        self._read += 1
        if self._read % _AT_ONCE == 0:
            self._every = min(2 * self._every, _RAREST)


def _peer_of(span: Any) -> str:
    """Return whom a span names, empty where nobody."""
    attributes = schema.SpliceSpan.FromString(span.SerializeToString()).attributes
    best, found = len(_PREFIXES), b""
    for raw in attributes:
        for rank, prefix in enumerate(_PREFIXES[:best]):
            if raw.startswith(prefix):
                best, found = rank, raw
                break
    try:
        name: str = schema.KeyValue.FromString(found).value.string_value
    except DecodeError:
        return ""
    return name if len(name) <= _LONGEST_NAME else ""
