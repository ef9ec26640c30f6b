"""Inflate a gzip body that cannot cost more than it says it will.

A gzip stream ends with the size of what it holds. That is checked before inflating, and inflating stops there: a bomb
is refused for what it declares, a lie for being one. A body may be several streams, one after the other, and only the
last says its size at the end; such a body is measured first, and nothing of it is kept.
"""

import zlib
from collections.abc import Iterator

from collector_processor.errors import MalformedRequestError

_TRAILER = 8  # checksum and size, four bytes each
_MAGIC, _SMALLEST = b"\x1f\x8b\x08", 18
_GZIP = 31  # window bits of zlib that mean: gzip, with its header and trailer
_HIGHEST_RATIO = 1032  # of deflate
_MOST_STREAMS = 64
_PIECE = 256 << 10


def inflated_size(raw: bytes, limit: int) -> int:
    """Return the size that a gzip body says it inflates to; what is above `limit` need not be exact.

    Raises:
        MalformedRequestError: if it is no such body.
    """
    if len(raw) < _SMALLEST or not raw.startswith(_MAGIC):
        raise MalformedRequestError("the body is not gzip")
    if raw.find(_MAGIC, 1) > 0:  # the begin of another stream, or chance
        return _measured(raw, limit)
    size = int.from_bytes(raw[4 - _TRAILER :], "little")
    if size > _HIGHEST_RATIO * len(raw):
        raise MalformedRequestError(_NOT_WHOLE)
    return size


def inflate(raw: bytes, size: int) -> bytes:
    """Inflate a gzip body to the size that it declares.

    Raises:
        MalformedRequestError: if it is not gzip, is cut off, or is followed by something else.
    """
    body = b"".join(_inflated(raw, size + 1, size))
    if len(body) != size:
        raise MalformedRequestError(_NOT_WHOLE)
    return body


def _measured(raw: bytes, limit: int) -> int:
    size = 0
    for piece in _inflated(raw, _PIECE, limit):
        size += len(piece)
    return size


def _inflated(raw: bytes, largest: int, limit: int) -> Iterator[bytes]:
    """Yield what all streams hold in pieces of up to `largest` bytes, ending with the one that passes `limit`."""
    size, rest = 0, raw
    for _ in range(_MOST_STREAMS):
        stream = zlib.decompressobj(_GZIP)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, largest)
            except zlib.error:
                raise MalformedRequestError("the body is not valid gzip") from None
            rest = stream.unconsumed_tail
            if not (piece or rest or stream.eof):
                raise MalformedRequestError(_NOT_WHOLE)
            yield piece
            size += len(piece)
            if size > limit:
                return
        rest = stream.unused_data
        if not rest:
            return
        if not rest.startswith(_MAGIC):
            raise MalformedRequestError(_NOT_WHOLE)
    raise MalformedRequestError(f"the body is more than {_MOST_STREAMS} gzip streams")


_NOT_WHOLE = "the gzip stream is cut off, longer than it says, or followed by something else"
