"""Ports of this machine that nobody else takes before a test does."""

import itertools
import os
import random
import socket
from collections.abc import Iterator

_FIRST, _PER_WORKER = 10_000, 1_400
"""Below those that systems hand out for outgoing connections, and a range for each worker of pytest-xdist."""


def free_port() -> int:
    """Return a port on which nobody listens, none twice."""
    return next(port for port in _PORTS if _is_free(port))


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    ports = list(range(_FIRST + worker * _PER_WORKER, _FIRST + (worker + 1) * _PER_WORKER))
    begin = random.SystemRandom().randrange(_PER_WORKER)
    return itertools.cycle(ports[begin:] + ports[:begin])


_PORTS = _ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
