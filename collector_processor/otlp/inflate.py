"""Inflate a body that cannot cost more than it says it will: gzip, deflate (zlib) and zstd.

A gzip stream ends with the size of what it holds. That is checked before inflating, and inflating stops there: a bomb
is refused for what it declares, a lie for being one. A body may be several streams, one after the other, and only the
last says its size at the end; such a body is measured first, and nothing of it is kept. So is one of a coding that does
not say its size.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Protocol

from collector_processor.errors import MalformedRequestError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_TRAILER = 8  # checksum and size, four bytes each
_MAGIC, _SMALLEST = b"\x1f\x8b\x08", 18
_GZIP, _ZLIB = 31, 15  # window bits of zlib that mean: gzip, with its header and trailer; zlib's own
_HIGHEST_RATIO = 1032  # of deflate
_MOST_STREAMS = 64
_PIECE = 256 << 10
_MEASURED_AT_ONCE = BoundedSemaphore(4)  # a window of zstd takes as much as what it holds, and nobody has paid yet


class _Stream(Protocol):
    """What inflates one stream, as zlib's `decompressobj` does."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _ZstdStream:
    """One frame of zstd; what it has not inflated yet it keeps itself."""

    unconsumed_tail = b""

    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._frame.decompress(data, max_length)


@dataclass(frozen=True, slots=True)
class Coding:
    """A way to compress: what inflates one of its streams, and how another one after it begins (never: empty)."""

    name: str
    begin: Callable[[], _Stream]
    magic: bytes


_GZIP_CODING = Coding("gzip", lambda: zlib.decompressobj(_GZIP), _MAGIC)
_DEFLATE = Coding("deflate", lambda: zlib.decompressobj(_ZLIB), b"")
CODINGS = {
    "gzip": _GZIP_CODING,
    "x-gzip": _GZIP_CODING,
    "deflate": _DEFLATE,
    "zlib": _DEFLATE,  # as a Collector calls it
    "zstd": Coding("zstd", _ZstdStream, b"\x28\xb5\x2f\xfd"),
}
"""By the names that a `Content-Encoding` has for them."""


def inflated_size(raw: bytes, limit: int, coding: Coding) -> int:
    """Return the size that a body says it inflates to, or does; what is above `limit` need not be exact.

    Raises:
        MalformedRequestError: if it is no such body.
    """
    if coding is not _GZIP_CODING:
        with _MEASURED_AT_ONCE:
            return _measured(raw, limit, coding)
    if len(raw) < _SMALLEST or not raw.startswith(_MAGIC):
        raise MalformedRequestError("the body is not gzip")
    if raw.find(_MAGIC, 1) > 0:  # the begin of another stream, or chance
        return _measured(raw, limit, coding)
    size = int.from_bytes(raw[4 - _TRAILER :], "little")
    if size > _HIGHEST_RATIO * len(raw):
        raise _not_whole(coding)
    return size


def inflate(raw: bytes, size: int, coding: Coding) -> bytes:
    """Inflate a body to the size that `inflated_size` gave.

    Raises:
        MalformedRequestError: if it is none, is cut off, or is followed by something else.
    """
    body = b"".join(_inflated(raw, size + 1, size, coding))
    if len(body) != size:
        raise _not_whole(coding)
    return body


def _measured(raw: bytes, limit: int, coding: Coding) -> int:
    size = 0
    for piece in _inflated(raw, _PIECE, limit, coding):
        size += len(piece)
    return size


def _inflated(raw: bytes, largest: int, limit: int, coding: Coding) -> Iterator[bytes]:
    """Yield what all streams hold in pieces of up to `largest` bytes, ending with the one that passes `limit`."""
    size, rest = 0, raw
    for _ in range(_MOST_STREAMS):
        stream = coding.begin()
        while not stream.eof:
            try:
                piece = stream.decompress(rest, largest)
            except (zlib.error, zstd.ZstdError):
                raise MalformedRequestError(f"the body is not valid {coding.name}") from None
            rest = stream.unconsumed_tail
            if not (piece or rest or stream.eof):
                raise _not_whole(coding)
            yield piece
            size += len(piece)
            if size > limit:
                return
        rest = stream.unused_data
        if not rest:
            return
        if not (coding.magic and rest.startswith(coding.magic)):
            raise _not_whole(coding)
    raise MalformedRequestError(f"the body is more than {_MOST_STREAMS} {coding.name} streams")


def _not_whole(coding: Coding) -> MalformedRequestError:
    return MalformedRequestError(
        f"the {coding.name} stream is cut off, longer than it says, or followed by something else"
    )
