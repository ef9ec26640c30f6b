from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.grafana.scene import CALLS, CPU, NOW
from tests.grafana.strict import body_of, error_of

MS = NOW // 10**6
RANGE = {"from": "2026-09-09T23:27:00.000Z", "to": "2026-09-10T01:27:00.000Z", "raw": {"from": "now-1h", "to": "now"}}


def query(client: FlaskClient, *targets: dict[str, Any], **body: Any) -> Any:
    request = {"range": RANGE, "intervalMs": 60_000, "maxDataPoints": 550, "targets": list(targets), **body}
    return body_of(client.post("/grafana/query", json=request))


@pytest.mark.parametrize("path", ["/grafana", "/grafana/"])
def test_health_is_exactly_200_with_and_without_a_slash(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_series_carry_reference_tags_and_value_before_time(client: FlaskClient) -> None:
    (series,) = query(client, {"refId": "B", "target": "foreband_actual", "payload": {"series": CPU.stable_id}})
    assert series["refId"] == "B"
    assert series["target"] == "foreband_actual"
    assert series["tags"]["metric"] == "system.cpu.utilization"
    times = [time for _, time in series["datapoints"]]
    assert times == sorted(set(times))
    assert any(isinstance(value, float) and 0 <= value <= 1 for value, _ in series["datapoints"])
    assert series["datapoints"][-1][0] is None


def test_a_payload_value_is_never_read_as_a_pattern_or_query(client: FlaskClient) -> None:
    for text in (".*", '"} or {x="', "' OR 1=1--"):
        assert query(client, {"refId": "A", "target": "foreband_yhat", "payload": {"series": text}}) == []


def test_a_payload_list_means_any_of_them(client: FlaskClient) -> None:
    wanted = [CPU.stable_id, CALLS.stable_id]
    found = query(client, {"refId": "A", "target": "foreband_yhat", "payload": {"series": wanted}})
    assert {series["tags"]["series"] for series in found} == set(wanted)
    both = {"service": "(checkout|host)"}
    services = {s["tags"]["service_name"] for s in query(client, {"target": "foreband_score", "payload": both})}
    assert services == {"checkout", "host"}


@pytest.mark.parametrize(("operator", "count"), [("=", 1), ("!=", 9), ("=~", 1), ("!~", 9)])
def test_ad_hoc_filters_match_exactly_by_their_operator(client: FlaskClient, operator: str, count: int) -> None:
    value = 'sd"a\\b\n' if operator in {"=", "!="} else 'sd"a.*'
    filters = [{"key": "device", "operator": operator, "value": value}]
    assert len(query(client, {"refId": "A", "target": "foreband_anomaly"}, filters=filters)) == count


def test_annotations_come_by_query_and_by_route(client: FlaskClient) -> None:
    (table,) = query(client, {"refId": "Anno", "target": "annotations"})
    assert [column["text"] for column in table["columns"]] == ["time", "timeEnd", "title", "text", "tags"]
    asked = {"name": "x", "enable": True, "query": '{service_name="checkout"}'}
    rows = body_of(client.post("/grafana/annotations", json={"range": RANGE, "annotation": asked}))
    assert [row["time"] for row in rows] == [row[0] for row in table["rows"]]
    assert rows[0]["annotation"] == asked
    assert rows[0]["isRegion"] is True
    asked["query"] = '{service_name="mailer"}'
    assert body_of(client.post("/grafana/annotations", json={"range": RANGE, "annotation": asked})) == []


def test_editors_are_offered_what_exists(client: FlaskClient) -> None:
    names = body_of(client.post("/grafana/search", json={"target": "yhat"}))
    assert names == ["foreband_yhat", "foreband_yhat_1h", "foreband_yhat_6h", "foreband_yhat_1d"]
    assert "foreband_yhat" in body_of(client.post("/grafana/search"))
    metrics = body_of(client.post("/grafana/metrics", json={}))
    assert {"label": "foreband_yhat", "value": "foreband_yhat"}.items() <= metrics[1].items()
    options = body_of(client.post("/grafana/metric-payload-options", json={"name": "series"}))
    assert {"label": "host system.cpu.utilization", "value": CPU.stable_id} in options
    services = body_of(client.post("/grafana/variable", json={"payload": {"target": "services"}}))
    assert services[0] == {"__text": "checkout", "__value": "checkout"}
    assert {"type": "string", "text": "host_name"} in body_of(client.post("/grafana/tag-keys", json={}))
    assert body_of(client.post("/grafana/tag-values", json={"key": "host_name"})) == [{"text": "node-7"}]


def test_a_panel_with_many_pixels_gets_at_most_eleven_thousand_points(client: FlaskClient) -> None:
    long = {"from": "1990-01-01T00:00:00Z", "to": "2090-01-01T00:00:00Z"}
    target = {"refId": "A", "target": "foreband_actual"}
    for series in query(client, target, range=long, maxDataPoints=1_000_000_000, intervalMs=1):
        assert len(series["datapoints"]) <= 11_000


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"targets": None}, "targets"),
        ({"targets": ["x"]}, "targets"),
        ({"targets": [{"target": 5}]}, "target"),
        ({"targets": [{}]}, "target"),
        ({"targets": [{"target": "x"}] * 10_000}, "10000 targets"),
        ({"targets": [{"target": "x", "payload": [1]}]}, "payload"),
        ({"targets": [{"target": "x", "payload": {"a": 5}}]}, "payload"),
        ({"range": None}, "range"),
        ({"range": {"from": MS, "to": MS - 1}}, "must be before"),
        ({"range": {"from": True, "to": MS}}, "range.from"),
        ({"maxDataPoints": 0}, "maxDataPoints"),
        ({"intervalMs": -1}, "intervalMs"),
        ({"filters": "x"}, "filters"),
        ({"filters": [{"key": 5}]}, "key"),
    ],
)
def test_bad_queries_are_refused_by_name(client: FlaskClient, change: dict[str, Any], part: str) -> None:
    body = {"range": RANGE, "targets": [{"refId": "A", "target": "foreband_yhat"}], **change}
    assert part in error_of(client.post("/grafana/query", json=body), 400)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"5", b"{", b'{"a":NaN}', b"[" * 100_000, b"\xff\xfe"])
def test_bodies_that_are_no_object_are_refused(client: FlaskClient, body: bytes) -> None:
    error_of(client.post("/grafana/query", data=body, content_type="application/json"), 400)


def test_an_unknown_metric_has_no_series(client: FlaskClient) -> None:
    assert query(client, {"refId": "A", "target": "nothing_of_that_name"}) == []
