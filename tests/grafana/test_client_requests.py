"""What the JSON data sources of Grafana really send, copied, and what each of them needs to get back."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.grafana.strict import body_of

REQUESTS = json.loads(Path(__file__).with_name("client_requests.json").read_text())

KEYS: dict[str, set[str]] = {
    "metrics": {"label", "value", "payloads"},
    "choices": {"label", "value"},
    "options": {"__text", "__value"},
    "keys": {"type", "text"},
    "values": {"text"},
    "series": {"target", "refId", "title", "tags", "datapoints"},
    "table": {"type", "refId", "columns", "rows"},
    "regions": {"annotation", "isRegion", "id", "time", "timeEnd", "title", "text", "tags"},
    "annotations": {"id", "time", "timeEnd", "title", "text", "tags"},
    "long": {"time", "series", "service", "metric", "statistic", "value"},
    "current": {"series", "service", "metric", "statistic", "anomalous"},
}


@pytest.mark.parametrize("asked", REQUESTS, ids=[each["of"] for each in REQUESTS])
def test_a_request_of_a_client_gets_what_the_client_reads(client: FlaskClient, asked: dict[str, Any]) -> None:
    answer = client.open(asked["url"], method=asked["method"], headers=asked["headers"], json=asked.get("body"))
    body, kind = body_of(answer), asked["answer"]
    if kind == "status":
        assert body == {"status": "ok"}
    elif kind == "nothing":
        assert body == []
    elif kind == "names":
        assert body == ["foreband_anomaly"]
    elif kind == "wide":
        assert all(earlier["time"] < later["time"] for earlier, later in pairwise(body))
        assert {"actual", "yhat", "lower", "upper", "anomaly"} < set(body[0])
    else:
        assert body
        assert all(set(row) == KEYS[kind] for row in body)


def test_a_series_answers_the_query_of_its_reference_value_first_and_milliseconds_after(client: FlaskClient) -> None:
    for asked in REQUESTS:
        if asked["answer"] == "series":
            rows = body_of(client.post(asked["url"], json=asked["body"]))
            (target,) = asked["body"]["targets"]
            assert {row["refId"] for row in rows} == {target["refId"]}
            assert all(len(row["datapoints"]) <= asked["body"]["maxDataPoints"] + 1 for row in rows)
            assert all(at > 10**12 for row in rows for _, at in row["datapoints"])
