"""The OTLP/gRPC door: three Export methods on raw bytes, guarded against more than can be worked on.

The receiver knows one function, `ingest`. It settles what `ingest` can't know about: requests that never reached it, or
that it could not read. Their items can't be counted, so each enters the ledger as one.
"""

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from collector_processor.errors import ConfigError, MalformedRequestError, PermanentError, RetryableError, TooLargeError
from collector_processor.ledger import Ledger, Signal
from collector_processor.otlp.status import Answer, StatusAnswer, retry_later, status_of

EXPORT_METHODS = {
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

Ingest = Callable[[Signal, bytes, Mapping[str, str]], Answer]
"""Take one request, durably, and answer; the mapping is the call's text metadata, keys in lower case.

It settles the items of every request it answers or refuses with RetryableError, and of no other.
"""


class Refusal(StrEnum):
    """Why a whole request was turned away before its items could be counted."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    NOT_READ = "not_read"  # larger than the limit, not inflatable, or given up by the sender while it came in
    UNAUTHENTICATED = "unauthenticated"
    NOT_ACCEPTED = "not_accepted"
    INTERNAL = "internal_error"
    OVERLOAD = "overload"
    DRAINING = "draining"

    @property
    def is_retryable(self) -> bool:
        """Whether the sender was told to come again."""
        return self in {Refusal.OVERLOAD, Refusal.DRAINING}


OnRefused = Callable[[Signal, Refusal], None]


def into_ledger(ledger: Ledger) -> OnRefused:
    """Return a callback that enters each refused request as one item."""

    def enter(signal: Signal, refusal: Refusal) -> None:
        if refusal.is_retryable:
            ledger.refuse(signal, 1, refusal)
        else:
            ledger.settle(signal, rejected={refusal: 1})

    return enter


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """Limits of the door; the times are in seconds."""

    listen: str = "127.0.0.1:4317"
    max_message_bytes: int = 16 << 20
    max_in_flight: int = 8
    max_in_flight_bytes: int = 16 << 20  # inflated; never less than one maximal message
    max_streams_per_connection: int = 64
    min_ping_interval: float = 5.0  # Collectors ping every 10 s
    max_ping_strikes: int = 2
    connection_idle: float = 600.0
    connection_age: float = 3600.0
    connection_age_grace: float = 30.0
    threads: int = 64  # well above max_in_flight, so that there is always one free to refuse
    bearer_token: str | None = field(default=None, repr=False)
    credentials: grpc.ServerCredentials | None = field(default=None, repr=False)


class GrpcReceiver:
    """A gRPC server for OTLP; it takes requests between `start` and `drain`, and answers until `close`."""

    def __init__(self, settings: ReceiverSettings, ingest: Ingest, on_refused: OnRefused) -> None:
        self._settings = settings
        self._health = health.HealthServicer()
        self._exports = _Exports(settings, ingest, on_refused)
        self._server = grpc.server(
            ThreadPoolExecutor(settings.threads, thread_name_prefix="otlp"),
            handlers=[self._exports],
            options=_options(settings),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.set_serving(is_serving=False)

    def start(self) -> int:
        """Listen; return the port.

        Raises:
            ConfigError: if the address can't be listened on.
        """
        settings = self._settings
        try:
            if settings.credentials is None:
                port = self._server.add_insecure_port(settings.listen)
            else:
                port = self._server.add_secure_port(settings.listen, settings.credentials)
        except RuntimeError:
            raise ConfigError(f"cannot listen on {settings.listen}: is the port taken?") from None
        self._server.start()
        return port

    def set_serving(self, *, is_serving: bool) -> None:
        """Tell grpc.health.v1 whether this process takes telemetry."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *(method.split("/")[1] for method in EXPORT_METHODS.values())):
            self._health.set(service, status)

    def drain(self, grace_seconds: float) -> None:
        """Refuse new calls as retryable from now on, and let those under way finish."""
        self._health.enter_graceful_shutdown()
        self._exports.gate.close()
        self._exports.gate.wait_until_empty(grace_seconds)

    def close(self) -> None:
        """Close the connections.

        gRPC cancels calls that come while it stops, so drain first and close late; a process that ends anyway does
        better to end without this, since every sender takes a lost connection for UNAVAILABLE.
        """
        self._server.stop(None).wait()


class Gate:
    """Admit up to so many requests and bytes at once; refuse the rest at once rather than queue them."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._lock = Condition()
        self._capacity = max_requests
        self._requests = max_requests
        self._bytes = max_bytes
        self._refused_in_a_row = 0
        self._is_open = True

    def enter(self, size: int) -> Refusal | None:
        """Take a place for `size` bytes, or say why there is none."""
        with self._lock:
            if not self._is_open:
                return Refusal.DRAINING
            if self._requests < 1 or self._bytes < size:
                self._refused_in_a_row += 1
                return Refusal.OVERLOAD
            self._requests -= 1
            self._bytes -= size
            self._refused_in_a_row = 0
            return None

    def leave(self, size: int) -> None:
        """Give the place back."""
        with self._lock:
            self._requests += 1
            self._bytes += size
            self._lock.notify_all()

    def close(self) -> None:
        """Admit nobody any more."""
        with self._lock:
            self._is_open = False
            self._lock.notify_all()

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until everybody has left; return whether that happened in time."""
        with self._lock:
            return self._lock.wait_for(lambda: self._requests == self._capacity, timeout_seconds)

    @property
    def retry_after_seconds(self) -> float:
        """Return when to come again, 1 to 30 s: later for each one turned away, so that they do not come at once."""
        with self._lock:
            return min(30.0, 1.0 + self._refused_in_a_row / self._capacity)


class _Exports(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """The three Export methods."""

    def __init__(self, settings: ReceiverSettings, ingest: Ingest, on_refused: OnRefused) -> None:
        self.gate = Gate(settings.max_in_flight, max(settings.max_in_flight_bytes, settings.max_message_bytes))
        self._ingest = ingest
        self._on_refused = on_refused
        self._authorization = settings.bearer_token and f"Bearer {settings.bearer_token}"
        self._methods = {
            method: grpc.stream_unary_rpc_method_handler(self._behavior(signal))
            for signal, method in EXPORT_METHODS.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._methods.get(handler_call_details.method)

    def _behavior(self, signal: Signal) -> Callable[[Iterator[bytes], Any], bytes]:
        # A unary call is read as a stream of one: only so does a message that gRPC itself turned away
        # (too large, not inflatable) become visible here and counted.
        def export(messages: Iterator[bytes], context: Any) -> bytes:
            outcome = self._export(signal, messages, context)
            if isinstance(outcome, bytes):
                return outcome
            context.abort_with_status(outcome)
            raise AssertionError("abort_with_status returned")

        return export

    def _export(self, signal: Signal, messages: Iterator[bytes], context: Any) -> bytes | StatusAnswer:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        if not self._is_authorized(metadata):
            self._on_refused(signal, Refusal.UNAUTHENTICATED)
            return StatusAnswer(grpc.StatusCode.UNAUTHENTICATED, "a valid bearer token is required")
        body = _first(messages)
        if body is None:
            self._on_refused(signal, Refusal.NOT_READ)
            return StatusAnswer(grpc.StatusCode.INVALID_ARGUMENT, "no request message was received")
        refusal = self.gate.enter(len(body))
        if refusal:
            self._on_refused(signal, refusal)
            return retry_later(f"not now: {refusal}", self.gate.retry_after_seconds)
        try:
            return self._answer(signal, body, metadata)
        finally:
            self.gate.leave(len(body))

    def _answer(self, signal: Signal, body: bytes, metadata: Mapping[str, str]) -> bytes | StatusAnswer:
        try:
            return self._ingest(signal, body, metadata).encode()
        except RetryableError as error:
            return status_of(error)
        except Exception as error:  # noqa: BLE001  (whatever it is, the sender gets a code it can act on)
            refusal = _refusal(error)
            if refusal is Refusal.INTERNAL:
                _log.exception("a %s request failed", signal)
            self._on_refused(signal, refusal)
            return status_of(error)

    def _is_authorized(self, metadata: Mapping[str, str]) -> bool:
        if not self._authorization:
            return True
        return hmac.compare_digest(metadata.get("authorization", "").encode(), self._authorization.encode())


def _first(messages: Iterator[bytes]) -> bytes | None:
    try:
        return next(messages, None)
    except grpc.RpcError:
        return None


def _refusal(error: Exception) -> Refusal:
    match error:
        case MalformedRequestError():
            return Refusal.MALFORMED
        case TooLargeError():
            return Refusal.TOO_LARGE
        case PermanentError():
            return Refusal.NOT_ACCEPTED
        case _:
            return Refusal.INTERNAL


def _options(settings: ReceiverSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # else a second process takes half of the connections without a word
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_streams_per_connection),
        ("grpc.http2.min_ping_interval_without_data_ms", round(settings.min_ping_interval * 1000)),
        ("grpc.http2.max_ping_strikes", settings.max_ping_strikes),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_idle_ms", round(settings.connection_idle * 1000)),
        ("grpc.max_connection_age_ms", round(settings.connection_age * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.connection_age_grace * 1000)),
    ]


_log = logging.getLogger(__name__)
