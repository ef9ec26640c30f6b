"""What spans say of calls: the id that both ends share, and whom client spans say they call.

The latter is in attributes, which are not decoded otherwise: of a request the first eight calling spans are looked
into, then one of two eight times, one of four, and so on, chosen by their random ids. Each stands for as many.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from collector_processor.otlp import schema
from collector_processor.telemetry.arrival import Peer
from collector_processor.telemetry.points import Bool, Int32, Int64

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = 2, 3, 4, 5  # OTLP SpanKind
_ID_BYTES = 8
_NONE = bytes(_ID_BYTES)

_AT_ONCE = 8
_RAREST = 256  # what the last byte of an id can choose
_LONGEST_NAME = 256
_MOST_LOOKED_AT = 128  # attributes of a span: as many as SDKs keep

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


def choose_links(kind: Int32, own: Int64, parent: Int64) -> Int64:
    """Return what `read_links` does, of columns."""
    is_called = (kind == _SERVER) | (kind == _CONSUMER)
    return np.where(is_called, parent, np.where(_is_calling(kind), own, 0))


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
            if kind in (_CLIENT, _PRODUCER) and len(span.span_id) == _ID_BYTES and span.span_id != _NONE:
                link = int.from_bytes(span.span_id, "little", signed=True)
                if span.span_id[-1] % self._every == 0:
                    self._take(link, span.SerializeToString())

    def read_columns(self, kind: Int32, link: Int64, raw: Callable[[int], bytes]) -> None:
        """Take in all spans of a request; `raw` gives the bytes of the span in a row."""
        rows = np.flatnonzero(_is_calling(kind) & (link != 0))
        last_byte = link[rows].view(np.uint64) >> np.uint64(8 * (_ID_BYTES - 1))
        while rows.size:
            chosen = np.flatnonzero(last_byte % self._every == 0)[: _AT_ONCE - self._read % _AT_ONCE]
            for row in rows[chosen].tolist():
                self._take(int(link[row]), raw(row))
            behind = int(chosen[-1]) + 1 if chosen.size else rows.size
            rows, last_byte = rows[behind:], last_byte[behind:]

    def _take(self, link: int, raw: bytes) -> None:
        name = _peer_of(raw)
        if name:
            self.peers.append(Peer(link, name, float(self._every)))
        self._read += 1
        if self._read % _AT_ONCE == 0:
            self._every = min(2 * self._every, _RAREST)


def _is_calling(kind: Int32) -> Bool:
    is_calling: Bool = (kind == _CLIENT) | (kind == _PRODUCER)
    return is_calling


def _peer_of(raw: bytes) -> str:
    """Return whom a raw span names, empty where nobody."""
    attributes = schema.SpliceSpan.FromString(raw).attributes[:_MOST_LOOKED_AT]
    best, found = len(_PREFIXES), b""
    for attribute in attributes:
        for rank, prefix in enumerate(_PREFIXES[:best]):
            if attribute.startswith(prefix):
                best, found = rank, attribute
                break
    try:
        name: str = schema.KeyValue.FromString(found).value.string_value
    except DecodeError:
        return ""
    return name if len(name) <= _LONGEST_NAME else ""
