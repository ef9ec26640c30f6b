"""Grafana's own Prometheus data source asks a running Foreband, as Grafana does for panels, Explore and alert rules."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app, serve
from grafana_datasource.provisioning import Site
from grafana_datasource.provisioning.datasources import datasources
from grafana_datasource.provisioning.names import PROMETHEUS
from tests.grafana.own import own_metrics_text
from tests.grafana.provisioned import filled, is_empty_here, loaded_dashboards, loaded_rules
from tests.grafana.scene import CALLS, DURATION, GAPPY, NOW, TRACE, write_scene
from tests.servers.built import built
from tests.servers.grafana import DataSource, Field, data_source, fields_of

pytestmark = pytest.mark.server

TOKEN = "a-token-of-a-dashboard"
HOUR = 3_600_000
NOW_MS = NOW // 1_000_000
RULES = [rule["data"][0]["model"] for rule in loaded_rules() if rule["data"][0]["datasourceUid"] == PROMETHEUS["uid"]]
TARGETS = [
    (target, bool(panel.get("timeFrom")))
    for dashboard in loaded_dashboards()
    for panel in dashboard["panels"]
    for target in panel.get("targets", ())
    if "expr" in target
]


@dataclass(frozen=True)
class Scenery:
    """A server that wants a token, and Grafana's data source for it."""

    url: str
    program: str
    source: DataSource

    def frames(self, model: dict[str, Any], start: int, end: int) -> list[list[Field]]:
        """Ask between two times in milliseconds from now; return the columns of every frame."""
        answer = self.source.query(model, NOW_MS + start, NOW_MS + end)
        assert "message" not in answer, answer
        return [fields_of(frame) for frame in answer.get("frames", ()) if frame["schema"]["fields"]]


def provisioned(program: str, url: str, token: str) -> AbstractContextManager[DataSource]:
    """Set the data source up as it is brought to a Grafana."""
    described = next(each for each in datasources(Site(url, token=token)) if each["type"] == "prometheus")
    return data_source(program, described["url"], described["jsonData"], described["secureJsonData"])


@pytest.fixture(scope="module")
def scenery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    program, directory = built("grafana-client"), Path(tmp_path_factory.mktemp("store"))
    write_scene(directory)
    clock = ManualClock(NOW)
    text = own_metrics_text()
    settings = Settings(
        partial(open_reader, directory),
        clock=clock,
        may_read=lambda token: token == TOKEN,
        metrics_text=lambda: text,
    )
    app = create_app(settings)
    server = serve(app, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}"
    with provisioned(program, url, TOKEN) as source:
        yield Scenery(url, program, source)
    assert server.stop()


def test_save_and_test_succeeds_and_takes_foreband_for_a_prometheus(scenery: Scenery) -> None:
    found = scenery.source.save_and_test()
    assert found["message"] == "Successfully queried the Prometheus API."
    assert found["details"] == {"application": "Prometheus", "features": {"rulerApiEnabled": False}}


def test_save_and_test_fails_with_a_wrong_token(scenery: Scenery) -> None:
    with provisioned(scenery.program, scenery.url, "some-other-token-") as source:
        found = source.save_and_test()
    assert found["status"] != 1
    assert "401" in found["message"]


def test_every_provisioned_alert_rule_gets_one_number_for_each_series(scenery: Scenery) -> None:
    assert len(RULES) >= 3
    for rule in RULES:
        for columns in scenery.frames(rule, -600_000, 0):
            assert [len(column.values) for column in columns] == [1, 1]
    (outside,) = scenery.frames(RULES[0], -600_000, 0)
    assert outside[1].labels["series"] == CALLS.stable_id
    assert outside[1].values == [-1]


def test_every_panel_of_the_dashboard_gets_frames(scenery: Scenery) -> None:
    assert len(TARGETS) >= 8
    for target, is_of_now in TARGETS:
        text = filled(target["expr"])
        frames = scenery.frames(target | {"expr": text}, -24 * HOUR, 0 if is_of_now else 6 * HOUR)
        assert frames or is_empty_here(text), text


def test_a_range_ends_in_the_forecast(scenery: Scenery) -> None:
    model = {"expr": f'foreband_yhat{{series="{CALLS.stable_id}"}}', "range": True, "instant": False}
    ((when, yhat),) = scenery.frames(model, -HOUR, HOUR)
    assert when.values[-1] > NOW_MS + HOUR - 120_000
    assert yhat.labels["metric"] == CALLS.metric
    assert all(isinstance(value, float) for value in yhat.values)


