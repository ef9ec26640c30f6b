"""Who calls whom, as the store keeps it for whoever asks."""

from dataclasses import asdict, dataclass

import orjson

GRAPH_BLOB = "service-graph"
"""Under which name the store keeps the newest one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls of late from one service to another, or to something that shows no spans of its own (`is_peer`).

    `calls` are per second, `errors` is the share of them that failed, `seconds` the mean they took.
    """

    client: str
    server: str
    is_peer: bool
    calls: float
    errors: float
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """All edges as of `measured_unix_nano`, counted since `since_unix_nano`; 0 where nothing was counted yet.

    `dropped` calls belonged to edges for which there was no more room.
    """

    since_unix_nano: int = 0
    measured_unix_nano: int = 0
    edges: tuple[Edge, ...] = ()
    dropped: int = 0

    def to_bytes(self) -> bytes:
        """Encode for a store."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> "ServiceGraph":
        """Decode what `to_bytes` gave; of None and what cannot be read, a graph of nothing: calls are counted anew."""
        try:
            fields = orjson.loads(raw or b"{}")
            return cls(**(fields | {"edges": tuple(Edge(**edge) for edge in fields.get("edges", ()))}))
        except (ValueError, TypeError, AttributeError):
            return cls()
