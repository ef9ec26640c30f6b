"""Draw services and who calls whom, with how they do: frames of Grafana's Node Graph panel, as flat rows.

For Infinity at `/api/v1/graph`, and for the nodegraph-api plugin at the routes it expects. At most 500 nodes and 1,000
edges are drawn, the busiest.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Blueprint, Response, request

from collector_processor.clock import HOUR
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.service_graph import GRAPH_BLOB, Edge, ServiceGraph
from collector_processor.telemetry.severity import Severity, severity
from grafana_datasource.backend import Backend, Session
from grafana_datasource.chosen import chosen, open_episodes
from grafana_datasource.query import Params, limit
from grafana_datasource.red import service_rows
from grafana_datasource.replies import reply
from grafana_datasource.view import LIVE_FOR

MOST_NODES, MOST_EDGES = 500, 1_000

_STANDS_FOR = HOUR
_COLOURS = {None: "green", Severity.INFO: "blue", Severity.WARNING: "orange", Severity.CRITICAL: "red"}
_PEER_COLOUR = "#808080"

NODE_FIELDS = {
    "id": "string",
    "title": "string",
    "subtitle": "string",
    "mainstat": "number",
    "secondarystat": "number",
    "arc__usual": "number",
    "arc__anomalous": "number",
    "color": "string",
    "detail__p95_seconds": "number",
    "detail__series": "number",
    "detail__episodes": "number",
    "detail__severity": "string",
}
EDGE_FIELDS = {
    "id": "string",
    "source": "string",
    "target": "string",
    "mainstat": "number",
    "secondarystat": "number",
    "thickness": "number",
    "color": "string",
    "detail__mean_seconds": "number",
}
_SHOWN = {
    "mainstat": "Requests a second",
    "secondarystat": "Share that failed",
    "detail__p95_seconds": "95 % faster than (s)",
    "detail__series": "Series",
    "detail__episodes": "Open episodes",
    "detail__severity": "Severity",
    "detail__mean_seconds": "Mean duration (s)",
}
ARC_COLOURS = {"arc__usual": "green", "arc__anomalous": "red"}

Row = dict[str, Any]


def map_routes(backend: Backend) -> Blueprint:
    """Return the routes of the service map."""
    routes = Blueprint("map", __name__)

    def drawn() -> "ServiceMap":
        with backend.session() as session:
            return ServiceMap.of(session, limit(request.values, MOST_NODES))

    def data() -> Response:
        found = drawn()
        return reply({"nodes": found.nodes, "edges": found.edges})

    for path, name, answer in (
        ("/api/v1/graph/nodes", "nodes", lambda: reply(drawn().nodes)),
        ("/api/v1/graph/edges", "edges", lambda: reply(drawn().edges)),
        ("/api/graph/data", "data", data),
        ("/api/graph/fields", "fields", lambda: reply(_fields())),
        ("/api/health", "health", lambda: reply({"status": "ok"})),
    ):
        routes.add_url_rule(path, name, answer, methods=["GET", "POST"])
    return routes


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """Rows of nodes and of the edges between them."""

    nodes: list[Row]
    edges: list[Row]

    @classmethod
    def of(cls, session: Session, most: int) -> "ServiceMap":
        """Return what is known now, of the `most` busiest nodes."""
        entries, opened = chosen(Params(), session), open_episodes(session)
        states = _States.of(session, opened)
        graph = _graph(session)
        rows = {row["service"]: row for row in service_rows(session, entries, opened, MOST_NODES)}
        called = _called(graph)
        names = dict.fromkeys([*rows, *(edge.client for edge in graph.edges), *called.services])
        nodes = [_service_node(name, rows.get(name), called.services.get(name, 0.0), states) for name in names]
        nodes += [_peer_node(name, calls) for name, calls in called.peers.items()]
        nodes.sort(key=lambda node: -(node["mainstat"] or 0.0))
        kept = {node["id"] for node in nodes[:most]}
        edges = [_edge(edge, states) for edge in graph.edges]
        edges = [edge for edge in edges if edge["source"] in kept and edge["target"] in kept]
        return cls(nodes[:most], edges[:MOST_EDGES])


@dataclass(frozen=True, slots=True)
class _States:
    """How services do: live series, and open episodes that are not muted with the worst of their severities."""

    series: Mapping[str, int]
    anomalous: Mapping[str, int]
    worst: Mapping[str, Severity]

    @classmethod
    def of(cls, session: Session, opened: Mapping[int, Episode]) -> "_States":
        order = list(Severity)
        entries, anomalous, worst = session.outlook.directory.entries, Counter[str](), dict[str, Severity]()
        for series, episode in opened.items():
            if series in entries and not episode.is_muted(session.now):
                key = entries[series].key
                found = severity(key, episode, session.now)
                anomalous[key.service] += 1
                worst[key.service] = max(found, worst.get(key.service, found), key=order.index)
        live = np.flatnonzero(session.outlook.last_time > session.now - LIVE_FOR).tolist()
        modelled = (entries[each].key for each in live if each in entries)
        return cls(Counter(key.service for key in modelled if key.statistic.is_modelled), anomalous, worst)

    def colour(self, service: str) -> str:
        return _COLOURS[self.worst.get(service)]


@dataclass(frozen=True, slots=True)
class _Called:
    """Calls a second that services and peers get, by their names."""

    services: Mapping[str, float]
    peers: Mapping[str, float]


def _called(graph: ServiceGraph) -> _Called:
    services, peers = dict[str, float](), dict[str, float]()
    for edge in graph.edges:
        of = peers if edge.is_peer else services
        of[edge.server] = of.get(edge.server, 0.0) + edge.calls
    return _Called(services, peers)


def _graph(session: Session) -> ServiceGraph:
    graph = ServiceGraph.from_bytes(session.reader.blob(GRAPH_BLOB))
    session.budget.spend(len(graph.edges))
    return graph if session.now - graph.measured_unix_nano <= _STANDS_FOR else ServiceGraph()


def _service_node(name: str, row: Row | None, called: float, states: _States) -> Row:
    series, anomalous = states.series.get(name, 0), states.anomalous.get(name, 0)
    share = min(anomalous / series, 1.0) if series else float(anomalous > 0)
    worst = states.worst.get(name)
    requests = row["requests"] if row else None
    return {
        "id": name,
        "title": name,
        "subtitle": worst.value if worst else "",
        "mainstat": called if requests is None else requests,
        "secondarystat": row["errors"] if row else None,
        "arc__usual": 1.0 - share,
        "arc__anomalous": share,
        "color": states.colour(name),
        "detail__p95_seconds": row["p95"] if row else None,
        "detail__series": series,
        "detail__episodes": anomalous,
        "detail__severity": worst.value if worst else "",
    }


def _peer_node(name: str, calls: float) -> Row:
    """Return a node of whom nothing is known but that it is called."""
    return dict.fromkeys(NODE_FIELDS) | {
        "id": _peer_id(name),
        "title": name,
        "subtitle": "shows no spans",
        "mainstat": calls,
        "color": _PEER_COLOUR,
        "detail__severity": "",
    }


def _edge(edge: Edge, states: _States) -> Row:
    target = _peer_id(edge.server) if edge.is_peer else edge.server
    return {
        "id": f"{edge.client} > {target}",
        "source": edge.client,
        "target": target,
        "mainstat": edge.calls,
        "secondarystat": edge.errors,
        "thickness": 1.0 + min(np.log10(1.0 + edge.calls), 4.0),
        "color": _PEER_COLOUR if edge.is_peer else states.colour(edge.server),
        "detail__mean_seconds": edge.seconds,
    }


def _peer_id(name: str) -> str:
    """Return an id that no service has: names of peers are what others call them."""
    return f"peer:{name}"


def _fields() -> Row:
    """Describe the rows as the nodegraph-api plugin wants it."""
    return {"nodes_fields": _described(NODE_FIELDS), "edges_fields": _described(EDGE_FIELDS)}


def _described(fields: Mapping[str, str]) -> list[Row]:
    rows = []
    for name, kind in fields.items():
        row = {"field_name": name, "type": kind}
        if name in _SHOWN:
            row["displayName"] = _SHOWN[name]
        if name in ARC_COLOURS:
            row["color"] = ARC_COLOURS[name]
        rows.append(row)
    return rows
