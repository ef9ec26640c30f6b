"""Senders that no client library would be: HTTP/2 frames by hand."""

import socket
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6


def frame(kind: int, payload: bytes, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def frames(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield frames until the peer closes or is silent."""
    data = connection.makefile("rb")
    while len(head := data.read(9)) == 9:
        yield head[3], data.read(int.from_bytes(head[:3], "big"))
