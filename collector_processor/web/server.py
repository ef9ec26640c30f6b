"""Run a WSGI application in a thread, and stop it without cutting answers off."""

import errno
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from collector_processor.web.channel import Channel, Patience
from collector_processor.web.guard import Guard, PlainGuard
from collector_processor.web.tls import TlsContext, TlsFront

_PAUSE_WITHOUT_FILES = 0.05
_HEADER_BYTES = 32 << 10
_ANSWER_IN_MEMORY = 2 << 20
"""Larger answers wait in a file for a slow reader; the compressed chart script fits."""

Application = Callable[..., Any]
"""A WSGI application."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Limits of one server.

    `patience` is how many seconds a connection may be silent, and a request may take to come in; the latter grows with
    what came, at the rate given. `max_buffered_bytes` is for the bodies of all requests that nobody works on yet.
    """

    threads: int = 16
    connections: int = 1000
    max_body_bytes: int = 1 << 20
    max_buffered_bytes: int = 64 << 20
    patience: float = 10.0
    bytes_per_second: int = 256 << 10


@dataclass(slots=True)
class Server:
    """A running server; `port` is the one really bound (ask for port 0 to get a free one)."""

    host: str
    port: int
    _waitress: Any
    _thread: Thread
    _front: TlsFront | None = None

    def stop(self, drain_seconds: float = 10.0) -> bool:
        """Take no further connections, let running requests finish; return whether all did in time."""
        if self._front is not None:
            self._front.stop_accepting()
        self._waitress.accepting = False
        finished = self._drained(drain_seconds)
        if self._front is not None:
            self._front.stop()
        workers_ended = self._end_workers()
        loop_ended = self._end_loop(may_be_woken=not workers_ended)
        return finished and workers_ended and loop_ended

    def _end_loop(self, *, may_be_woken: bool) -> bool:
        """Take all connections out of the loop, which ends it, and close them; return whether it ended.

        The trigger that wakes the loop is among them. It stays open where a thread may pull it yet, for that thread
        would write into whatever file was opened next.
        """
        connections = self._waitress._map  # noqa: SLF001
        taken: dict[int, Any] = {}

        def take_all() -> None:
            taken.update(connections)
            connections.clear()

        self._waitress.trigger.pull_trigger(take_all)
        self._thread.join(1.0)
        if self._thread.is_alive():
            return False
        if may_be_woken:
            taken = {number: each for number, each in taken.items() if each is not self._waitress.trigger}
        wasyncore.close_all(taken)
        return True

    def _end_workers(self) -> bool:
        """End all threads; who still waits for one is disconnected like all who come later, which is no warning.

        Returns whether all have ended: one that works on pulls the trigger when it is done.
        """
        log = logging.getLogger("waitress")
        level = log.level
        log.setLevel(logging.ERROR)
        self._waitress.task_dispatcher.shutdown(timeout=1.0)
        log.setLevel(level)
        return not self._waitress.task_dispatcher.threads

    def _drained(self, seconds: float) -> bool:
        """Wait until no connection has a request in work or an answer on its way."""
        deadline, pause = time.monotonic() + seconds, Event()
        while self._is_busy():
            if time.monotonic() >= deadline:
                return False
            pause.wait(0.02)
        return True

    def _is_busy(self) -> bool:
        channels = list(self._waitress.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def serve(
    app: Application,
    host: str,
    port: int,
    settings: WebSettings | None = None,
    guard: Guard | None = None,
    tls: TlsContext | None = None,
) -> Server:
    """Serve in a background thread; the port is bound when this returns. With `tls` no plain HTTP is spoken.

    Raises:
        OSError: if the address cannot be bound.
    """
    settings = settings or WebSettings()
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=1024)
    bound = listener.getsockname()
    front = None
    if tls is not None:
        front = TlsFront(listener, tls, connections=settings.connections, patience=settings.patience)
        listener = front.inside
    waitress = _waitress(app, listener, settings, guard or PlainGuard(), "http" if tls is None else "https")
    thread = Thread(target=waitress.run, name=f"http-{bound[1]}", daemon=True)
    thread.start()
    if front is not None:
        front.start()
    return Server(bound[0], bound[1], waitress, thread, front)


def _accept(accept: Callable[[], Any]) -> Any:
    """Take the next connection; without a file descriptor to spare leave it waiting for a moment."""
    try:
        return accept()
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        time.sleep(_PAUSE_WITHOUT_FILES)
        return None


def _waitress(app: Application, listener: socket.socket, settings: WebSettings, guard: Guard, scheme: str) -> Any:
    server: Any = create_server(
        app,
        sockets=[listener],
        threads=settings.threads,
        connection_limit=settings.connections,
        asyncore_use_poll=True,  # select() ends at 1,024 file descriptors
        recv_bytes=64 << 10,
        inbuf_overflow=settings.max_buffered_bytes,  # in memory, since all together are bounded
        max_request_body_size=settings.max_body_bytes + 1,  # the first size that is too large
        max_request_header_size=_HEADER_BYTES,
        outbuf_overflow=_ANSWER_IN_MEMORY,
        ident="foreband",
        url_scheme=scheme,
        clear_untrusted_proxy_headers=True,
    )
    server.accept = partial(_accept, server.accept)
    server.adj.channel_timeout = settings.patience  # set here, for what is given above is cut to whole seconds
    server.adj.cleanup_interval = server.adj.asyncore_loop_timeout = min(1.0, settings.patience / 4)
    patience = Patience(settings.patience, settings.bytes_per_second)
    server.channel_class = partial(Channel, guard, patience, settings.max_buffered_bytes)
    return server