def test_an_absent_value_is_a_gap_and_no_zero(scenery: Scenery) -> None:
    model = {"expr": f'foreband_actual{{series="{GAPPY.stable_id}"}}', "range": True, "instant": False}
    ((when, value),) = scenery.frames(model, -14 * HOUR, -8 * HOUR)
    around = [value for at, value in zip(when.values, value.values, strict=True) if value is not None]
    assert 0 < len(around) < 4 * 60
    assert min(around) > 0.1


def test_a_legend_of_labels_is_filled_in(scenery: Scenery) -> None:
    model = {"expr": "foreband_anomaly != 0", "instant": True, "range": False, "legendFormat": "{{service_name}}"}
    answer = scenery.source.query(model, NOW_MS - HOUR, NOW_MS)
    (frame,) = answer["frames"]
    assert frame["schema"]["fields"][1]["config"]["displayNameFromDS"] == "checkout"


def test_exemplars_lead_to_traces(scenery: Scenery) -> None:
    model = {"expr": "traces_span_duration_p95", "exemplar": True, "range": True, "instant": False}
    frames = scenery.frames(model, -24 * HOUR, 0)
    columns = {column.name: column.values for frame in frames for column in frame}
    assert columns["trace_id"] == [TRACE.hex()]
    assert columns["service_name"] == [DURATION.service]


def test_a_mistake_in_a_query_is_shown_in_our_words(scenery: Scenery) -> None:
    answer = scenery.source.query({"expr": "info(foreband_info)", "instant": True}, NOW_MS - HOUR, NOW_MS)
    assert answer["status"] == 422
    assert "info()" in answer["message"]
    answer = scenery.source.query({"expr": "rate(", "instant": True}, NOW_MS - HOUR, NOW_MS)
    assert answer["status"] == 400
    assert answer["message"].startswith("bad_data")


def test_explore_and_variables_get_names_labels_and_series(scenery: Scenery) -> None:
    span = f"start={NOW_MS // 1000 - 3600}&end={NOW_MS // 1000}"
    selector = quote('{__name__=~"(?i).*calls.*"}')
    calls = {
        f"/api/v1/label/__name__/values?{span}": "foreband_yhat",
        f"/api/v1/label/__name__/values?{span}&match[]={selector}": "traces_span_calls_rate",
        f"/api/v1/labels?{span}&match[]=foreband_anomaly": "service_name",
        f"/api/v1/label/U__service_2e_name/values?{span}": "checkout",
    }
    for path, expected in calls.items():
        status, body = scenery.source.resource(path)
        assert status == 200, path
        assert expected in body["data"], path
    status, body = scenery.source.resource(f"/api/v1/series?{span}&match[]=foreband_anomaly", "POST")
    assert CALLS.stable_id in {row["series"] for row in body["data"]}
    status, body = scenery.source.resource("/api/v1/metadata?limit=1000")
    assert body["data"]["foreband_yhat"][0]["type"] == "gauge"
    assert scenery.source.resource("/api/v1/rules")[1]["data"] == {"groups": []}


def test_the_query_builder_gets_suggestions_through_its_own_route(scenery: Scenery) -> None:
    asked = {"queries": ["foreband_anomaly"], "scopes": [], "adhocFilters": [], "limit": 100}
    labels = scenery.source.resource("suggestions", "POST", json.dumps(asked))[1]["data"]
    assert {"service_name", "series"} <= set(labels)
    asked |= {"labelName": "service_name"}
    asked["adhocFilters"] = [{"key": "statistic", "value": "p95", "operator": "equals"}]
    assert scenery.source.resource("suggestions", "POST", json.dumps(asked))[1]["data"] == ["checkout"]


def test_alert_evaluation_frames_our_long_rows_as_one_column_for_each_series(scenery: Scenery) -> None:
    seconds = NOW_MS // 1000
    path = f"/api/v1/series?kind=anomaly&from={seconds - 900}&to={seconds}"
    asked = Request(scenery.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(asked) as response:
        rows = json.load(response)
    when, *columns = scenery.source.wide(rows)
    assert len({row["series"] for row in rows}) == len(columns)
    assert when.values == sorted({row["time"] for row in rows})
    (outside,) = (column for column in columns if column.labels["series"] == CALLS.stable_id)
    assert outside.values[-1] == -1
