"""Where telemetry is sent, and what became of it there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from google.protobuf.message import DecodeError

from collector_processor.ledger import Signal
from collector_processor.otlp import schema

INSTANCE_KEY = "foreband-instance"
"""Metadata that names the sending instance, so that one which hears itself knows."""

LOOP_TEXT = "this request was forwarded by this very Foreband"
"""What an instance says to a request that carries its own id."""

MAX_REPLY_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM bytes; `root` replaces the system's authorities, `key` and `chain` identify this side."""

    root: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    chain: bytes | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send, and under which name; times are in seconds."""

    url: str  # http://host:port (plain) or https://host:port; a path only with OTLP/HTTP
    instance_id: str
    protocol: str = "grpc"  # or http: protobuf over HTTP/1.1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    gzip: bool = True
    timeout: float = 5.0
    tls: ClientTls = field(default_factory=ClientTls)
    reconnect_initial: float = 1.0
    reconnect_max: float = 30.0


class Fate(Enum):
    """What a sender does with a request after the answer."""

    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reply:
    """The downstream's answer, `code` in its own words; `rejected` items of a request it took otherwise."""

    fate: Fate
    code: str
    details: str = ""
    rejected: int = 0
    retry_after: float | None = None

    @classmethod
    def taken(cls, raw: bytes) -> "Reply":
        """Return the reply of a downstream that said OK, with an export response."""
        try:
            partial = schema.ExportResponse.FromString(raw).partial_success
        except DecodeError:
            return cls(Fate.TAKEN, "OK")  # an answer we can't read changes nothing about that
        return cls(Fate.TAKEN, "OK", str(partial.error_message), max(0, int(partial.rejected)))


class Downstream(Protocol):
    """A connection to one endpoint; one call at a time, which another thread may cancel for good."""

    def send(self, signal: Signal, payload: bytes) -> Reply:
        """Send one export request and wait for the answer."""
        ...

    def cancel(self) -> None:
        """Give up the call under way and every later one."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
