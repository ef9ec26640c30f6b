"""Run the application in a thread, and close what it holds when it stops."""

from dataclasses import dataclass

from flask import Flask

from collector_processor.web import server as web
from collector_processor.web.tls import TlsContext
from grafana_datasource.backend import Backend
from grafana_datasource.refusals import JsonGuard


@dataclass(slots=True)
class Server:
    """A running server; `port` is the one really bound (ask for port 0 to get a free one)."""

    _app: Flask
    _web: web.Server

    @property
    def host(self) -> str:
        """Return the address that is listened on."""
        return self._web.host

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        return self._web.port

    @property
    def backend(self) -> Backend:
        """Return what its requests are answered from."""
        backend: Backend = self._app.extensions["foreband"]
        return backend

    def stop(self, drain_seconds: float = 10.0) -> bool:
        """Take no further connections, let running requests finish; return whether all did in time."""
        finished = self._web.stop(drain_seconds)
        self.backend.close()
        return finished


def serve(app: Flask, host: str, port: int, *, threads: int = 16, tls: TlsContext | None = None) -> Server:
    """Serve in a background thread; the port is bound when this returns. With `tls` no plain HTTP is spoken.

    Raises:
        OSError: if the address cannot be bound.
    """
    settings = web.WebSettings(threads=threads, max_body_bytes=app.config["MAX_CONTENT_LENGTH"])
    return Server(app, web.serve(app, host, port, settings, JsonGuard(), tls))
