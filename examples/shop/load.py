"""Send the shop's customers to its door: the rhythm of the model at the present time."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import count

from examples.shop.http import call
from examples.shop.model import MINUTE_UNIX_NANO
from examples.shop.service import Shop
from examples.shop.traffic import Request, requests_in

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 32
"""Customers in the shop; who comes when it is full goes away and is counted."""


class Load:
    """The customers of a shop, in a thread of their own."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop, self._seed = shop, seed
        self._stop = threading.Event()
        self._inside = threading.Semaphore(_MOST_AT_ONCE)
        self._outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Open the door."""
        self._thread.start()

    def close(self) -> None:
        """Close the door and wait until everybody inside is served."""
        self._stop.set()
        self._thread.join()

    def take_outcomes(self) -> Counter[str]:
        """Return how requests ended since the last call: served, failed, turned away."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, Counter()
        return outcomes

    def _run(self) -> None:
        with ThreadPoolExecutor(_MOST_AT_ONCE, "customer") as customers:
            for request in _requests_from(time.time_ns(), self._seed):
                if self._stop.wait(max(0.0, (request.time_unix_nano - time.time_ns()) / 1e9)):
                    return
                if self._inside.acquire(blocking=False):
                    customers.submit(self._visit, request)
                else:
                    self._count("turned away")

    def _visit(self, request: Request) -> None:
        try:
            status = call(request.entry, self._shop.ports[request.entry.service], request.basket, {})
            self._count("failed" if status >= 500 else "served")
        except (OSError, HTTPException) as error:
            _log.warning("a customer got no answer: %s", error)
            self._count("failed")
        finally:
            self._inside.release()

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._outcomes[outcome] += 1


def _requests_from(start_unix_nano: int, seed: int) -> Iterator[Request]:
    for minute in count(start_unix_nano // MINUTE_UNIX_NANO):
        yield from (request for request in requests_in(minute, seed) if request.time_unix_nano >= start_unix_nano)
