"""The document of the API against the API itself, both ways."""

import json
import re
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jsonschema_rs
import pytest
from click.testing import CliRunner
from flask import Flask
from flask import Request as FlaskRequest
from flask.testing import FlaskClient
from werkzeug.datastructures import CombinedMultiDict

from collector_processor.cli import cli
from grafana_datasource.openapi.document import document
from grafana_datasource.openapi.table import OPERATIONS, OUTSIDE
from tests.grafana.fuzz import quickly, served
from tests.grafana.scene import CALLS, DURATION, INCIDENT_ID, NOW, Scene
from tests.grafana.strict import body_of, error_of

S = NOW // 10**9
QUERIES = {
    "query": "foreband_anomaly",
    "start": str(S - 86_400),
    "end": str(S + 3_600),
    "step": "5m",
    "match[]": "foreband_state",
    "limit": "5",
    "max_points": "20",
}
BODIES: dict[str, dict[str, Any]] = {
    "/grafana/query": {"range": {"from": S - 3600, "to": S}, "targets": [{"target": "foreband_yhat", "refId": "A"}]},
    "/grafana/annotations": {"range": {"from": S - 86_400, "to": S}},
    "/grafana/metric-payload-options": {"name": "service"},
    "/grafana/tag-values": {"key": "service_name"},
}

BLOCKS = {"/prom/api/v1/read": b"\x00"}
"""Bodies that are neither a form nor JSON: a remote read of nothing."""


@pytest.fixture(scope="module")
def described(app: Flask) -> dict[str, Any]:
    return document(app)


def path_of(path: str) -> str:
    values = {
        "series": DURATION.stable_id,
        "episode": "1-7418",
        "incident": INCIDENT_ID,
        "label": "service_name",
        "feedback": "none",
        "rule": "silence",
    }
    return re.sub(r"\{(\w+)\}", lambda match: values[match.group(1)], path)


def test_every_route_is_described_and_every_description_is_of_a_route(app: Flask) -> None:
    served_ones = {rule.endpoint for rule in app.url_map.iter_rules() if not rule.endpoint.startswith(OUTSIDE)}
    assert served_ones == set(OPERATIONS), "say in grafana_datasource/openapi/table.py what the route takes and answers"


def test_the_document_is_openapi_with_schemas_that_are_schemas(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    ids = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)
    for schema in described["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "components": described["components"]})


def test_every_answer_is_as_the_document_says(client: FlaskClient, described: dict[str, Any]) -> None:
    seen = 0
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if method == "post" and operation["tags"][0] in {"feedback", "hooks"}:
                continue  # they change something: in tests of their own
            url = path_of(path)
            given: dict[str, Any] = {"query_string": QUERIES} if method == "get" else {"data": QUERIES}
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                given = {"json": BODIES.get(url, {})}
            if url in BLOCKS:
                given = {"data": BLOCKS[url]}
            response = client.open(url, method=method.upper(), **given)
            (content,) = operation["responses"]["200"]["content"].items()
            assert response.status_code == 200, (path, response.get_data(as_text=True)[:300])
            assert response.mimetype == content[0], path
            if content[0] == "application/json":
                schema = {**content[1]["schema"], "components": described["components"]}
                jsonschema_rs.validate(schema, body_of(response))
                seen += 1
    assert seen > 60


def test_a_handler_reads_no_parameter_that_is_not_described(app: Flask, described: dict[str, Any]) -> None:
    read: set[str] = set()

    class Watched(CombinedMultiDict[str, str]):
        def get(self, key: str, *rest: Any, **named: Any) -> Any:
            read.add(key)
            return super().get(key, *rest, **named)

        def getlist(self, key: str, *rest: Any, **named: Any) -> Any:
            read.add(key)
            return super().getlist(key, *rest, **named)

    class Watching(FlaskRequest):
        @property
        def values(self) -> Any:
            return Watched([self.args, self.form])

    watched = cast("Any", app)
    usual, watched.request_class = app.request_class, Watching
    try:
        for path, methods in described["paths"].items():
            if "get" in methods:
                read.clear()
                app.test_client().get(path_of(path), query_string=QUERIES)
                known = {each["name"] for each in methods["get"]["parameters"]}
                assert read <= known, path
    finally:
        watched.request_class = usual


def test_the_document_says_which_scope_a_route_takes(described: dict[str, Any]) -> None:
    paths = described["paths"]
    assert paths["/healthz"]["get"]["security"] == []
    assert paths["/prom/api/v1/query"]["post"]["security"][0] == {"bearer": ["read"]}
    assert paths["/api/v1/episodes/{episode}/feedback"]["post"]["security"][0] == {"bearer": ["admin"]}


def test_the_document_is_sent_once_and_then_only_when_it_changed(client: FlaskClient) -> None:
    first = client.get("/api/v1/openapi.json")
    assert body_of(first)["info"]["title"] == "Foreband"
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_command_prints_what_is_served(client: FlaskClient) -> None:
    printed = CliRunner().invoke(cli, ["docs"])
    assert json.loads(printed.output) == body_of(client.get("/api/v1/openapi.json"))


def test_data_is_never_kept_by_anybody(client: FlaskClient) -> None:
    for path in ("/prom/api/v1/query?query=1", "/api/v1/catalog", f"/api/v1/series/{CALLS.stable_id}/forecast"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


def test_a_method_that_a_route_does_not_take_is_refused_with_those_it_takes(client: FlaskClient) -> None:
    refused = client.put("/api/v1/catalog")
    error_of(refused, 405)
    assert set(refused.headers["Allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


def test_what_the_web_server_refuses_on_its_own_has_the_shape_of_all_errors(scene: Scene) -> None:
    with served(scene) as url:
        for code, question in ((413, Request(url, b"x" * (2 << 20))), (431, Request(f"{url}/{'x' * 40_000}"))):
            with pytest.raises(HTTPError) as refused:
                urlopen(question)
            assert refused.value.code == code
            assert json.load(refused.value)["errorType"] == "bad_data"


def test_whatever_is_asked_is_answered_as_the_document_says(scene: Scene, tmp_path: Path) -> None:
    with served(scene) as url:
        done = quickly(url, tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
