"""The block format of snappy, which Prometheus wraps remote read in; written without compression.

https://github.com/google/snappy/blob/main/format_description.txt
"""

import struct

from collector_processor.errors import InvalidQueryError, TooLargeError

_LITERAL_AT_ONCE = 1 << 20


def decompressed(data: bytes, most: int) -> bytes:
    """Return what a block holds.

    Raises:
        TooLargeError: if that is more than `most` bytes.
        InvalidQueryError: if it is no such block.
    """
    try:
        size, at = _size(data)
        if size > most:
            raise TooLargeError(f"remote read: a request of {size} bytes, the limit is {most}")
        found = bytearray()
        while at < len(data) and len(found) <= size:
            at = _element(data, at, found)
    except (IndexError, struct.error):
        raise InvalidQueryError("remote read: the body ends in the middle of a snappy element") from None
    if len(found) != size:
        raise InvalidQueryError(f"remote read: {len(found)} bytes where snappy promised {size}")
    return bytes(found)


def wrapped(data: bytes) -> bytes:
    """Return a block that holds the bytes as they are."""
    length, head = len(data), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    pieces = [data[at : at + _LITERAL_AT_ONCE] for at in range(0, len(data), _LITERAL_AT_ONCE)]
    return bytes(head) + b"".join(b"\xfc" + struct.pack("<I", len(piece) - 1) + piece for piece in pieces)


def _size(data: bytes) -> tuple[int, int]:
    """Return the length that is promised, and where the elements begin."""
    size = 0
    for at in range(5):
        size |= (data[at] & 0x7F) << 7 * at
        if data[at] < 0x80:
            return size, at + 1
    raise InvalidQueryError("remote read: the body is no snappy block")


def _element(data: bytes, at: int, found: bytearray) -> int:
    """Append what one element stands for; return where the next one begins."""
    tag, at = data[at], at + 1
    if tag & 3 == 0:
        length, at = _literal_length(tag >> 2, data, at)
        if at + length > len(data):
            raise IndexError
        found += data[at : at + length]
        return at + length
    if tag & 3 == 1:
        _repeat(found, (tag >> 5) << 8 | data[at], (tag >> 2 & 7) + 4)
        return at + 1
    width = 2 if tag & 3 == 2 else 4
    (offset,) = struct.unpack_from("<H" if width == 2 else "<I", data, at)
    _repeat(found, offset, (tag >> 2) + 1)
    return at + width


def _literal_length(code: int, data: bytes, at: int) -> tuple[int, int]:
    if code < 60:
        return code + 1, at
    width = code - 59
    if at + width > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + width], "little") + 1, at + width


def _repeat(found: bytearray, offset: int, length: int) -> None:
    """Append bytes again that came `offset` bytes earlier; they may overlap those they become."""
    if not 0 < offset <= len(found):
        raise InvalidQueryError("remote read: snappy refers to what is not there")
    piece = bytes(found[-offset:])[:length]
    found += (piece * (length // len(piece) + 1))[:length]
