"""One OTLP/gRPC endpoint to send to, and the question whether it is this very process."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError

from collector_processor.errors import ConfigError, PermanentError
from collector_processor.ledger import Signal
from collector_processor.otlp import schema
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.otlp.status import retry_delay

INSTANCE_KEY = "foreband-instance"
"""Metadata that names the sending instance, so that one which hears itself knows."""

DEFAULT_PORT = 4317
MAX_REPLY_BYTES = 64 << 10

_RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send, and under which name; times are in seconds."""

    url: str  # http://host:port (plain) or https://host:port
    instance_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    gzip: bool = True
    timeout: float = 5.0
    reconnect_initial: float = 1.0
    reconnect_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The downstream's answer; `rejected` items of a request it took otherwise."""

    code: grpc.StatusCode
    details: str = ""
    rejected: int = 0
    retry_after: float | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the request was taken, at least in part."""
        return self.code is grpc.StatusCode.OK

    @property
    def is_retryable(self) -> bool:
        """Whether OTLP lets the same request be sent again."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.retry_after is not None
        return self.code in _RETRYABLE


class Downstream:
    """A channel to one endpoint; one call at a time, which another thread may cancel for good."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel = _channel(endpoint)
        headers = {key.lower(): value for key, value in endpoint.headers.items()}
        self._metadata: tuple[tuple[str, str | bytes], ...] = (*headers.items(), (INSTANCE_KEY, endpoint.instance_id))
        self._lock = Lock()
        self._call: grpc.CallFuture[bytes] | None = None
        self._is_cancelled = False

    def send(self, signal: Signal, payload: bytes) -> Reply:
        """Send one export request and wait for the answer."""
        method = self._channel.unary_unary(EXPORT_METHODS[signal], None, None)
        with self._lock:
            if self._is_cancelled:
                return Reply(grpc.StatusCode.CANCELLED)
            self._call = method.future(payload, timeout=self._endpoint.timeout, metadata=self._metadata)
        try:
            return Reply(grpc.StatusCode.OK, rejected=_rejected(self._call.result()))
        except grpc.FutureCancelledError:
            return Reply(grpc.StatusCode.CANCELLED)
        except grpc.RpcError as error:
            return Reply(error.code(), error.details() or "", retry_after=retry_delay(error.trailing_metadata()))

    def cancel(self) -> None:
        """Give up the call under way and every later one."""
        with self._lock:
            self._is_cancelled = True
            if self._call is not None:
                self._call.cancel()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def probe(endpoint: Endpoint) -> Reply:
    """Send an empty metrics request, which every OTLP endpoint must take.

    Raises:
        PermanentError: if the endpoint recognised the instance id as its own: forwarding would go round in a loop.
    """
    downstream = Downstream(endpoint)
    try:
        reply = downstream.send(Signal.METRICS, b"")
    finally:
        downstream.close()
    if reply.code is grpc.StatusCode.FAILED_PRECONDITION:
        raise PermanentError(f"forwarding to {endpoint.url} is refused there: {reply.details}")
    return reply


def is_loop(url: str, listen_addresses: Sequence[str]) -> bool:
    """Tell whether an endpoint is one of the addresses this process listens on, as far as names and addresses show."""
    host, port = _host_port(urlsplit(url).netloc)
    own_hosts = [own for own, own_port in map(_host_port, listen_addresses) if own_port == port]
    if not own_hosts:
        return False
    targets = _addresses(host)
    return any(targets & _addresses(own) or (_is_wildcard(own) and any(map(_is_local, targets))) for own in own_hosts)


def _channel(endpoint: Endpoint) -> grpc.Channel:
    parts = urlsplit(endpoint.url)
    target = "{}:{}".format(*_host_port(parts.netloc))
    options = [
        ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
        ("grpc.initial_reconnect_backoff_ms", max(100, round(endpoint.reconnect_initial * 1000))),
        ("grpc.max_reconnect_backoff_ms", max(100, round(endpoint.reconnect_max * 1000))),
        ("grpc.enable_retries", 0),  # the outbox retries; a second loop inside would only hide it
    ]
    compression = grpc.Compression.Gzip if endpoint.gzip else grpc.Compression.NoCompression
    match parts.scheme:
        case "http":
            return grpc.insecure_channel(target, options, compression)
        case "https":
            return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options, compression)
        case _:
            raise ConfigError(f"the endpoint {endpoint.url!r} begins neither with http:// nor with https://")


def _rejected(raw: bytes) -> int:
    try:
        return int(schema.ExportResponse.FromString(raw).partial_success.rejected)
    except DecodeError:
        return 0  # the status said OK; an answer we can't read changes nothing about that


def _host_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        return address, DEFAULT_PORT
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
