"""Dashboards as Grafana 11 to 13 would load them, and every question in them asked."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Annotated, Any, Literal

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from collector_processor.clock import DAY, HOUR, ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from tests.grafana.own import own_metrics_text
from tests.grafana.provisioned import (
    expressions,
    filled,
    infinity_queries,
    is_empty_here,
    loaded_dashboards,
    metric_names,
    panel_named,
    python_pattern,
    walk,
)
from tests.grafana.scene import NOW, Scene
from tests.grafana.strict import body_of

DASHBOARDS = loaded_dashboards()
SECOND = 10**9


JSONATA: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    'traces.{"trace": $}': lambda answer: [{"trace": trace} for trace in answer["traces"]] or [{"trace": ""}],
    "spread": lambda answer: answer["spread"],
    '$each(backtest.relative_error, function($error, $name) {{"forecast": $name, "error": $error}})': lambda answer: (
        [{"forecast": name, "error": error} for name, error in answer["backtest"]["relative_error"].items()]
        or [{"forecast": "", "error": None}]
    ),
}
"""What Infinity's server part makes of an answer, in Python."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Reference(Strict):
    type: str
    uid: Annotated[str, Field(pattern=r"^\$\{(prometheus|infinity|scraped)\}$")]


class Place(Strict):
    x: Annotated[int, Field(ge=0, le=23)]
    y: Annotated[int, Field(ge=0)]
    w: Annotated[int, Field(ge=1, le=24)]
    h: Annotated[int, Field(ge=1)]


class FieldConfig(Strict):
    defaults: dict[str, Any]
    overrides: list[dict[str, Any]]


class Placed(Strict):
    id: Annotated[int, Field(ge=1)]
    type: Literal["timeseries", "stat", "bargauge", "state-timeline", "table", "nodeGraph"]
    title: str
    description: str
    datasource: Reference
    grid_pos: Place
    targets: Annotated[list[dict[str, Any]], Field(min_length=1)]
    field_config: FieldConfig
    options: dict[str, Any]
    transformations: list[dict[str, Any]] = []
    time_from: Literal["5m"] | None = None
    hide_time_override: bool = False


class Heading(Strict):
    id: Annotated[int, Field(ge=1)]
    type: Literal["row"]
    title: Annotated[str, Field(min_length=1)]
    collapsed: Literal[False]
    grid_pos: Place
    panels: Annotated[list[Any], Field(max_length=0)]


class Dashboard(Strict):
    """What a classic dashboard is made of here; anything else would be a mistake."""

    uid: Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]
    title: str
    description: Annotated[str, Field(min_length=10)]
    tags: list[str]
    schema_version: Annotated[int, Field(ge=36, le=42)]
    version: int
    editable: bool
    graph_tooltip: Literal[1]
    refresh: str
    time: dict[Literal["from", "to"], str]
    timezone: Literal["browser"]
    links: list[dict[str, Any]]
    templating: dict[Literal["list"], list[dict[str, Any]]]
    annotations: dict[Literal["list"], list[dict[str, Any]]]
    panels: list[Placed | Heading]


@pytest.fixture(scope="module")
def client(scene: Scene) -> Iterator[FlaskClient]:
    text = own_metrics_text()
    settings = Settings(partial(open_reader, scene.directory), clock=ManualClock(NOW), metrics_text=lambda: text)
    app = create_app(settings)
    yield app.test_client()
    app.extensions["foreband"].close()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
