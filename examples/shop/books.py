"""The state behind the shop's gauges: open carts, the packing queue and the shelves.

Time is an argument everywhere, so the live services and the simulated history keep the same books, and a live shop that
starts now takes over exactly the books that the simulation ends with.
"""

from collections import deque
from random import Random

from examples.shop.metrics import CART_ITEMS, QUEUE_DEPTH, MetricSpec
from examples.shop.model import (
    CART_LIFETIME,
    CATEGORIES,
    MINUTE_UNIX_NANO,
    RESTOCK_EVERY,
    RESTOCK_LEVEL,
    Basket,
    Operation,
    packing_seconds,
)
from examples.shop.traffic import Request, Visit, fates_of, minute_rng, requests_in

_PACKING = 3
_CART_LIFETIME_NANO = int(CART_LIFETIME.total_seconds() * 1e9)
_RESTOCK_EVERY_NANO = int(RESTOCK_EVERY.total_seconds() * 1e9)
_QUEUE_MEMORY_NANO = 30 * MINUTE_UNIX_NANO
"""Longer than an item stays in a cart or an order in the queue."""


class Books:
    """All state that outlives a request. Not thread-safe; times ascend."""

    def __init__(self) -> None:
        self.carts = OpenCarts()
        self.queue = PackingQueue()
        self.shelves = Shelves()

    def record(self, time_unix_nano: int, operation: Operation, basket: Basket, rng: Random) -> None:
        """Enter one operation that succeeded."""
        if operation.name == "cart.add":
            self.carts.add(time_unix_nano, basket.items)
        elif operation.name == "inventory.reserve":
            self.shelves.take(time_unix_nano, basket.category, basket.items)
        elif operation.name == "checkout.order":
            self.queue.add(time_unix_nano, int(packing_seconds(rng) * 1e9))

    def record_minute(self, minute: int, seed: int, requests: list[Request], visits: list[Visit]) -> None:
        """Enter everything that succeeded in one simulated minute."""
        rng = minute_rng(minute, seed, _PACKING)
        for request, visit in zip(requests, visits, strict=True):
            self._record_visit(request, visit, rng)

    def read(self, spec: MetricSpec, label: str, now_unix_nano: int) -> int:
        """Return the value of one of the gauges or of the up/down counter."""
        if spec is CART_ITEMS:
            return self.carts.items(now_unix_nano)
        if spec is QUEUE_DEPTH:
            return self.queue.depth(now_unix_nano)
        return self.shelves.level(now_unix_nano, label)

    def _record_visit(self, request: Request, visit: Visit, rng: Random) -> None:
        for call in visit.calls:
            self._record_visit(request, call, rng)
        if not visit.is_failure:
            self.record(request.time_unix_nano, visit.operation, request.basket, rng)


class OpenCarts:
    """Items lying in carts; whatever is not bought is put back after a while."""

    def __init__(self) -> None:
        self._added: deque[tuple[int, int]] = deque()
        self._items = 0

    def add(self, time_unix_nano: int, items: int) -> None:
        """Put items into a cart; times ascend."""
        self._added.append((time_unix_nano + _CART_LIFETIME_NANO, items))
        self._items += items

    def items(self, now_unix_nano: int) -> int:
        """Count the items in carts, forgetting those put back by now."""
        while self._added and self._added[0][0] <= now_unix_nano:
            self._items -= self._added.popleft()[1]
        return self._items


class PackingQueue:
    """Orders waiting for or on the table of the one packer, first come, first served."""

    def __init__(self) -> None:
        self._done_unix_nano: deque[int] = deque()

    def add(self, time_unix_nano: int, work_nano: int) -> None:
        """Append an order that takes the packer this long; times ascend."""
        free = max(time_unix_nano, self._done_unix_nano[-1]) if self._done_unix_nano else time_unix_nano
        self._done_unix_nano.append(free + work_nano)

    def depth(self, now_unix_nano: int) -> int:
        """Count the orders not yet packed, forgetting the others."""
        while self._done_unix_nano and self._done_unix_nano[0] <= now_unix_nano:
            self._done_unix_nano.popleft()
        return len(self._done_unix_nano)


class Shelves:
    """Items in stock by category, filled up to the same level a few times a day."""

    def __init__(self) -> None:
        self._period = 0
        self._taken = dict.fromkeys(CATEGORIES, 0)

    def take(self, time_unix_nano: int, category: str, items: int) -> None:
        """Take items from the shelf; times ascend."""
        self._restock(time_unix_nano)
        self._taken[category] += items

    def level(self, now_unix_nano: int, category: str) -> int:
        """Return what is left of a category, never below zero."""
        self._restock(now_unix_nano)
        return max(0, RESTOCK_LEVEL[category] - self._taken[category])

    def _restock(self, now_unix_nano: int) -> None:
        period = now_unix_nano // _RESTOCK_EVERY_NANO
        if period > self._period:
            self._period = period
            self._taken = dict.fromkeys(CATEGORIES, 0)


def books_at(minute: int, seed: int) -> Books:
    """Return the books at the start of a Unix minute, as the simulated traffic before it leaves them."""
    now = minute * MINUTE_UNIX_NANO
    start = min(now // _RESTOCK_EVERY_NANO * _RESTOCK_EVERY_NANO, now - _QUEUE_MEMORY_NANO)
    books = Books()
    for past in range(start // MINUTE_UNIX_NANO, minute):
        requests = requests_in(past, seed)
        books.record_minute(past, seed, requests, fates_of(requests, past, seed))
    return books
