from typing import Any

from flask.testing import FlaskClient

from tests.grafana.scene import INCIDENT_ID, NOW
from tests.grafana.strict import body_of, error_of

S = NOW // 10**9


def rows(client: FlaskClient, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(client.get("/api/v1/incidents", query_string=params))
    return found


def test_an_incident_is_a_flat_row_with_its_likeliest_cause(client: FlaskClient) -> None:
    (row,) = rows(client)
    assert (row["id"], row["services"], row["cause"], row["end"]) == (INCIDENT_ID, "checkout", "checkout", None)
    assert all(not isinstance(value, list | dict) for value in row.values())


def test_rows_are_narrowed_and_paged(client: FlaskClient) -> None:
    assert len(rows(client, service="checkout", state="open")) == 1
    assert rows(client, service="elsewhere") == []
    assert rows(client, severity="info") == []
    assert rows(client, offset="1") == []
    assert rows(client, **{"from": "0", "to": "1000"}) == []
    error_of(client.get("/api/v1/incidents?severity=awful"), 400)


def test_one_incident_comes_with_its_causes_and_episodes(client: FlaskClient) -> None:
    found = body_of(client.get(f"/api/v1/incidents/{INCIDENT_ID}"))
    (cause,) = found["causes"]
    assert (cause["service"], cause["evidence"][0]["kind"]) == ("checkout", "duration")
    assert len(found["members"]) == found["episodes"]
    starts = [member["start"] for member in found["members"]]
    assert starts == sorted(starts)
    for member in found["members"]:
        assert client.get(f"/api/v1/episodes/{member['episode']}").status_code == 200
    error_of(client.get("/api/v1/incidents/none"), 404)


def test_it_is_a_region_among_the_annotations(client: FlaskClient) -> None:
    def drawn(**params: str) -> list[dict[str, Any]]:
        found = body_of(client.get("/api/v1/annotations", query_string=params))
        return [each for each in found if each["tags"].startswith("incident")]

    (region,) = drawn()
    assert (region["id"], region["timeEnd"]) == (INCIDENT_ID, S * 1000)
    assert len(drawn(service="checkout")) == 1
    assert drawn(service="host") == drawn(metric="traces.span.calls") == []


def test_an_open_incident_is_figures_of_now(client: FlaskClient) -> None:
    def asked(query: str) -> dict[tuple[str, ...], float]:
        params = {"query": query, "time": str(S)}
        found = body_of(client.get("/prom/api/v1/query", query_string=params))["data"]["result"]
        return {tuple(each["metric"].values())[1:]: float(each["value"][1]) for each in found}

    assert asked(f'foreband_incident{{incident="{INCIDENT_ID}"}}') == {(INCIDENT_ID, "checkout"): 1.0}
    assert list(asked("foreband_incident_cause").values()) == [0.8]
    assert asked("foreband_incident_severity") != {}
