"""The OTLP/HTTP door: three paths, protobuf and JSON, plain and compressed.

What can be said of a request by its headers is said before its body is read. Every refusal is a `google.rpc.Status`
in the content type of the request; JSON where that is neither of the two.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import grpc
import orjson
from google.protobuf.json_format import MessageToJson

from collector_processor.errors import MalformedRequestError
from collector_processor.ledger import Signal
from collector_processor.otlp.gate import Authorize, Entrance, Refusal, everybody, refusal_of
from collector_processor.otlp.inflate import CODINGS, Coding, inflate, inflated_size
from collector_processor.otlp.json_request import JSON_WEIGHT, MAX_JSON_BYTES, protobuf_of
from collector_processor.otlp.status import HTTP_CODES, Answer, StatusAnswer, retry_delay, status_of
from collector_processor.web.guard import Head, Reply
from collector_processor.web.listening import cannot_listen
from collector_processor.web.server import WebSettings, serve
from collector_processor.web.tls import TlsContext

log = logging.getLogger(__name__)

PATHS = {f"/v1/{signal}": signal for signal in Signal}
PROTOBUF, JSON = "application/x-protobuf", "application/json"

_REJECTED_KEYS = {
    Signal.METRICS: "rejectedDataPoints",
    Signal.TRACES: "rejectedSpans",
    Signal.LOGS: "rejectedLogRecords",
}
_STATUS_CODES = {
    404: grpc.StatusCode.UNIMPLEMENTED,
    405: grpc.StatusCode.UNIMPLEMENTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.UNIMPLEMENTED,
    500: grpc.StatusCode.INTERNAL,
}
"""What the body says where HTTP itself is the reason; else INVALID_ARGUMENT."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits of the door."""

    listen: str = "127.0.0.1:4318"
    max_message_bytes: int = 16 << 20
    web: WebSettings = field(default_factory=WebSettings)
    tls: TlsContext | None = field(default=None, repr=False)

    def limit(self, media: str) -> int:
        """Return the size of the largest inflated body of a media type."""
        return self.max_message_bytes if media == PROTOBUF else min(self.max_message_bytes, MAX_JSON_BYTES)


