"""One connection and the request on it: looked at before its body comes, timed, and bounded together with all others.

Waitress reads whole requests before it hands them to a thread. What it leaves open is closed here: who may send a
body at all, how long one may take, and how many bytes of unfinished requests there may be in all. A refused
body is read and thrown away, since a client that is still writing would not see an answer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask
from waitress.utilities import find_double_newline

from collector_processor.web.guard import Guard, Head, Reply

MAX_HEADERS = 100
_DISCARDED_AT_MOST = 64 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take to come in: `seconds`, and more for each so many bytes of it that came."""

    seconds: float
    bytes_per_second: int

    def has_ended(self, seconds: float, received: int) -> bool:
        """Tell whether a request that began so long ago is too slow."""
        return seconds > self.seconds + received / self.bytes_per_second


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Sends a refusal; of one to HEAD only the headers, which are those of the same refusal to GET."""

    def write(self, data: bytes) -> None:
        """Send what belongs to the answer."""
        super().write(b"" if getattr(self.request, "command", "") == "HEAD" else data)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection."""

    error_task_class = RefusalTask

    def __init__(self, guard: Guard, patience: Patience, max_buffered: int, server: Any, *rest: Any, **kw: Any) -> None:
        self._guard = guard
        self._patience = patience
        self._max_buffered = max_buffered
        self.parser_class = partial(Parser, guard, self._is_full)
        super().__init__(server, *rest, **kw)

    def readable(self) -> bool:
        """Cut the connection of a request that is too slow; asked about once a second or more often."""
        request = self.request
        if request is not None and self._patience.has_ended(time.monotonic() - request.began, request.bytes_received):
            self.will_close = True
        return bool(super().readable())

    @property
    def buffered(self) -> int:
        """Return the bytes of bodies on this connection that nobody works on yet."""
        request = self.request
        waiting = sum(request.bytes_kept for request in list(self.requests))
        return int(waiting + (0 if request is None else request.bytes_kept))

    def _is_full(self) -> bool:
        channels = list(self.server.active_channels.values())
        return bool(sum(channel.buffered for channel in channels) > self._max_buffered)


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request as it comes in."""

    error: Any
    completed: bool
    body_rcv: Any
    expect_continue: bool

    def __init__(self, guard: Guard, is_full: Callable[[], bool], adj: Any) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self._guard = guard
        self._is_full = is_full
        self._refusal: Reply | None = None
        self._is_looked_at = False

    @property
    def bytes_received(self) -> int:
        """Return how much of the request came so far."""
        return int(self.header_bytes_received + self.body_bytes_received)

    @property
    def bytes_kept(self) -> int:
        """Return how much memory its body takes."""
        return 0 if self._refusal else int(self.body_bytes_received)

    def received(self, data: bytes) -> int:
        """Take what came; return how much of it belongs to this request."""
        if self._refusal and not self.completed:
            return self._throw_away(data)
        header = self.header_plus[-3:] + data
        consumed = int(super().received(data))
        if not self._is_looked_at and self.headers_finished and not self.empty:
            self._is_looked_at = True
            self._look()
        elif self.error is not None:
            self._refuse(self._worded(self.error.code, self.error.body), header)
        elif self.body_bytes_received and not self.completed and self._is_full():
            self._refuse(self._worded(503, "too many bytes are on their way at once"))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers; where a body ends must be said once, in the way of the request's HTTP version."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            raise ParsingError("Bad URI") from None
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding with a Content-Length, or before HTTP/1.1")

    def _look(self) -> None:
        """Refuse by the headers; who is too large is first asked whether it may come in at all."""
        if self.error is not None and self.error.code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            refusal: Reply | None = self._worded(self.error.code, self.error.body)
        elif len(self.headers) > MAX_HEADERS:
            refusal = self._worded(431, f"more than {MAX_HEADERS} headers")
        else:
            refusal = self._guard.admit(self._head())
        if refusal is None and self.error is not None:
            refusal = self._worded(self.error.code, self.error.body)
        if refusal is not None:
            self._refuse(refusal)

    def _head(self) -> Head:
        is_announced = self.chunked or "CONTENT_LENGTH" in self.headers
        length = int(self.content_length) if is_announced else None
        return Head(getattr(self, "command", ""), getattr(self, "path", ""), self.headers, length)

    def _worded(self, code: int, text: str) -> Reply:
        text = "failed" if code == HTTPStatus.INTERNAL_SERVER_ERROR else text
        return self._guard.refuse(code, text, self._head())

    def _refuse(self, refusal: Reply, header: bytes = b"") -> None:
        """Answer so when the body has come; at once where none comes, or no end of it can be seen.

        Where the header has not ended, `header` is the part of it that came last.
        """
        self._refusal = refusal
        is_waiting, self.expect_continue = self.expect_continue, False
        if not self.headers_finished:
            self.body_rcv = _RestOfHeader()
            self.body_rcv.received(header)
        receiver = self.body_rcv
        is_endless = is_waiting or self.content_length > _DISCARDED_AT_MOST
        if receiver is None or receiver.completed or receiver.error or is_endless:
            self.error, self.completed = refusal, True
            return
        receiver.buf = _Nowhere()
        self.error, self.completed = None, False

    def _throw_away(self, data: bytes) -> int:
        receiver = self.body_rcv
        consumed = int(receiver.received(data))
        self.body_bytes_received += consumed
        if receiver.completed or receiver.error or self.body_bytes_received > _DISCARDED_AT_MOST:
            self.error, self.completed = self._refusal, True
        return consumed


class _RestOfHeader:
    """Reads a header that is too large to its end."""

    completed = False
    error = None

    def __init__(self) -> None:
        self.buf = _Nowhere()
        self._tail = b""

    def received(self, data: bytes) -> int:
        self.completed = find_double_newline(self._tail + data) >= 0
        self._tail = data[-3:]
        return len(data)

    def getbuf(self) -> "_Nowhere":
        return self.buf


class _Nowhere:
    """A buffer that keeps nothing."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    def getfile(self) -> BytesIO:
        return BytesIO()

    def __len__(self) -> int:
        return 0
