"""Which customers come in a given minute, and how each of their requests ends.

Everything here is a function of the seed and the number of the Unix minute. The back-fill and the live shop therefore
agree on any minute of the past without telling each other.
"""

import math
from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate
from random import Random
from typing import NamedTuple

from examples.shop.model import (
    CATEGORIES,
    ENTRIES,
    MINUTE_UNIX_NANO,
    NO_BASKET,
    NO_FAULTS,
    OPERATIONS,
    ORDER_VALUE_MEDIAN,
    ORDER_VALUE_SPREAD,
    PAYMENT_METHODS,
    Basket,
    Faults,
    Operation,
    draw_error,
    request_rate,
)

_TRAFFIC, _FATE = 1, 2


class Request(NamedTuple):
    """One customer's request at the door of the shop."""

    time_unix_nano: int
    entry: Operation
    basket: Basket


class Visit(NamedTuple):
    """What happened in one operation: its answer, and the visits it caused, in order."""

    operation: Operation
    status: int
    calls: tuple["Visit", ...]

    @property
    def is_failure(self) -> bool:
        """Whether the answer is a server error."""
        return self.status >= 500


def requests_in(minute: int, seed: int) -> list[Request]:
    """Return the requests of one Unix minute in ascending time."""
    rng = minute_rng(minute, seed, _TRAFFIC)
    rate = request_rate(minute * 60.0 + 30.0)
    start, requests = minute * MINUTE_UNIX_NANO, []
    offset = rng.expovariate(rate)
    while offset < 60.0:
        requests.append(_draw_request(start + int(offset * 1e9), rng))
        offset += rng.expovariate(rate)
    return requests


def fates_of(requests: list[Request], minute: int, seed: int) -> list[Visit]:
    """Return how each request of the minute ends, in the same order."""
    rng = minute_rng(minute, seed, _FATE)
    return [draw_visit(request.entry, rng) for request in requests]


def draw_visit(operation: Operation, rng: Random, faults: Faults = NO_FAULTS) -> Visit:
    """Draw the outcome of an operation: 500 when it fails itself, 502 when a call fails, which ends its calls."""
    if draw_error(operation, rng, faults):
        return Visit(operation, 500, ())
    calls: list[Visit] = []
    for name in operation.calls:
        calls.append(draw_visit(OPERATIONS[name], rng, faults))
        if calls[-1].is_failure:
            return Visit(operation, 502, tuple(calls))
    return Visit(operation, 200, tuple(calls))


def minute_rng(minute: int, seed: int, purpose: int) -> Random:
    """Return the random numbers of one minute; different purposes do not disturb each other."""
    return Random(((seed << 32) + minute) * 8 + purpose)


class _Weighted:
    """Names to draw from by weight."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._names = list(weights)
        self._edges = list(accumulate(weights.values()))[:-1]

    def draw(self, rng: Random) -> str:
        return self._names[bisect(self._edges, rng.random())]


_ENTRY, _METHOD, _CATEGORY = _Weighted(ENTRIES), _Weighted(PAYMENT_METHODS), _Weighted(CATEGORIES)


def _draw_request(time_unix_nano: int, rng: Random) -> Request:
    entry = OPERATIONS[_ENTRY.draw(rng)]
    if entry.method == "GET":
        return Request(time_unix_nano, entry, NO_BASKET)
    value = round(ORDER_VALUE_MEDIAN * math.exp(rng.gauss(0.0, ORDER_VALUE_SPREAD)), 2)
    basket = Basket(_METHOD.draw(rng), _CATEGORY.draw(rng), value, items=1 + int(rng.random() * 3))
    return Request(time_unix_nano, entry, basket)
