"""TLS in front of the HTTP server, which speaks none.

Connections are accepted, greeted and decrypted here, in one thread, and handed on over a socket in a directory that
only this user may enter. Waitress on a socket that is wrapped itself would miss what TLS has decrypted but not yet
handed out, since `poll` cannot see it: measured, a body of 15 kB never arrives. Servers that shake hands where they
accept stand still for one silent client: measured with cheroot 11, ten seconds.
"""

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Thread
from typing import Any

log = logging.getLogger(__name__)

TlsContext = Callable[[], ssl.SSLContext]
"""Gives the context in force; asked for every connection, so that certificates can be renewed."""

_AT_ONCE = 64 << 10


class TlsFront:
    """Accepts TLS on `listener`; what is decrypted goes to whoever accepts on `inside`."""

    def __init__(self, listener: socket.socket, context: TlsContext, *, connections: int, patience: float) -> None:
        self._listener = listener
        self._context = context
        self._connections = connections
        self._patience = patience
        self._directory = Path(tempfile.mkdtemp(prefix="foreband-"))
        self._path = str(self._directory / "http")
        self.inside = socket.socket(socket.AF_UNIX)
        self.inside.bind(self._path)
        self.inside.listen(connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_note)
        self._thread = Thread(target=self._run, name="tls", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._accepting = self._loop.create_task(self._accept())
        self._thread.start()

    def stop_accepting(self) -> None:
        """Take no further connections."""
        self._loop.call_soon_threadsafe(self._accepting.cancel)

    def stop(self) -> None:
        """Close all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(_cancel(asyncio.all_tasks(self._loop)))
        self._listener.close()
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:  # too many open files: what is open may close again
                log.warning("a connection could not be accepted: %s", error)
                await asyncio.sleep(self._patience / 10)
                continue
            if len(self._tasks) >= self._connections:
                connection.close()
                continue
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a handshake that failed or took too long, a client that went away
            outside = await self._greet(connection)
            inside = await asyncio.open_unix_connection(self._path)
            ways = [
                self._loop.create_task(_pass_on(outside[0], inside[1])),
                self._loop.create_task(_pass_on(inside[0], outside[1])),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                inside[1].close()
                outside[1].close()
                await _cancel(ways)

    async def _greet(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader(limit=_AT_ONCE)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context(), ssl_handshake_timeout=self._patience
            )
        except BaseException:
            connection.close()
            raise
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_AT_ONCE):
            target.write(data)
            await target.drain()


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep asyncio's own words about broken connections out of the log."""
    log.debug("%s", context.get("message"))
