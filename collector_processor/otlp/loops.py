"""Finding out that what was forwarded comes back: at once where nothing lies between, by a mark where something does.

A Collector in between drops the metadata that names the sender. So beside what it forwards, each destination is sent a
canary per signal now and then: one data point, span or log record that holds a mark. Whoever finds the own mark in
what comes in knows that there is a loop, and which destination leads into it.
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from collector_processor.ledger import Signal
from collector_processor.otlp import wire

CANARY_NAME = "foreband.loop"
"""Name of the metric and the span, event name of the log record, and key of the attribute that holds the mark."""

_DEFAULT_PORTS = {"grpc": 4317, "http": 4318}


class LoopMark:
    """The mark of one instance."""

    def __init__(self, instance_id: str) -> None:
        self._text = f"{CANARY_NAME}/{instance_id}/"
        self._pattern = re.compile(re.escape(self._text.encode()) + rb"([a-z0-9_-]{1,63})\.")
        self._needle = self._text.encode()

    def canary(self, signal: Signal, destination: str, now: int) -> bytes:
        """Return an export request with one item that holds the mark."""
        value = wire.field(1, f"{self._text}{destination}.".encode())
        mark = wire.field(1, CANARY_NAME.encode()) + wire.field(2, value)
        return _wrapped(_ITEMS[signal](mark, now))

    def destination_in(self, body: bytes) -> str | None:
        """Return which destination a request that came in was forwarded to, None where it holds no mark of ours."""
        if self._needle not in body:
            return None
        found = self._pattern.search(body)
        return found.group(1).decode() if found else None


def is_loop(url: str, listen_addresses: Sequence[str], protocol: str = "grpc") -> bool:
    """Tell whether an endpoint is one of the addresses this process listens on, as far as names and addresses show."""
    host, port = _host_port(urlsplit(url).netloc, _DEFAULT_PORTS[protocol])
    listening = [_host_port(address, 0) for address in listen_addresses]
    own_hosts = [own for own, own_port in listening if own_port == port]
    if not own_hosts:
        return False
    targets = _addresses(host)
    return any(targets & _addresses(own) or (_is_wildcard(own) and any(map(_is_local, targets))) for own in own_hosts)


def _wrapped(items: bytes) -> bytes:
    """Put items of one scope into a request; the field numbers are those of all three signals."""
    service = wire.field(1, b"service.name") + wire.field(2, wire.field(1, b"foreband"))
    resource = wire.field(1, wire.field(1, service))
    return wire.field(1, resource + wire.field(2, items))


def _metric(mark: bytes, now: int) -> bytes:
    point = b"\x19" + now.to_bytes(8, "little") + b"\x31" + (1).to_bytes(8, "little") + wire.field(7, mark)
    return wire.field(2, wire.field(1, CANARY_NAME.encode()) + wire.field(5, wire.field(1, point)))


def _span(mark: bytes, now: int) -> bytes:
    time = now.to_bytes(8, "little")
    trace_id, span_id = time + time, time
    ids = wire.field(1, trace_id) + wire.field(2, span_id)
    kind = b"\x30\x01"  # internal
    return wire.field(
        2, ids + wire.field(5, CANARY_NAME.encode()) + kind + b"\x39" + time + b"\x41" + time + wire.field(9, mark)
    )


def _log_record(mark: bytes, now: int) -> bytes:
    time = now.to_bytes(8, "little")
    body = wire.field(5, wire.field(1, b"looks for forwarding that goes round in a loop"))
    severity, name = b"\x10\x05", wire.field(12, CANARY_NAME.encode())  # debug
    return wire.field(2, b"\x09" + time + severity + body + wire.field(6, mark) + b"\x59" + time + name)


_ITEMS = {Signal.METRICS: _metric, Signal.TRACES: _span, Signal.LOGS: _log_record}


def _host_port(address: str, default: int) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        return address, default
    return host, int(port)


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(sockaddr[0]) for *_, sockaddr in found}


def _is_wildcard(host: str) -> bool:
    return host in {"", "*"} or any(ip_address(address).is_unspecified for address in _addresses(host))


def _is_local(address: str) -> bool:
    """Tell whether an address is one of this machine: only to such a one can a socket be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe_socket:
            probe_socket.bind((address, 0))
    except OSError:
        return False
    return True
