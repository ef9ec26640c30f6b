"""The OTLP/gRPC door: three Export methods on raw bytes, guarded against more than can be worked on."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from threading import Event, Thread
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from collector_processor.errors import MalformedRequestError
from collector_processor.ledger import Signal
from collector_processor.otlp.gate import Authorize, Entrance, Refusal, everybody
from collector_processor.otlp.status import Answer, StatusAnswer
from collector_processor.web.listening import cannot_listen

log = logging.getLogger(__name__)

EXPORT_METHODS = {
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_IDENTITY, _GZIP = 0, 2  # as gRPC's core numbers compressions
_UNREAD = "compressed by something else than gzip, larger than receiver.max_message, or given up by its sender"


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """Limits of the door; the times are in seconds."""

    listen: str = "127.0.0.1:4317"
    max_message_bytes: int = 16 << 20
    connections: int = 1000
    max_streams_per_connection: int = 64
    min_ping_interval: float = 5.0  # Collectors ping every 10 s
    max_ping_strikes: int = 2
    connection_idle: float = 600.0
    connection_age: float = 3600.0
    connection_age_grace: float = 30.0
    patience: float = 15.0  # for the message of a call: a thread waits for it
    hurried_patience: float = 1.0  # while half of all threads wait
    threads: int = 256  # above what the gate admits, so that there is always one free to refuse
    credentials: grpc.ServerCredentials | None = field(default=None, repr=False)


class GrpcReceiver:
    """A gRPC server for OTLP; it takes requests between `start` and `drain`, and answers until `close`."""

    def __init__(self, settings: ReceiverSettings, entrance: Entrance, authorize: Authorize = everybody) -> None:
        self._settings = settings
        self._gate = entrance.gate
        self._health = health.HealthServicer()
        self._awaited = _Awaited(settings.patience, settings.hurried_patience, settings.threads // 2)
        self._server = grpc.server(
            ThreadPoolExecutor(settings.threads, thread_name_prefix="otlp"),
            handlers=[_Exports(entrance, authorize, self._awaited)],
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
            raise cannot_listen("receiver.listen", settings.listen) from None
        self._server.start()
        self._awaited.start()
        return port

    def set_serving(self, *, is_serving: bool) -> None:
        """Tell grpc.health.v1 whether this process takes telemetry."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *(method.split("/")[1] for method in EXPORT_METHODS.values())):
            self._health.set(service, status)

    def drain(self, grace_seconds: float) -> None:
        """Refuse new calls as retryable from now on, and let those under way finish."""
        self._health.enter_graceful_shutdown()
        self._gate.close()
        self._gate.wait_until_empty(grace_seconds)

    def close(self) -> None:
        """Close the connections.

        gRPC cancels calls that come while it stops, so drain first and close late; a process that ends anyway does
        better to end without this, since every sender takes a lost connection for UNAVAILABLE.
        """
        self._server.stop(None).wait()
        self._awaited.stop()


class _Exports(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """The three Export methods."""

    def __init__(self, entrance: Entrance, authorize: Authorize, awaited: "_Awaited") -> None:
        self._entrance = entrance
        self._authorize = authorize
        self._awaited = awaited
        self._methods = {
            method: grpc.stream_unary_rpc_method_handler(self._behavior(signal))
            for signal, method in EXPORT_METHODS.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._methods.get(handler_call_details.method)

    def _behavior(self, signal: Signal) -> Callable[[Iterator[bytes], Any], bytes]:
        # A unary call is read as a stream of one: only so does a message that gRPC itself turned away
        # (too large, not inflatable) become visible here and counted, and one too many be refused.
        def export(messages: Iterator[bytes], context: Any) -> bytes:
            outcome = self._export(signal, messages, context)
            if isinstance(outcome, bytes):
                return outcome
            context.abort_with_status(outcome)
            raise AssertionError("abort_with_status returned")

        return export

    def _export(self, signal: Signal, messages: Iterator[bytes], context: Any) -> bytes | StatusAnswer:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        refusal = self._authorize(metadata.get("authorization")) or self._entrance.gate.objection()
        if refusal:
            return self._entrance.turn_away(signal, refusal)
        with self._awaited.message_of(context):
            bodies = _first_two(messages)
        if not bodies:
            self._tell_of_unread(signal, context.peer())
            return self._entrance.turn_away(signal, Refusal.NOT_READ)
        answer = self._entrance.take(signal, len(bodies[0]), partial(_only, bodies), metadata)
        return answer.encode() if isinstance(answer, Answer) else answer

    def _tell_of_unread(self, signal: Signal, peer: str) -> None:
        """Say once an hour what gRPC's core tells nobody but the sender: what it turned away, and why it may have."""
        if self._entrance.telling.is_due(Refusal.NOT_READ):
            log.warning("a call with %s from %s ended before its message could be read: %s", signal, peer, _UNREAD)


class _Awaited:
    """The calls whose message has not come yet; those that take too long are cancelled, which senders may retry.

    While `many` wait, the next call would soon find no thread that could even refuse it: patience is short then.
    """

    def __init__(self, patience: float, hurried_patience: float, many: int) -> None:
        self._patience = patience
        self._hurried_patience = hurried_patience
        self._many = many
        self._since: dict[Any, float] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run, name="otlp-patience", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @contextmanager
    def message_of(self, context: Any) -> Iterator[None]:
        """Cancel the call unless this block ends in time."""
        self._since[context] = time.monotonic()
        try:
            yield
        finally:
            self._since.pop(context, None)

    def _run(self) -> None:
        while not self._stop.wait(self._hurried_patience / 4):
            waiting = list(self._since.items())
            patience = self._patience if len(waiting) < self._many else self._hurried_patience
            latest = time.monotonic() - patience
            for context, since in waiting:
                if since < latest:
                    context.cancel()


def _first_two(messages: Iterator[bytes]) -> list[bytes]:
    """Read the message of a call up to its end, and one more if there is one; nothing if the call broke off."""
    try:
        return list(islice(messages, 2))
    except grpc.RpcError:
        return []


def _only(bodies: Sequence[bytes]) -> bytes:
    if len(bodies) > 1:
        raise MalformedRequestError("more than one message in a call")
    return bodies[0]


def _options(settings: ReceiverSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # else a second process takes half of the connections without a word
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.compression_enabled_algorithms_bitset", 1 << _IDENTITY | 1 << _GZIP),
        ("grpc.max_allowed_incoming_connections", settings.connections),
        ("grpc.max_concurrent_streams", settings.max_streams_per_connection),
        ("grpc.http2.min_ping_interval_without_data_ms", round(settings.min_ping_interval * 1000)),
        ("grpc.http2.max_ping_strikes", settings.max_ping_strikes),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_idle_ms", round(settings.connection_idle * 1000)),
        ("grpc.max_connection_age_ms", round(settings.connection_age * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.connection_age_grace * 1000)),
    ]
