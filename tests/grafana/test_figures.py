"""Figures of now that are neither of a forecast nor of a proof: open episodes, and Foreband's own metrics."""

from collections.abc import Iterator
from functools import partial

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from collector_processor.clock import MINUTE, ManualClock
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.episode import SILENCE, Episode
from grafana_datasource.app import Settings, create_app
from grafana_datasource.own_metrics import HELP
from tests.grafana.own import own_metrics_text
from tests.grafana.scene import CALLS, KEYS, NOW, SILENT, write_scene
from tests.grafana.strict import body_of

OWN = b"""# HELP foreband_fit_backlog_age_seconds how long
# TYPE foreband_fit_backlog_age_seconds gauge
foreband_fit_backlog_age_seconds 42.0
# HELP foreband_stored_total items
# TYPE foreband_stored_total counter
foreband_stored_total{signal="metrics"} 7.0
# HELP foreband_detection_power is answered from the proof
# TYPE foreband_detection_power gauge
foreband_detection_power{kind="spike"} 0.5
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    directory = write_scene(tmp_path_factory.mktemp("figures") / "store", days=2, step=5 * MINUTE).directory
    silence = Episode(
        "gone", KEYS.index(SILENT), NOW - 20 * MINUTE, None, NOW, 0, 0.0, 0.0, 0.0, 0.0, 0.0, "", SILENCE, "silent"
    )
    writer = open_writer(directory, StoreSettings())
    writer.commit(Commit(episodes=[silence]))
    writer.close()
    settings = Settings(partial(open_reader, directory), clock=ManualClock(NOW), metrics_text=lambda: OWN)
    app = create_app(settings)
    yield app.test_client()
    app.extensions["foreband"].close()


def asked(client: FlaskClient, query: str) -> dict[str, float]:
    params = {"query": query, "time": NOW / 10**9}
    result = body_of(client.get("/prom/api/v1/query", query_string=params))["data"]["result"]
    return {row["metric"].get("metric", row["metric"].get("signal", "")): float(row["value"][1]) for row in result}


def test_an_open_episode_is_a_series_of_its_kind(watched: FlaskClient) -> None:
    assert asked(watched, 'foreband_episode{kind="silence"}') == {SILENT.metric: 1.0}
    assert CALLS.metric in asked(watched, 'foreband_episode{kind="deviation"}')


def test_the_severity_of_an_open_episode_is_a_number(watched: FlaskClient) -> None:
    assert asked(watched, 'foreband_episode_severity{kind="silence"}') == {SILENT.metric: 3.0}


def test_own_metrics_are_series_of_now(watched: FlaskClient) -> None:
    assert asked(watched, "foreband_fit_backlog_age_seconds") == {"": 42.0}
    assert asked(watched, 'foreband_stored_total{signal="metrics"}') == {"metrics": 7.0}


def test_what_others_answer_is_not_answered_twice(watched: FlaskClient) -> None:
    assert asked(watched, 'count(foreband_detection_power{kind="spike"})') == {"": 1.0}


def test_every_own_metric_is_one_that_a_process_shows() -> None:
    text = own_metrics_text().decode()
    shown = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert set(HELP) <= shown
