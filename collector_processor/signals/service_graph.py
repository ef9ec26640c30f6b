"""Who calls whom, counted from spans and forgotten again: what was seen half an hour ago counts a half.

A client or producer span and the server or consumer span it is the parent of are a call from one service to another. A
client span whose other side shows none goes to the peer it names: a database, a queue, somebody else's service.

Bounds: at most 2,000 edges and 500 peers are kept, calls of further ones are counted as dropped. Of more than 2,000
ends of calls a second one in 2, 4, 8, ... is looked at, chosen by its id, so that both ends are or neither is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp2, log

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.signals.call_pairs import CallPairs, Calls, Ends, ends
from collector_processor.signals.measured_edges import MeasuredEdges
from collector_processor.telemetry.arrival import Peer
from collector_processor.telemetry.points import Bool, Float64, Int8, Int64
from collector_processor.telemetry.service_graph import Edge, ServiceGraph

HALF_LIFE = 30 * MINUTE
CURRENT = 10 * MINUTE
"""Spans that ended longer ago say nothing of the rates of now."""

MOST_EDGES = 2_000
MOST_PEERS = 500
ENDS_PER_SECOND = 2_000

_SERVER, _CLIENT, _PRODUCER = 2, 3, 4  # OTLP SpanKind; consumers are 5, what is less is no end of a call
_PACE = 10 * NANOS_PER_SECOND
_MOST_HELD = 4_096  # ends that wait for the next tick; where more come, a quarter of them from then on
_RAREST = 1 << 16
_GONE = 0.5  # calls: an edge of which less is left is forgotten

_Key = tuple[str, str, bool]  # client, server, is it a peer


@dataclass(slots=True)
class _Count:
    """Sums over calls, each worth less the older it is, as of `at`."""

    at: int
    calls: float = 0.0
    errors: float = 0.0
    seconds: float = 0.0

    def age(self, now: int) -> None:
        """Let time pass."""
        factor = exp2(-max(now - self.at, 0) / HALF_LIFE)
        self.at = now
        self.calls *= factor
        self.errors *= factor
        self.seconds *= factor


class ServiceGraphSignals:
    """The edges between services; one thread. `name_of` gives the name of a service by its number."""

    def __init__(self, name_of: Callable[[int], str], measured: MeasuredEdges) -> None:
        self._name_of = name_of
        self._measured = measured
        self._pairs = CallPairs()
        self._counts: dict[_Key, _Count] = {}
        self._peers: dict[str, int] = {}
        self._since = 0
        self._dropped = 0
        self._calling: list[Ends] = []
        self._called: list[Ends] = []
        self._held = 0
        self._every = 1
        self._seen = 0  # ends since `_paced`, those that were passed over included
        self._paced = 0
        self._matched = 0

    def restore(self, graph: ServiceGraph) -> None:
        """Go on from what was saved last."""
        self._since, self._dropped, self._paced = graph.since_unix_nano, graph.dropped, graph.measured_unix_nano
        at = graph.measured_unix_nano
        for edge in graph.edges:
            calls = edge.calls / self._per_second(at)
            key = (edge.client, edge.server, edge.is_peer)
            self._counts[key] = _Count(at, calls, calls * edge.errors, calls * edge.seconds)

    def note(
        self,
        service: Int64,
        kind: Int8,
        link: Int64,
        is_error: Bool,
        seconds: Float64,
        peers: Sequence[Peer],
        now: int,
    ) -> None:
        """Take in spans `(n,)` of services; `link` ties a call's ends together, 0 is none, as is a negative service."""
        is_chosen = (link != 0) & (link & (self._every - 1) == 0) & (service >= 0) & (kind >= _SERVER)
        rows = np.flatnonzero(is_chosen)
        if not rows.size:
            return
        if not self._since:
            self._since = self._paced = now
        found = ends(link[rows], service[rows], is_error[rows], seconds[rows], self._every, now)
        is_calling = (kind[rows] == _CLIENT) | (kind[rows] == _PRODUCER)
        self._calling.append(self._with_peers(found.compress(is_calling), peers))  # a mask takes forty times as long
        self._called.append(found.compress(~is_calling))
        self._held += rows.size
        if self._held > _MOST_HELD:
            self.match(now)
            self._every = min(4 * self._every, _RAREST)

    def tend(self, now: int) -> None:
        """Match ends once a second: few of them cost as much as many."""
        if abs(now - self._matched) >= NANOS_PER_SECOND:
            self.match(now)

    def match(self, now: int) -> None:
        """Bring the ends together that came since the last time, and choose anew how many are looked at."""
        self._matched = now
        if self._held:
            calls = self._pairs.take(np.concatenate(self._calling), np.concatenate(self._called))
            self._calling, self._called = [], []
            self._seen, self._held = self._seen + self._held * self._every, 0
            self._count(calls, now)
        if now - self._paced >= _PACE:
            ends_a_second = self._seen * NANOS_PER_SECOND // (now - self._paced)
            self._every = min(1 << (ends_a_second // ENDS_PER_SECOND).bit_length(), _RAREST)
            self._seen, self._paced = 0, now

    def graph(self, now: int) -> ServiceGraph:
        """Return the edges there are; what others measured of one stands for what was counted."""
        self.match(now)
        self._count(self._pairs.give_up(now), now)
        for count in self._counts.values():
            count.age(now)
        self._counts = {key: count for key, count in self._counts.items() if count.calls >= _GONE}
        per_second = self._per_second(now)
        counted = {key: _edge(key, count, per_second) for key, count in self._counts.items()}
        measured = {(edge.client, edge.server, edge.is_peer): edge for edge in self._measured.edges(now)}
        edges = sorted((counted | measured).values(), key=lambda edge: -edge.calls)
        return ServiceGraph(self._since, now, tuple(edges[:MOST_EDGES]), self._dropped)

    def _with_peers(self, calling: Ends, peers: Sequence[Peer]) -> Ends:
        """Say of spans whom they call, where that was read."""
        places = {identity: place for place, identity in enumerate(calling["id"].tolist())} if peers else {}
        for peer in peers:
            place = places.get(peer.link)
            number = None if place is None else self._number(peer)
            if number is not None:
                calling["peer"][place] = number
                calling["weight"][place] *= peer.weight
        return calling

    def _number(self, peer: Peer) -> int | None:
        """Return the number of a peer, None for one more than there is room for."""
        if peer.name not in self._peers:
            if len(self._peers) >= MOST_PEERS:
                self._dropped += round(peer.weight)
                return None
            self._peers[peer.name] = len(self._peers)
        return self._peers[peer.name]

    def _count(self, calls: Calls, now: int) -> None:
        is_own = calls.client == calls.server  # instances of one service that call each other
        pair = calls.client.astype(np.int64) << 32 | (calls.server.astype(np.int64) & 0xFFFFFFFF)
        found, place = np.unique(pair[~is_own], return_inverse=True)
        weight = calls.weight[~is_own]
        sums = [
            np.bincount(place, weights=weight * column[~is_own], minlength=found.size).tolist()
            for column in (np.ones(is_own.size), calls.is_error, calls.seconds)
        ]
        clients, servers, names = (found >> 32).tolist(), found.astype(np.int32).tolist(), list(self._peers)
        for client, server, count, errors, seconds in zip(clients, servers, *sums, strict=True):
            to = names[~server] if server < 0 else self._name_of(server)
            self._add((self._name_of(client), to, server < 0), count, errors, seconds, now)

    def _add(self, key: _Key, calls: float, errors: float, seconds: float, now: int) -> None:
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MOST_EDGES:
                self._dropped += round(calls)
                return
            count = self._counts[key] = _Count(now)
        count.age(now)
        count.calls += calls
        count.errors += errors
        count.seconds += seconds

    def _per_second(self, now: int) -> float:
        """Return what turns a decaying count into a rate: also while less than a few half-lives were counted."""
        counted = max(now - self._since, MINUTE) / HALF_LIFE
        return log(2.0) / (HALF_LIFE / NANOS_PER_SECOND) / (1.0 - exp2(-counted))


def _edge(key: _Key, count: _Count, per_second: float) -> Edge:
    return Edge(*key, count.calls * per_second, count.errors / count.calls, count.seconds / count.calls)
