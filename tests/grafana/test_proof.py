from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import HOUR, ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from grafana_datasource.provisioning.alerting import RULES
from tests.grafana.scene import NOW, Scene
from tests.grafana.strict import body_of


@pytest.fixture(scope="module")
def directory(scene: Scene) -> Path:
    return scene.directory


def client(directory: Path, now: int = NOW) -> FlaskClient:
    return create_app(Settings(partial(open_reader, directory), clock=ManualClock(now))).test_client()


def asked(directory: Path, query: str, now: int = NOW) -> dict[str, float]:
    reply = client(directory, now).get("/prom/api/v1/query", query_string={"query": query, "time": now / 1e9})
    rows = body_of(reply)["data"]["result"]
    return {",".join(f"{k}={v}" for k, v in sorted(row["metric"].items())): float(row["value"][1]) for row in rows}


def test_detection_power_is_a_series_by_kind_and_size(directory: Path) -> None:
    assert asked(directory, 'foreband_detection_power{kind="spike"}') == {
        "__name__=foreband_detection_power,kind=spike,size=3": 0.95
    }
    assert asked(directory, "sum by (kind) (foreband_detection_power)") == {"kind=spike": 0.95, "kind=drift": 0.0}


def test_what_was_never_found_has_no_time_to_detect(directory: Path) -> None:
    assert list(asked(directory, "foreband_time_to_detect_seconds").values()) == [0.0]


def test_coverage_is_that_of_all_points_of_a_kind(directory: Path) -> None:
    covered = asked(directory, 'foreband_band_coverage{interval_width="0.95"}')
    assert covered
    assert all(0.5 < share <= 1.0 for share in covered.values())
    assert all("kind=" in labels for labels in covered)


def test_a_proof_of_yesterday_proves_nothing(directory: Path) -> None:
    assert asked(directory, "foreband_detection_power", NOW + 2 * HOUR) == {}


def test_figures_are_of_now_and_not_of_the_past(directory: Path) -> None:
    reply = client(directory).get(
        "/prom/api/v1/query_range",
        query_string={
            "query": "foreband_detection_power",
            "start": NOW / 1e9 - 3600,
            "end": NOW / 1e9,
            "step": 60,
        },
    )
    rows = body_of(reply)["data"]["result"]
    assert {len(row["values"]) for row in rows} == {5}
    assert rows[0]["values"][-1][0] == NOW / 1e9


def test_rows_say_how_many_were_tried(directory: Path) -> None:
    rows = body_of(client(directory).get("/api/v1/proof"))
    assert rows[0] | {"time": 0} == {
        "time": 0,
        "kind": "spike",
        "size": 3.0,
        "tried": 40,
        "power": 0.95,
        "seconds": 0.0,
    }
    assert any("coverage" in row for row in rows)


def test_the_alert_rule_fires_where_canaries_are_missed(directory: Path) -> None:
    rules = {rule.slug: rule.query.get("expr", "") for rule in RULES}
    blind = asked(directory, rules["detection-power"].replace('kind!="drift"', 'kind="drift"'))
    assert list(blind.values()) == [1.0]
    assert list(asked(directory, rules["detection-power"]).values()) == [0.0]
    assert set(asked(directory, rules["coverage-lost"]).values()) <= {0.0, 1.0}