def test_a_dashboard_is_a_classic_one(dashboard: dict[str, Any]) -> None:
    Dashboard.model_validate(dashboard)
    for panel in dashboard["panels"]:
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(refs)) == len(refs)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert 1 in {panel["id"] for panel in panels if panel["type"] != "row"}
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
def test_every_data_source_is_a_variable_of_the_dashboard(dashboard: dict[str, Any]) -> None:
    known = {
        f"${{{variable['name']}}}": variable["query"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "datasource"
    }
    for node in walk(dashboard):
        if isinstance(node.get("datasource"), dict):
            assert known[node["datasource"]["uid"]] == node["datasource"]["type"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
def test_every_variable_that_is_asked_for_is_one_of_the_dashboard(dashboard: dict[str, Any]) -> None:
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {
        name
        for name in ("series", "service", "metric", "level", "episode")
        for node in walk(dashboard)
        if _uses(node, name)
    }
    assert used <= names


def test_panels_of_now_ask_about_now_where_the_range_ends_ahead() -> None:
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard["panels"] if panel["type"] != "row"]
    of_now = [panel for panel in panels if all(target.get("instant") for target in panel["targets"])]
    assert len(of_now) > 10
    assert {panel.get("timeFrom") for panel in of_now} == {"5m"}
    assert not any("timeFrom" in panel for panel in panels if panel not in of_now)


def test_links_between_dashboards_lead_somewhere() -> None:
    uids = {dashboard["uid"] for dashboard in DASHBOARDS}
    urls = [
        node["url"] for dashboard in DASHBOARDS for node in walk(dashboard) if "targetBlank" in node and "url" in node
    ]
    inner = [url.split("/")[2].split("?")[0] for url in urls if url.startswith("/d/")]
    assert inner
    assert set(inner) <= uids
    assert any(url.startswith("http://page.example:8080/?series=") for url in urls)


def test_a_band_is_filled_down_to_a_field_that_is_there() -> None:
    for panel in (panel for dashboard in DASHBOARDS for panel in dashboard["panels"]):
        legends = {target.get("legendFormat") for target in panel.get("targets", [])}
        for node in walk(panel):
            if node.get("id") == "custom.fillBelowTo":
                assert node["value"] in legends


def test_every_width_of_the_band_has_a_threshold_of_its_own() -> None:
    panel = panel_named("foreband-health", "Bands hold")
    for kind, coverage, colour in (
        ("gauge 0.8", 0.79, "green"),
        ("latency 0.99", 0.96, "orange"),
        ("gauge 0.95", 0.94, "green"),
    ):
        overrides = [
            o for o in panel["fieldConfig"]["overrides"] if python_pattern(o["matcher"]["options"]).search(kind)
        ]
        ((thresholds,),) = (override["properties"] for override in overrides)
        reached = [s["color"] for s in thresholds["value"]["steps"] if s["value"] is None or coverage >= s["value"]]
        assert reached[-1] == colour, kind


def test_fields_that_are_told_apart_are_there() -> None:
    for panel in (panel for dashboard in DASHBOARDS for panel in dashboard["panels"] if panel["type"] != "row"):
        columns = {column["text"] for target in panel["targets"] for column in target.get("columns", [])}
        legends = {target.get("legendFormat") for target in panel["targets"]}
        labels = {"series", "service_name", "Value"} if panel["type"] == "table" else set()
        named = {node["options"] for node in walk(panel) if node.get("id") == "byName"}
        assert named <= columns | legends | labels, panel["title"]


@pytest.mark.parametrize("expr", expressions())
def test_every_expression_is_answered(client: FlaskClient, expr: str) -> None:
    between = {"start": (NOW - DAY) // SECOND, "end": (NOW + 6 * HOUR) // SECOND, "step": 300}
    now = body_of(client.post("/prom/api/v1/query", data={"query": expr, "time": NOW // SECOND}))["data"]
    over = body_of(client.post("/prom/api/v1/query_range", data={"query": expr, **between}))["data"]
    assert now["result"] or over["result"] or is_empty_here(expr)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
def test_rows_are_of_the_service_that_is_chosen(client: FlaskClient, dashboard: dict[str, Any]) -> None:
    if "service" not in {variable["name"] for variable in dashboard["templating"]["list"]}:
        return
    for query in infinity_queries([dashboard]):
        names = {column["selector"] for column in query["columns"]}
        if "${" in query["url"] or "service" not in names:
            continue
        chosen = {
            param["key"]: param["value"].replace("${service:regex}", "host") for param in query["url_options"]["params"]
        }
        answer = body_of(client.get(query["url"], query_string={name: filled(value) for name, value in chosen.items()}))
        assert {row["service"] for row in answer} <= {"host"}, query["url"]


def test_every_metric_that_is_asked_for_exists(client: FlaskClient) -> None:
    names = body_of(client.get("/prom/api/v1/label/__name__/values"))["data"]
    assert metric_names() <= set(names)


@pytest.mark.parametrize("query", infinity_queries(), ids=lambda query: query["url"])
def test_every_question_for_rows_gives_its_columns(client: FlaskClient, query: dict[str, Any]) -> None:
    params = {param["key"]: filled(param["value"]) for param in query["url_options"]["params"]}
    episodes = body_of(client.get("/api/v1/episodes", query_string=params))
    answer = body_of(client.get(query["url"].replace("${episode}", episodes[-1]["id"]), query_string=params))
    rows = [answer] if isinstance(answer, dict) else answer
    if query["root_selector"]:
        rows = JSONATA[query["root_selector"]](answer)
    wanted = {column["selector"]: column["type"] for column in query["columns"]}
    assert rows or query["url"].endswith(("capacity", "edges"))
    for row in rows:
        assert set(wanted) <= set(row)
        assert all(isinstance(row[name], int | float | None) for name, kind in wanted.items() if kind != "string")


def test_variables_find_what_they_offer(client: FlaskClient) -> None:
    queries = {
        variable["name"]: variable
        for dashboard in DASHBOARDS
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    }
    assert queries["service"]["query"]["query"] == "label_values(foreband_info, service_name)"
    assert body_of(client.get("/prom/api/v1/label/service_name/values?match[]=foreband_info"))["data"]
    inner = queries["series"]["query"]["query"].removeprefix("query_result(").removesuffix(")")
    found = body_of(client.get("/prom/api/v1/query", query_string={"query": filled(inner), "time": NOW // SECOND}))
    pattern = python_pattern(queries["series"]["regex"])
    assert found["data"]["result"]
    for sample in found["data"]["result"]:
        shown = ",".join(f'{name}="{value}"' for name, value in sample["metric"].items())
        named = pattern.search(shown)
        assert named
        assert named["value"] == sample["metric"]["series"]
        assert named["text"]


def _uses(node: dict[str, Any], name: str) -> bool:
    texts = [text for text in node.values() if isinstance(text, str)]
    return any(f"${name}" in text or f"${{{name}}}" in text or f"${{{name}:" in text for text in texts)
