"""The gRPC door and senders that speak HTTP/2 in ways of their own, or not at all."""

import logging
import socket
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import StringIO

import grpc
import pytest

from collector_processor.config import LogConfig
from collector_processor.ledger import Signal
from collector_processor.logs import set_up_logging
from collector_processor.otlp.gate import Refusal
from collector_processor.otlp.receiver import EXPORT_METHODS
from tests.otlp.door import PATIENCE
from tests.otlp.grpc_door import GOOD, Door
from tests.otlp.raw_http2 import DATA, HEADERS, PING, PREFACE, SETTINGS, frame, frames, literal


def test_a_compression_other_than_gzip_is_unimplemented_and_counted(door: Door) -> None:
    assert raw_status(door.port, (b"grpc-encoding", b"deflate")) == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)
    assert not door.bodies


@pytest.mark.parametrize("name", [b"snappy", b"zstd"])
def test_a_compression_that_grpc_does_not_know_is_internal_and_counted(door: Door, name: bytes) -> None:
    # gRPC's core drops the header before any code of ours, even an interceptor, sees it, and then fails on the bytes.
    assert raw_status(door.port, (b"grpc-encoding", name)) == grpc.StatusCode.INTERNAL.value[0]
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 1)
    assert door.ledger.row(Signal.METRICS).rejected == {"not_read": 1}
    assert not door.bodies


def test_what_was_turned_away_unread_is_said_once_an_hour(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        raw_status(door.port, (b"grpc-encoding", b"snappy"))
    assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] == 3)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("a call with metrics from ipv4:127.0.0.1:")
    assert "compressed by something else than gzip" in said


def test_a_token_that_is_no_text_is_refused_and_not_logged(open_door: Callable[..., Door]) -> None:
    door = open_door(authorize=lambda given: None if given is None else Refusal.UNAUTHENTICATED)
    handlers, stream = logging.getLogger().handlers[:], StringIO()
    try:
        set_up_logging(LogConfig(format="json"), stream)
        header = (b"authorization", b"Bearer secret-\xff")
        assert raw_status(door.port, header) == grpc.StatusCode.UNAUTHENTICATED.value[0]
    finally:
        logging.getLogger().handlers[:] = handlers
    assert door.ledger.row(Signal.METRICS).rejected == {"unauthenticated": 1}
    assert stream.getvalue() == ""


def test_frequent_pings_are_allowed_down_to_the_interval(open_door: Callable[..., Door]) -> None:
    assert goes_away(open_door(min_ping_interval=60.0).port, pings=10)
    assert not goes_away(open_door(min_ping_interval=0.0).port, pings=10)


def test_connections_beyond_the_limit_are_closed_and_the_others_served(open_door: Callable[..., Door]) -> None:
    door = open_door(connections=5)
    assert door.export(GOOD) == b""
    many = [socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) for _ in range(8)]
    for connection in many:
        with suppress(OSError):
            connection.sendall(PREFACE + frame(SETTINGS, b""))
    assert sum(is_greeted(connection) for connection in many) == 4
    assert door.export(GOOD) == b""
    for connection in many:
        connection.close()


def is_greeted(connection: socket.socket) -> bool:
    """Tell whether the server says anything before it closes."""
    try:
        return bool(connection.recv(1))
    except ConnectionError:
        return False


def test_idle_connections_leave_the_others_alone_and_are_closed_in_the_end(open_door: Callable[..., Door]) -> None:
    door = open_door(connection_idle=1.0)
    idle = [socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) for _ in range(200)]
    for connection in idle:
        connection.sendall(PREFACE + frame(SETTINGS, b""))
    assert door.export(GOOD) == b""
    for connection in idle:
        list(frames(connection))  # ends when the server closes
        connection.close()


def test_calls_whose_message_never_comes_cannot_keep_all_threads(open_door: Callable[..., Door]) -> None:
    door = open_door(threads=4, patience=3600.0, hurried_patience=0.05)
    with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, b""))
        for stream in range(1, 21, 2):
            connection.sendall(frame(HEADERS, call(), 4, stream) + frame(DATA, b"\0\0\0\0\x10abc", 0, stream))
        assert door.wait_for(lambda: door.refused[Refusal.NOT_READ] > 6)
        assert door.export(GOOD) == b""


def goes_away(port: int, pings: int) -> bool:
    """Send one ping after the other; tell whether the server ends the connection before it answered them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(PREFACE + frame(SETTINGS, b"") + frame(PING, bytes(8)))
            answered = 0
            for kind, _ in frames(connection):
                answered += kind == PING
                if answered == pings:
                    return False
                if kind == PING:
                    connection.sendall(frame(PING, bytes(8)))
        except OSError:
            return True
    return True


def raw_status(port: int, *headers: tuple[bytes, bytes]) -> int:
    """Send one compressed call with further headers; return its grpc-status."""
    block = call(*headers)
    body = zlib.compress(GOOD)
    message = b"\x01" + struct.pack(">I", len(body)) + body
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, b"") + frame(HEADERS, block, 4, 1) + frame(DATA, message, 1, 1))
        for kind, payload in frames(connection):
            if kind == HEADERS and b"grpc-status" in payload:
                after = payload.split(b"grpc-status", 1)[1]
                return int(after[1 : 1 + after[0]])
    raise AssertionError("the connection ended without a status")


def call(*headers: tuple[bytes, bytes]) -> bytes:
    """Return what a call begins with, and further headers."""
    common = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", EXPORT_METHODS[Signal.METRICS].encode()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    return b"".join(literal(name, value) for name, value in (*common, *headers))
