"""Sending over OTLP/gRPC; which codes are worth another try is OTLP's own table."""

from threading import Lock
from urllib.parse import urlsplit

import grpc

from collector_processor.errors import ConfigError
from collector_processor.ledger import Signal
from collector_processor.otlp.endpoint import INSTANCE_KEY, MAX_REPLY_BYTES, Endpoint, Fate, Reply
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.otlp.status import retry_delay

DEFAULT_PORT = 4317

_RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class GrpcDownstream:
    """A channel to one endpoint, for one thread that sends; another may cancel.

    Calls are the blocking ones: one that can be cancelled by itself costs gRPC a thread of its own, 0.15 ms a call. So
    the whole channel is given up.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel = _channel(endpoint)
        headers = {key.lower(): value for key, value in endpoint.headers.items()}
        self._metadata: tuple[tuple[str, str | bytes], ...] = (*headers.items(), (INSTANCE_KEY, endpoint.instance_id))
        self._lock = Lock()
        self._is_cancelled = False

    def send(self, signal: Signal, payload: bytes) -> Reply:
        """See `Downstream.send`."""
        method = self._channel.unary_unary(EXPORT_METHODS[signal], None, None)
        try:
            return Reply.taken(method(payload, timeout=self._endpoint.timeout, metadata=self._metadata))
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._reconnect()
            return reply_of(error.code(), error.details() or "", retry_delay(error.trailing_metadata()))
        except ValueError:  # what gRPC says of a closed channel
            if not self._is_cancelled:
                raise
            return reply_of(grpc.StatusCode.CANCELLED)

    def cancel(self) -> None:
        """See `Downstream.cancel`."""
        with self._lock:
            self._is_cancelled = True
            self._channel.close()

    def close(self) -> None:
        """See `Downstream.close`."""
        self._channel.close()

    def _reconnect(self) -> None:
        """Give up a connection that may lead nowhere: without an answer gRPC itself would keep to it for minutes."""
        with self._lock:
            if not self._is_cancelled:
                self._channel.close()
                self._channel = _channel(self._endpoint)


def reply_of(code: grpc.StatusCode, details: str = "", retry_after: float | None = None) -> Reply:
    """Return what a failed call means; RESOURCE_EXHAUSTED says come again only where it also says when."""
    is_later = code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after is not None)
    return Reply(Fate.LATER if is_later else Fate.REFUSED, code.name, details, retry_after=retry_after)


def _channel(endpoint: Endpoint) -> grpc.Channel:
    parts = urlsplit(endpoint.url)
    host, _, port = parts.netloc.rpartition(":")
    target = parts.netloc if host and port.isdigit() else f"{parts.netloc}:{DEFAULT_PORT}"
    options = [
        ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
        ("grpc.initial_reconnect_backoff_ms", max(100, round(endpoint.reconnect_initial * 1000))),
        ("grpc.max_reconnect_backoff_ms", max(100, round(endpoint.reconnect_max * 1000))),
        ("grpc.use_local_subchannel_pool", 1),  # else a new channel gets the old connection
        ("grpc.enable_retries", 0),  # the outbox retries; a second loop inside would only hide it
    ]
    compression = grpc.Compression.Gzip if endpoint.gzip else grpc.Compression.NoCompression
    match parts.scheme:
        case "http":
            return grpc.insecure_channel(target, options, compression)
        case "https":
            tls = endpoint.tls
            credentials = grpc.ssl_channel_credentials(tls.root, tls.key, tls.chain)
            return grpc.secure_channel(target, credentials, options, compression)
        case _:
            raise ConfigError(f"the endpoint {endpoint.url!r} begins neither with http:// nor with https://")
