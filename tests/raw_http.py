"""HTTP by hand: clients that no library would be."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

PATIENCE = 10.0
PROTOBUF, JSON = "application/x-protobuf", "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    def status(self) -> Any:
        """Return the body as the `google.rpc.Status` that it must be."""
        import json

        from google.protobuf.json_format import ParseDict

        if self.headers["content-type"] == PROTOBUF:
            return Status.FromString(self.body)
        assert self.headers["content-type"] == JSON, self
        return ParseDict(json.loads(self.body), Status())


def head_of(path: str, *, method: str = "POST", headers: Iterable[tuple[str, object]] = ()) -> bytes:
    """Return the bytes of a request without its body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def posted(path: str, body: bytes, content_type: str = PROTOBUF, **headers: str) -> bytes:
    """Return the bytes of an ordinary request; `_` in header names stands for `-`."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    common = [("Content-Type", content_type), ("Content-Length", len(body))]
    return head_of(path, headers=[*common, *named]) + body


def chunked(path: str, chunks: Iterable[bytes], content_type: str = PROTOBUF) -> bytes:
    """Return the bytes of a request whose length is not said."""
    head = head_of(path, headers=[("Content-Type", content_type), ("Transfer-Encoding", "chunked")])
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def connect(address: str) -> socket.socket:
    """Open a connection to `host:port`."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def exchange(address: str, request: bytes) -> Answer:
    """Send bytes on a connection of their own; return the answer."""
    with connect(address) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer, as long as it says it is."""
    stream = connection.makefile("rb")
    code = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip().decode():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(code, headers, stream.read(int(headers["content-length"])))


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True
