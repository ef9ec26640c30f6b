"""What the page and scripts read of many series at once."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from grafana_datasource.directory import Directory
from grafana_datasource.naming import Names
from tests.grafana.scene import CALLS, CPU, DURATION, ERRORS, GAPPY, LOGS, MODELLED, NOW, PAY, SILENT, TWIN, WARMING
from tests.grafana.strict import body_of, error_of

MS = NOW // 10**6
DAY = 24 * 3_600_000
WITH_POINTS = [*MODELLED, WARMING, TWIN]


def ask(client: FlaskClient, path: str, **params: Any) -> Any:
    return body_of(client.get(f"/api/v1/{path}", query_string=params))


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["series"]]


def test_the_catalog_counts_all_series_with_points_and_puts_the_anomalous_first(client: FlaskClient) -> None:
    page = ask(client, "catalog")
    assert (page["total"], page["matched"]) == (len(WITH_POINTS), len(WITH_POINTS))
    assert page["anomalous"] == 1
    assert page["states"] == {"warming": 2, "active": 7, "degraded": 1}
    assert ids(page)[:2] == [CALLS.stable_id, GAPPY.stable_id]
    assert set(ids(page)) == {key.stable_id for key in WITH_POINTS}
    assert SILENT.stable_id not in ids(page)
    first = page["series"][0]
    assert (first["severity"], first["kind"], first["anomaly"]) == ("warning", "deviation", -1)


def test_pages_of_the_catalog_come_to_the_whole_in_its_order(client: FlaskClient) -> None:
    whole = ids(ask(client, "catalog", sort="name"))
    parts = [ids(ask(client, "catalog", sort="name", offset=first, limit=3)) for first in range(0, 12, 3)]
    assert [each for part in parts for each in part] == whole
    assert sorted(whole) != whole
    assert ids(ask(client, "catalog", offset=1_000_000)) == []


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"state": "anomalous"}, [CALLS]),
        ({"state": "degraded"}, [GAPPY]),
        ({"state": "silent"}, []),
        ({"search": "cart P95"}, [DURATION]),
        ({"search": "  "}, WITH_POINTS),
        ({"service": "mailer"}, [WARMING]),
        ({"service": "checkout", "state": "active", "search": "error"}, [ERRORS, LOGS]),
    ],
)
def test_the_catalog_can_be_narrowed(client: FlaskClient, wish: dict[str, str], found: list[SeriesKey]) -> None:
    assert set(ids(ask(client, "catalog", **wish))) == {key.stable_id for key in found}


@pytest.mark.parametrize("wish", [{"state": "fine"}, {"sort": "beauty"}, {"offset": "-1"}, {"limit": "x"}])
def test_a_wish_nobody_can_grant_is_refused_by_name(client: FlaskClient, wish: dict[str, str]) -> None:
    assert next(iter(wish)) in error_of(client.get("/api/v1/catalog", query_string=wish), 400)


def test_names_of_a_directory_that_grew_are_those_of_one_read_at_once() -> None:
    keys = [
        SeriesKey((("service.name", f"s{i % 3}"),), Scope(), f"m{7 * i % 10}", "1", Kind.GAUGE, Statistic.VALUE, ())
        for i in range(10)
    ]
    rows = list(enumerate(keys))
    part = Directory().with_series(rows[:4])
    whole = part.with_series(rows[4:])
    grown, at_once = Names().of(part).of(whole), Names().of(Directory().with_series(rows))
    assert grown.text == at_once.text
    assert np.array_equal(grown.place, at_once.place)
    assert np.array_equal(grown.service, at_once.service)
    assert sorted(grown.place.tolist()) == list(range(10))
    assert grown.of(whole) is grown


def test_the_fleet_shows_what_is_open_and_when_each_service_had_what(client: FlaskClient) -> None:
    found = ask(client, "fleet", cells=24, **{"from": MS - DAY, "to": MS})
    assert found["series"] == len(WITH_POINTS)
    assert found["open"] == {"info": 0, "warning": 1, "critical": 0}
    assert [row["series"] for row in found["worst"]] == [CALLS.stable_id]
    checkout, host, mailer = found["services"]
    assert (checkout["service"], checkout["open"], checkout["level"]) == ("checkout", 1, 2)
    assert checkout["cells"][-1] == 2, "what is open reaches the last cell"
    assert max(checkout["cells"][3:6]) == 3, "the burst twenty hours ago"
    assert set(checkout["cells"][7:22]) == {0}
    assert (host["degraded"], mailer["warming"]) == (1, 1)
    assert ask(client, "fleet", limit=1)["services_in_all"] == 3


def test_an_episode_that_began_before_the_span_fills_its_first_cell(client: FlaskClient) -> None:
    found = ask(client, "fleet", cells=2, **{"from": MS - 600_000, "to": MS})
    assert found["services"][0]["cells"] == [2, 2]


def test_services_have_rate_errors_and_duration_weighted_by_requests(client: FlaskClient) -> None:
    (row,) = ask(client, "red")
    assert (row["service"], row["operations"]) == ("checkout", 2)
    last = {key: ask(client, f"series/{key.stable_id}")["last_value"] for key in (CALLS, PAY, ERRORS, DURATION)}
    assert row["requests"] == pytest.approx(last[CALLS] + last[PAY])
    assert row["errors"] == pytest.approx(last[ERRORS]), "the other operation has no error series to count"
    assert row["p95"] == pytest.approx(last[DURATION])
    assert row["anomalous"] == {"requests": 1, "errors": 0, "p50": 0, "p95": 0, "p99": 0}


def test_operations_of_a_service_lead_to_their_series(client: FlaskClient) -> None:
    first, second = ask(client, "red", service="checkout")
    assert (first["operation"], first["kind"]) == ("GET /cart", "server")
    assert first["requests"]["id"] == CALLS.stable_id
    assert first["requests"]["anomaly"] == -1
    assert first["p95"]["id"] == DURATION.stable_id
    assert (second["operation"], "errors" in second) == ("POST /pay", False)
    assert ask(client, "red", service="nobody") == []


def test_model_quality_counts_who_is_drawn_and_measures_coverage(client: FlaskClient) -> None:
    found = ask(client, "quality")
    assert found["drawn"] == {"prophet": 6, "seasonal": 2}
    assert found["unmodelled"] == 2
    assert found["model_age"]["p50"] == pytest.approx(20 * 60)
    assert [row["coverage"] for row in found["coverage"]] == pytest.approx([3190 / 4000, 3790 / 4000, 3955 / 4000])
    assert sum(row["series"] for row in found["spread"]) == len(MODELLED)
    assert found["backtest"] == {"sample": 8, "tested": 0, "relative_error": {}}


def test_small_pictures_keep_the_spike_and_are_bounded(client: FlaskClient) -> None:
    named = f"{DURATION.stable_id},{CPU.stable_id}"
    found = ask(client, "sparks", series=named, max_points=60, **{"from": MS - DAY, "to": MS})
    assert [row["series"] for row in found] == [DURATION.stable_id, CPU.stable_id]
    assert all(len(row["time"]) == len(row["value"]) == len(row["upper"]) <= 64 for row in found)
    assert 1 in found[0]["anomaly"]
    assert max(filter(None, found[0]["value"])) > 0.3


def test_components_and_versions_of_a_model_are_told(client: FlaskClient) -> None:
    parts = ask(client, f"series/{CPU.stable_id}/components", max_points=50)
    assert set(parts) == {"time", "trend", "daily"}
    assert {len(column) for column in parts.values()} == {50}
    (model,) = ask(client, f"series/{CPU.stable_id}/models")
    assert (model["version"], model["forecaster"]) == (1, "prophet")
    assert ask(client, f"series/{SILENT.stable_id}/models") == []
    error_of(client.get(f"/api/v1/series/{'0' * 16}/models"), 404)


def test_episodes_can_be_narrowed_to_severities_and_to_open_ones(client: FlaskClient) -> None:
    day = {"from": MS - DAY, "to": MS}
    every = ask(client, "episodes", **day)
    assert [row["series"] for row in ask(client, "episodes", state="open", **day)] == [CALLS.stable_id]
    critical = ask(client, "episodes", severity="critical", **day)
    assert 0 < len(critical) < len(every)
    assert {row["severity"] for row in critical} == {"critical"}
    assert len(ask(client, "episodes", severity="critical,warning,info", **day)) == len(every)
    error_of(client.get("/api/v1/episodes?severity=bad"), 400)
