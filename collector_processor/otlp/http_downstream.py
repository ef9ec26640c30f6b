"""Sending over OTLP/HTTP, as protobuf: 429, 502, 503 and 504 are worth another try, every other refusal is for good."""

import gzip
import math
import socket
import ssl
import tempfile
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from threading import Lock, Timer
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from collector_processor.errors import ConfigError
from collector_processor.ledger import Signal
from collector_processor.otlp.endpoint import INSTANCE_KEY, MAX_REPLY_BYTES, ClientTls, Endpoint, Fate, Reply

DEFAULT_PORT = 4318
PATHS = {Signal.METRICS: "/v1/metrics", Signal.TRACES: "/v1/traces", Signal.LOGS: "/v1/logs"}

_RETRYABLE = {429, 502, 503, 504}
_GZIP_LEVEL = 1  # telemetry is mostly repetition: higher levels cost much and save little
_SUCCESSFUL = range(200, 300)
_PAGE = "a web page; is there an OTLP receiver at this address?"


class HttpDownstream:
    """A kept-alive connection to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._path = urlsplit(endpoint.url).path.rstrip("/")
        self._connection = _connection(endpoint)
        self._headers = {
            **endpoint.headers,
            INSTANCE_KEY: endpoint.instance_id,
            "Content-Type": "application/x-protobuf",
            **({"Content-Encoding": "gzip"} if endpoint.gzip else {}),
        }
        self._lock = Lock()
        self._is_cancelled = False

    def send(self, signal: Signal, payload: bytes) -> Reply:
        """See `Downstream.send`."""
        body = gzip.compress(payload, _GZIP_LEVEL, mtime=0) if self._endpoint.gzip else payload
        was_open = self._connection.sock is not None
        deadline = Timer(self._endpoint.timeout, self._break)
        deadline.start()
        try:
            return self._exchange(PATHS[signal], body)
        except (OSError, HTTPException) as error:
            self._break()
            if was_open and isinstance(error, ConnectionError) and not self._is_cancelled:
                return self._once_more(PATHS[signal], body)
            return Reply(Fate.LATER, "UNREACHABLE", str(error) or type(error).__name__)
        finally:
            deadline.cancel()

    def cancel(self) -> None:
        """See `Downstream.cancel`."""
        with self._lock:
            self._is_cancelled = True
        self._break()

    def close(self) -> None:
        """See `Downstream.close`."""
        self._connection.close()

    def _once_more(self, path: str, body: bytes) -> Reply:
        """Send on a new connection: the kept one was closed by the other side while it was idle."""
        try:
            return self._exchange(path, body)
        except (OSError, HTTPException) as error:
            self._break()
            return Reply(Fate.LATER, "UNREACHABLE", str(error) or type(error).__name__)

    def _exchange(self, path: str, body: bytes) -> Reply:
        with self._lock:
            if self._is_cancelled:
                return Reply(Fate.LATER, "CANCELLED")
        if self._connection.sock is None:
            self._connection.connect()
        self._connection.request("POST", self._path + path, body, self._headers)
        response = self._connection.getresponse()
        raw = response.read(MAX_REPLY_BYTES)
        if not response.isclosed():  # a reply without end: what follows on this connection would be the rest of it
            self._connection.close()
        return _reply(response, raw)

    def _break(self) -> None:
        """End what is under way on the connection, from any thread; the next request makes a new one."""
        sock = self._connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _reply(response: HTTPResponse, raw: bytes) -> Reply:
    if response.status in _SUCCESSFUL:
        is_page = response.headers.get_content_type() == "text/html"
        return Reply(Fate.TAKEN, "OK", _PAGE) if is_page else Reply.taken(raw)
    fate = Fate.LATER if response.status in _RETRYABLE else Fate.REFUSED
    return Reply(fate, f"HTTP_{response.status}", _details(response, raw), retry_after=_retry_after(response))


def _details(response: HTTPResponse, raw: bytes) -> str:
    """Return what the `google.rpc.Status` in the body says, or the status line where there is none."""
    try:
        told = Status.FromString(raw).message if "protobuf" in response.headers.get("Content-Type", "") else ""
    except DecodeError:
        told = ""
    return told or response.reason


def _retry_after(response: HTTPResponse) -> float | None:
    """Return the seconds Retry-After asks for, as a number or a date; None where it says nothing we can read."""
    text = response.headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _connection(endpoint: Endpoint) -> HTTPConnection:
    parts = urlsplit(endpoint.url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    match parts.scheme:
        case "http":
            return HTTPConnection(host, port, timeout=endpoint.timeout)
        case "https":
            return HTTPSConnection(host, port, timeout=endpoint.timeout, context=_context(endpoint.tls))
        case _:
            raise ConfigError(f"the endpoint {endpoint.url!r} begins neither with http:// nor with https://")


def _context(tls: ClientTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.root.decode() if tls.root else None)
    if tls.chain and tls.key:
        with tempfile.TemporaryDirectory() as directory:  # the library reads certificates from files alone
            path = Path(directory, "pem")
            path.touch(mode=0o600)
            path.write_bytes(tls.key + b"\n" + tls.chain)
            context.load_cert_chain(path)
    return context
