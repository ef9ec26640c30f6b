"""Run the application in a thread, and stop it without cutting answers off."""

import socket
import time
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

_HEADER_BYTES = 32 << 10
_CONNECTIONS = 1000
_IDLE_SECONDS = 10
_ANSWER_IN_MEMORY = 2 << 20
"""Larger answers wait in a file for a slow reader; the compressed chart script fits."""


@dataclass(slots=True)
class Server:
    """A running server; `port` is the one really bound (ask for port 0 to get a free one)."""

    host: str
    port: int
    _app: Flask
    _waitress: Any
    _thread: Thread

    def stop(self, drain_seconds: float = 10.0) -> bool:
        """Take no further connections, let running requests finish; return whether all did in time."""
        self._waitress.accepting = False
        finished = self._drained(drain_seconds)
        self._waitress.task_dispatcher.shutdown(timeout=1.0)  # first: a worker's last act is to pull the trigger
        self._waitress.trigger.pull_trigger(lambda: wasyncore.close_all(self._waitress._map))  # noqa: SLF001
        self._thread.join(1.0)
        self._app.extensions["foreband"].close()
        return finished and not self._thread.is_alive()

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


def serve(app: Flask, host: str, port: int, *, threads: int = 16) -> Server:
    """Serve in a background thread; the port is bound when this returns.

    Raises:
        OSError: if the address cannot be bound.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=1024)
    waitress: Any = create_server(
        app,
        sockets=[listener],
        threads=threads,
        connection_limit=_CONNECTIONS,
        asyncore_use_poll=True,  # select() ends at 1,024 file descriptors
        channel_timeout=_IDLE_SECONDS,
        cleanup_interval=_IDLE_SECONDS,
        max_request_body_size=app.config["MAX_CONTENT_LENGTH"],
        max_request_header_size=_HEADER_BYTES,
        outbuf_overflow=_ANSWER_IN_MEMORY,
        ident="foreband",
        clear_untrusted_proxy_headers=True,
    )
    bound = listener.getsockname()
    thread = Thread(target=waitress.run, name="foreband-http", daemon=True)
    thread.start()
    return Server(bound[0], bound[1], app, waitress, thread)
