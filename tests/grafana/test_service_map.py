"""The service map as a Node Graph panel reads it, over a scene with a known graph."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import HOUR, MINUTE, ManualClock
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.service_graph import GRAPH_BLOB, Edge, ServiceGraph
from grafana_datasource.app import Settings, create_app
from tests.grafana.scene import NOW, Scene, write_scene
from tests.grafana.strict import body_of

EDGES = (
    Edge("web", "checkout", False, 4.0, 0.25, 0.2),
    Edge("checkout", "postgres", True, 2.0, 0.0, 0.01),
    Edge("checkout", "web", True, 1.0, 0.0, 0.01),
)


@pytest.fixture(scope="module")
def scene_with_graph(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = write_scene(tmp_path_factory.mktemp("map") / "store", days=2, step=5 * MINUTE)
    writer = open_writer(scene.directory, StoreSettings())
    writer.commit(Commit(blobs={GRAPH_BLOB: ServiceGraph(NOW - HOUR, NOW - MINUTE, EDGES).to_bytes()}))
    writer.close()
    return scene


def served(scene: Scene, now: int) -> Iterator[FlaskClient]:
    app = create_app(Settings(partial(open_reader, scene.directory), clock=ManualClock(now)))
    yield app.test_client()
    app.extensions["foreband"].close()


@pytest.fixture(scope="module")
def mapped(scene_with_graph: Scene) -> Iterator[FlaskClient]:
    yield from served(scene_with_graph, NOW)


@pytest.fixture(scope="module")
def much_later(scene_with_graph: Scene) -> Iterator[FlaskClient]:
    yield from served(scene_with_graph, NOW + 2 * HOUR)


def by_id(client: FlaskClient, what: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in body_of(client.get(f"/api/v1/graph/{what}"))}


def test_a_service_is_a_node_with_its_rate_and_how_many_of_its_series_are_anomalous(mapped: FlaskClient) -> None:
    checkout = by_id(mapped, "nodes")["checkout"]
    assert checkout["mainstat"] > 0
    assert 0 < checkout["arc__anomalous"] < 1
    assert checkout["arc__anomalous"] + checkout["arc__usual"] == pytest.approx(1)
    assert checkout["detail__episodes"] == round(checkout["arc__anomalous"] * checkout["detail__series"])
    assert checkout["color"] == {"critical": "red", "warning": "orange", "info": "blue"}[checkout["subtitle"]]


def test_whoever_only_calls_is_a_node_and_so_is_who_shows_no_spans(mapped: FlaskClient) -> None:
    nodes = by_id(mapped, "nodes")
    assert nodes["web"]["color"] == "green"
    assert nodes["peer:postgres"]["mainstat"] == 2.0
    assert nodes["peer:postgres"]["arc__usual"] is None
    assert nodes["peer:web"]["title"] == nodes["web"]["title"]  # a peer is only what somebody calls it


def test_an_edge_says_who_calls_whom_how_often_and_how_it_goes(mapped: FlaskClient) -> None:
    edges = by_id(mapped, "edges")
    assert {(edge["source"], edge["target"]) for edge in edges.values()} == {
        ("web", "checkout"),
        ("checkout", "peer:postgres"),
        ("checkout", "peer:web"),
    }
    edge = edges["web > checkout"]
    assert (edge["mainstat"], edge["secondarystat"], edge["detail__mean_seconds"]) == (4.0, 0.25, 0.2)
    assert edge["color"] == by_id(mapped, "nodes")["checkout"]["color"]


def test_every_edge_has_both_its_nodes_also_where_there_are_too_many(mapped: FlaskClient) -> None:
    found = body_of(mapped.get("/api/graph/data?limit=2"))
    nodes = {node["id"] for node in found["nodes"]}
    assert len(nodes) == 2
    assert all({edge["source"], edge["target"]} <= nodes for edge in found["edges"])


def test_the_plugin_gets_fields_that_describe_the_rows(mapped: FlaskClient) -> None:
    fields = body_of(mapped.get("/api/graph/fields"))
    data = body_of(mapped.get("/api/graph/data"))
    assert mapped.get("/api/health").status_code == 200
    for what in ("nodes", "edges"):
        described = {field["field_name"]: field["type"] for field in fields[f"{what}_fields"]}
        for row in data[what]:
            assert set(row) == set(described)
            for name, value in row.items():
                assert value is None or isinstance(value, str) == (described[name] == "string")
    assert {field["color"] for field in fields["nodes_fields"] if "color" in field} == {"green", "red"}


def test_a_graph_of_long_ago_is_none(much_later: FlaskClient) -> None:
    assert by_id(much_later, "edges") == {}
    assert "web" not in by_id(much_later, "nodes")
