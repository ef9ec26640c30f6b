"""Names that mean harm go through every façade as they are, and find the series they belong to."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from tests.grafana.hostile import HOSTILE, write_hostile
from tests.grafana.scene import NOW
from tests.grafana.strict import body_of

SPAN = {"from": NOW // 10**6 - 3_600_000, "to": NOW // 10**6 + 1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    directory = Path(tmp_path_factory.mktemp("hostile"))
    write_hostile(directory, NOW)
    app = create_app(Settings(partial(open_reader, directory), clock=ManualClock(NOW)))
    yield app.test_client()
    app.extensions["foreband"].close()


def test_prometheus_lists_them_and_finds_each_by_its_exact_text(client: FlaskClient) -> None:
    listed = body_of(client.get("/prom/api/v1/label/service_name/values"))["data"]
    assert set(listed) == set(HOSTILE)
    for name in HOSTILE:
        query = f"foreband_actual{{service_name={json.dumps(name)}}}"
        (sample,) = body_of(client.post("/prom/api/v1/query", data={"query": query}))["data"]["result"]
        assert (sample["metric"]["service_name"], sample["metric"]["metric"]) == (name, name)


def test_rows_name_them_and_take_them_as_filters(client: FlaskClient) -> None:
    services = body_of(client.get("/api/v1/services"))
    assert {row["__value"] for row in services} == set(HOSTILE)
    for name in HOSTILE:
        rows = body_of(client.post("/api/v1/series", data={"service": name, "metric": name, **SPAN}))
        assert {(row["service"], row["metric"]) for row in rows} == {(name, name)}
        (episode,) = body_of(client.post("/api/v1/episodes", data={"service": name, **SPAN}))
        assert (episode["reason"], episode["metric"]) == (name, name)


def test_the_old_plugins_get_them_back_in_tags_and_choices(client: FlaskClient) -> None:
    values = body_of(client.post("/grafana/tag-values", json={"key": "service.name"}))
    assert {row["text"] for row in values} == set(HOSTILE)
    for name in HOSTILE:
        panel = {"range": SPAN, "targets": [{"target": "foreband_actual", "refId": "A", "payload": {"service": name}}]}
        (series,) = body_of(client.post("/grafana/query", json=panel))
        assert series["tags"]["service_name"] == name
        filtered = {"key": "service_name", "operator": "=", "value": name}
        targets = [{"target": "foreband_state", "refId": "A"}]
        (series,) = body_of(
            client.post("/grafana/query", json={"range": SPAN, "targets": targets, "filters": [filtered]})
        )
        assert series["tags"]["service_name"] == name


def test_federation_escapes_what_would_end_a_line(client: FlaskClient) -> None:
    text = client.get("/prom/federate?match[]=foreband_actual").get_data(as_text=True)
    (family,) = text_string_to_metric_families(text)
    assert {sample.labels["service_name"] for sample in family.samples} == set(HOSTILE)


def test_the_catalog_finds_them_by_their_own_words(client: FlaskClient) -> None:
    for name in HOSTILE:
        page = body_of(client.get("/api/v1/catalog", query_string={"service": name}))
        assert [row["service"] for row in page["series"]] == [name]
