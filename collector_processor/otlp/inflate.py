"""Inflate a gzip body that cannot cost more than it says it will.

A gzip stream ends with the size of what it holds. That is checked before inflating, and inflating stops there: a bomb
is refused for what it declares, a lie for being one.
"""

import zlib

from collector_processor.errors import MalformedRequestError

_TRAILER = 8  # checksum and size, four bytes each
_MAGIC, _SMALLEST = b"\x1f\x8b", 18
_GZIP = 31  # window bits of zlib that mean: gzip, with its header and trailer


def inflated_size(raw: bytes) -> int:
    """Return the size that a gzip stream says it inflates to.

    Raises:
        MalformedRequestError: if it is no such stream.
    """
    if len(raw) < _SMALLEST or not raw.startswith(_MAGIC):
        raise MalformedRequestError("the body is not gzip")
    return int.from_bytes(raw[4 - _TRAILER :], "little")


def inflate(raw: bytes) -> bytes:
    """Inflate one gzip stream to the size that it declares.

    Raises:
        MalformedRequestError: if it is not gzip, is cut off, or is followed by something else.
    """
    size = inflated_size(raw)
    stream = zlib.decompressobj(_GZIP)
    try:
        body = stream.decompress(raw, size + 1)
    except zlib.error:
        raise MalformedRequestError("the body is not valid gzip") from None
    if not stream.eof or stream.unused_data or len(body) != size:
        raise MalformedRequestError("the gzip stream is cut off, longer than it says, or followed by something else")
    return body
