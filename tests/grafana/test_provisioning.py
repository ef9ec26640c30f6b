import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient

from grafana_datasource.provisioning import DEFAULT_BASE_URL, provisioning_files, write_provisioning
from tests.grafana.scene import CALLS, NOW
from tests.grafana.strict import body_of

COMMITTED = Path(str(files("grafana_datasource.provisioning") / "files"))
S = NOW // 10**9


def load(name: str) -> Any:
    text = provisioning_files()[name]
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


DATASOURCES = load("datasources/foreband.yaml")["datasources"]
DASHBOARD = load("dashboards/foreband/forecast-bands.json")
(GROUP,) = load("alerting/foreband.yaml")["groups"]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def expressions() -> list[str]:
    found = [node["expr"] for part in (DASHBOARD, GROUP) for node in walk(part) if "expr" in node]
    return [expr.replace("$series", CALLS.stable_id).replace("$service", ".*") for expr in found]


def test_the_committed_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    written = {path.relative_to(tmp_path): path.read_text() for path in write_provisioning(tmp_path)}
    committed = {path.relative_to(COMMITTED): path.read_text() for path in COMMITTED.rglob("*") if path.is_file()}
    assert written == committed


def test_the_base_url_is_the_only_thing_that_changes_with_it() -> None:
    for name, text in provisioning_files("https://foreband.example:9000/").items():
        assert text.replace("https://foreband.example:9000", DEFAULT_BASE_URL) == provisioning_files()[name]


def test_every_uid_that_is_referred_to_exists() -> None:
    known = {source["uid"]: source["type"] for source in DATASOURCES} | {"__expr__": "__expr__"}
    for part in (DASHBOARD, GROUP):
        for node in walk(part):
            if isinstance(node.get("datasource"), dict):
                assert known[node["datasource"]["uid"]] == node["datasource"]["type"]
            if "datasourceUid" in node:
                assert node["datasourceUid"] in known
    panels = {panel["id"] for panel in DASHBOARD["panels"]}
    assert len(panels) == len(DASHBOARD["panels"])
    for rule in GROUP["rules"]:
        assert rule["dashboardUid"] == DASHBOARD["uid"]
        assert rule["panelId"] in panels


def test_rules_have_distinct_uids_and_refer_to_their_own_queries() -> None:
    assert len({rule["uid"] for rule in GROUP["rules"]}) == len(GROUP["rules"])
    for rule in GROUP["rules"]:
        refs = [query["refId"] for query in rule["data"]]
        assert rule["condition"] in refs
        assert all(query["model"]["refId"] == query["refId"] for query in rule["data"])
        assert all(query["model"].get("expression", "A") in refs for query in rule["data"])


def test_a_band_is_filled_down_to_a_field_that_is_there() -> None:
    for panel in DASHBOARD["panels"]:
        legends = {target.get("legendFormat") for target in panel["targets"]}
        for node in walk(panel):
            if node.get("id") == "custom.fillBelowTo":
                assert node["value"] in legends
            if node.get("id") == "byName":
                assert node["options"] in legends


def test_the_dashboard_looks_ahead() -> None:
    assert DASHBOARD["time"] == {"from": "now-24h", "to": "now+6h"}


@pytest.mark.parametrize("expr", expressions())
def test_every_expression_is_answered(client: FlaskClient, expr: str) -> None:
    params = {"query": expr, "start": S - 86400, "end": S + 21600, "step": 120}
    assert body_of(client.post("/prom/api/v1/query", data={"query": expr}))["data"]["result"]
    assert body_of(client.post("/prom/api/v1/query_range", data=params))["data"]["result"]


def test_every_infinity_query_gives_its_columns(client: FlaskClient) -> None:
    queries = [node for part in (DASHBOARD, GROUP) for node in walk(part) if "url_options" in node]
    assert len(queries) == 2
    for query in queries:
        rows = body_of(client.get(query["url"]))
        assert rows
        assert {column["selector"] for column in query["columns"]} == set(rows[0])
        numbers = [column for column in query["columns"] if column["type"] == "number"]
        assert len(numbers) == 1


def test_variables_find_series_and_services(client: FlaskClient) -> None:
    service, series = DASHBOARD["templating"]["list"]
    assert service["query"]["query"] == "label_values(foreband_anomaly, service_name)"
    match = {"match[]": "foreband_anomaly"}
    assert body_of(client.post("/prom/api/v1/label/service_name/values", data=match))["data"]
    inner = re.fullmatch(r"query_result\((.*)\)", series["query"]["query"])
    assert inner
    found = body_of(client.get("/prom/api/v1/query", query_string={"query": inner[1].replace("$service", ".*")}))
    pattern = series["regex"].strip("/").replace("(?<", "(?P<")
    for sample in found["data"]["result"]:
        shown = ",".join(f'{name}="{value}"' for name, value in sample["metric"].items())
        named = re.search(pattern, shown)
        assert named
        assert named["value"] == sample["metric"]["series"]
        assert named["text"]


def test_infinity_may_reach_its_own_host_and_checks_its_health(client: FlaskClient) -> None:
    (infinity,) = [source for source in DATASOURCES if source["type"] == "yesoreyeram-infinity-datasource"]
    options = infinity["jsonData"]
    assert any(options["customHealthCheckUrl"].startswith(host) for host in options["allowedHosts"])
    assert client.get(options["customHealthCheckUrl"].removeprefix(DEFAULT_BASE_URL)).status_code == 200
