"""A TCP proxy between a sender and a server that does to connections what networks and dying servers do."""

import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

_LINGER_NO_TIME = struct.pack("ii", 1, 0)
_PIECE = 16 << 10


class FaultProxy:
    """Passes connections on to `port`; the next ones are treated as `faults` say, in order, later ones well.

    A fault gets both sides of a connection and returns when it is done with them.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.faults: deque[Callable[[socket.socket, socket.socket], None]] = deque()
        self.connections = 0
        self._stopping = Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        treat = self.faults.popleft() if self.faults else pass_on
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            treat(client, server)


def pass_on(client: socket.socket, server: socket.socket) -> None:
    """Do nothing bad."""
    back = Thread(target=copy, args=(server, client), daemon=True)
    back.start()
    copy(client, server)
    back.join()


def reset_after_request_bytes(count: int) -> Callable[[socket.socket, socket.socket], None]:
    """Return the fault of a server that dies when it has read so many bytes."""

    def treat(client: socket.socket, server: socket.socket) -> None:
        Thread(target=copy, args=(server, client), daemon=True).start()
        copy(client, server, most=count)
        reset(client)

    return treat


def reset_at_answer(skipped: int) -> Callable[[socket.socket, socket.socket], None]:
    """Return the fault of a server that dies after so many bytes of answers; the request was taken."""

    def treat(client: socket.socket, server: socket.socket) -> None:
        Thread(target=copy, args=(client, server), daemon=True).start()
        copy(server, client, most=skipped)
        server.recv(1)  # what follows was on its way
        reset(client)

    return treat


def read_slowly(client: socket.socket, server: socket.socket) -> None:
    """Read next to nothing of the request, for longer than any sender waits."""
    client.settimeout(0.05)
    server.settimeout(0.0)
    while True:
        try:
            if not client.recv(1):
                return
        except TimeoutError:
            continue


def copy(source: socket.socket, target: socket.socket, most: int = 1 << 40) -> None:
    with suppress(OSError):
        while most > 0 and (data := source.recv(min(_PIECE, most))):
            target.sendall(data)
            most -= len(data)
    if most > 0:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NO_TIME)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)
    client.close()