class HttpReceiver:
    """An HTTP server for OTLP; it takes requests from `start` until the gate is closed, and answers until `stop`."""

    def __init__(self, settings: HttpSettings, entrance: Entrance, authorize: Authorize = everybody) -> None:
        self._settings = settings
        self._entrance = entrance
        self._guard = _Guard(settings, entrance, authorize)

    def start(self) -> int:
        """Listen; return the port.

        Raises:
            ConfigError: if the address can't be listened on.
        """
        settings = self._settings
        host, _, port = settings.listen.rpartition(":")
        web = replace(settings.web, max_body_bytes=settings.max_message_bytes)
        try:
            self._server = serve(self._application, host.strip("[]"), int(port), web, self._guard, settings.tls)
        except OSError:
            raise cannot_listen("receiver.http_listen", settings.listen) from None
        return self._server.port

    def stop(self, drain_seconds: float) -> None:
        """Close the connections; answers on their way get so many seconds."""
        self._server.stop(drain_seconds)

    def _application(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        reply = self._answer(environ)
        start_response(reply.status, reply.header_list())
        return [reply.body]

    def _answer(self, environ: Mapping[str, Any]) -> Reply:
        signal, media = PATHS[environ["PATH_INFO"]], _media_type(environ["CONTENT_TYPE"])
        raw: bytes = environ["wsgi.input"].read()
        coding = CODINGS.get(_encoding(environ.get("HTTP_CONTENT_ENCODING", "")))
        try:
            size = inflated_size(raw, self._settings.limit(media), coding) if coding else len(raw)
        except MalformedRequestError as error:
            self._entrance.on_refused(signal, refusal_of(error))
            return _reply_of(status_of(error), media)
        if size > self._settings.limit(media):
            self._entrance.on_refused(signal, Refusal.NOT_READ)
            return self._guard.refused(413, _too_large(self._settings.limit(media)), media)
        read = partial(_protobuf, signal, media, raw, size, coding)
        weight = 1 if media == PROTOBUF else JSON_WEIGHT
        answer = self._entrance.take(signal, size * weight, read, _metadata(environ))
        if isinstance(answer, StatusAnswer):
            return _reply_of(answer, media)
        return Reply(200, media, answer.encode() if media == PROTOBUF else _json_of(signal, answer))


class _Guard:
    """Looks at the headers of a request."""

    def __init__(self, settings: HttpSettings, entrance: Entrance, authorize: Authorize) -> None:
        self._settings = settings
        self._entrance = entrance
        self._authorize = authorize

    def admit(self, head: Head) -> Reply | None:
        signal, media = PATHS.get(head.path), _media_type(head.headers.get("CONTENT_TYPE", ""))
        if signal is None:
            refused = self.refused if head.method == "POST" else _worded
            return refused(404, f"there is no {head.path[:100]!r} here, only {', '.join(PATHS)}", media)
        if head.method != "POST":
            return _worded(405, "telemetry is sent with POST", media, ("Allow", "POST"))
        refusal = self._authorize(head.headers.get("AUTHORIZATION"))
        if refusal is None and (objection := self._objection(head, media)):
            self._entrance.on_refused(signal, Refusal.NOT_READ)
            return objection
        refusal = refusal or self._entrance.gate.objection()
        return _reply_of(self._entrance.turn_away(signal, refusal), media) if refusal else None

    def refuse(self, code: int, text: str, head: Head) -> Reply:
        signal, media = PATHS.get(head.path), _media_type(head.headers.get("CONTENT_TYPE", ""))
        if code == HTTP_CODES[grpc.StatusCode.UNAVAILABLE] and signal is not None:
            return _reply_of(self._entrance.turn_away(signal, Refusal.OVERLOAD), media)
        if signal is None or head.method != "POST":
            return _worded(code, text, media)
        self._entrance.on_refused(signal, Refusal.NOT_READ)
        return self.refused(code, text, media)

    def refused(self, code: int, text: str, media: str, *headers: tuple[str, str]) -> Reply:
        """Refuse telemetry for good, and say so once an hour: the next request of this sender will be like it."""
        if self._entrance.telling.is_due(code):
            log.warning("telemetry over HTTP is refused for good: %d, %s", code, text)
        return _worded(code, text, media, *headers)

    def _objection(self, head: Head, media: str) -> Reply | None:
        encoding = head.headers.get("CONTENT_ENCODING", "")
        if not media:
            return self.refused(415, f"the content type should be {PROTOBUF} or {JSON}", media)
        if _encoding(encoding) not in {"", *CODINGS}:
            text = f"the content encoding should be gzip, deflate, zstd or none, not {encoding[:100]!r}"
            return self.refused(415, text, media, ("Accept-Encoding", "gzip, deflate, zstd"))
        if head.content_length is None:
            return self.refused(411, "the request says neither how long its body is nor that it comes in chunks", media)
        limit = self._settings.limit(media)
        return self.refused(413, _too_large(limit), media) if head.content_length > limit else None


def _media_type(content_type: str) -> str:
    """Return the media type without its parameters, empty where it is none of ours."""
    media = content_type.partition(";")[0].strip().lower()
    return media if media in {PROTOBUF, JSON} else ""


def _encoding(header: str) -> str:
    encoding = header.strip().lower()
    return {"identity": "", "none": ""}.get(encoding, encoding)


def _protobuf(signal: Signal, media: str, raw: bytes, size: int, coding: Coding | None) -> bytes:
    body = inflate(raw, size, coding) if coding else raw
    return body if media == PROTOBUF else protobuf_of(signal, body)


def _metadata(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers as gRPC would name them."""
    prefix = "HTTP_"
    return {
        name.removeprefix(prefix).lower().replace("_", "-"): str(value)
        for name, value in environ.items()
        if name.startswith(prefix)
    }


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


def _json_of(signal: Signal, answer: Answer) -> bytes:
    partial_success = answer.partial_success
    if partial_success is None:
        return b"{}"
    rejected, text = partial_success
    return orjson.dumps({"partialSuccess": {_REJECTED_KEYS[signal]: str(rejected), "errorMessage": text}})


def _worded(code: int, text: str, media: str, *headers: tuple[str, str]) -> Reply:
    status = StatusAnswer(_STATUS_CODES.get(code, grpc.StatusCode.INVALID_ARGUMENT), text)
    return Reply(code, media or JSON, _status_bytes(status, media), headers)


def _reply_of(status: StatusAnswer, media: str) -> Reply:
    headers: list[tuple[str, str]] = []
    if status.code is grpc.StatusCode.UNAVAILABLE:
        headers.append(("Retry-After", str(math.ceil(retry_delay(status.trailing_metadata) or 1))))
    if status.code is grpc.StatusCode.UNAUTHENTICATED:
        headers.append(("WWW-Authenticate", "Bearer"))
    return Reply(HTTP_CODES[status.code], media or JSON, _status_bytes(status, media), headers)


def _status_bytes(status: StatusAnswer, media: str) -> bytes:
    message = status.message()
    if media == PROTOBUF:
        encoded: bytes = message.SerializeToString()
        return encoded
    return MessageToJson(message, indent=None).encode()
