"""Who is near whom in the service graph, for episodes that may have one cause.

A fault is felt by callers, so two services are near where a path of at most two calls leads from one to the other: one
hop that shows nothing does not cut the path. Two callers of the same peer are near, too: a database shows nothing.
"""

from collections import defaultdict
from collections.abc import Iterable

from collector_processor.telemetry.service_graph import Edge, ServiceGraph

MOST_CALLS = 2
_MOST_CALLERS = 50
"""A peer that more services call says nothing about any two of them: a cloud's own API, a log store."""


class Topology:
    """A service graph, asked many times."""

    def __init__(self, graph: ServiceGraph) -> None:
        self.calls: dict[str, list[Edge]] = defaultdict(list)
        self._callers: dict[str, list[Edge]] = defaultdict(list)
        self._near: dict[str, frozenset[str]] = {}
        for edge in graph.edges:
            if edge.client != edge.server:
                self.calls[edge.client].append(edge)
                self._callers[edge.server].append(edge)

    def callees(self, entity: str) -> list[Edge]:
        """Return the calls an entity makes."""
        return self.calls.get(entity, [])

    def callers(self, entity: str) -> list[Edge]:
        """Return the calls an entity gets."""
        return self._callers.get(entity, [])

    def is_peer(self, entity: str) -> bool:
        """Tell whether it is known only from those who call it."""
        return entity not in self.calls and any(edge.is_peer for edge in self.callers(entity))

    def near(self, entity: str) -> frozenset[str]:
        """Return the entities that may share a cause with this one, without itself."""
        if entity not in self._near:
            found = self.below([entity]) | self._reached([entity], self._callers, of_client=True)
            for edge in self.callees(entity):
                callers = self.callers(edge.server)
                if edge.is_peer and len(callers) <= _MOST_CALLERS:
                    found.update(caller.client for caller in callers)
            self._near[entity] = frozenset(found - {entity})
        return self._near[entity]

    def below(self, entities: Iterable[str], most: int = MOST_CALLS) -> set[str]:
        """Return what entities call, and what that calls, themselves only where they are called."""
        return self._reached(entities, self.calls, of_client=False, most=most)

    def _reached(
        self, entities: Iterable[str], edges: dict[str, list[Edge]], *, of_client: bool, most: int = MOST_CALLS
    ) -> set[str]:
        found, front = set[str](), set(entities)
        for _ in range(most):
            ahead = {edge.client if of_client else edge.server for entity in front for edge in edges.get(entity, [])}
            front = ahead - found
            found |= front
        return found
