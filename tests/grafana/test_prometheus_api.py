import math
from itertools import pairwise
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.grafana.scene import (
    CALLS,
    CPU,
    DURATION,
    GAPPY,
    KEYS,
    MODELLED,
    NOW,
    SILENT,
    SPAN,
    TOTAL,
    TRACE,
    TWIN,
    WARMING,
)
from tests.grafana.strict import body_of, error_of

S = NOW // 10**9
HOUR = 3600
ROUTES = [
    ("query", {"query": "foreband_anomaly"}),
    ("query_range", {"query": "foreband_yhat", "start": str(S - HOUR), "end": str(S + HOUR), "step": "60"}),
    ("labels", {"match[]": "foreband_yhat"}),
    ("label/__name__/values", {}),
    ("label/service_name/values", {"start": str(S - HOUR), "end": str(S)}),
    ("series", {"match[]": "foreband_state"}),
    ("metadata", {"limit": "5"}),
    ("rules", {}),
    ("alerts", {}),
    ("query_exemplars", {"query": "test", "start": str(S * 1000), "end": str(S * 1000)}),
    ("status/buildinfo", {}),
    ("status/config", {}),
    ("status/flags", {}),
    ("targets", {}),
    ("alertmanagers", {}),
    ("format_query", {"query": "sum(x)by(a)"}),
    ("status/runtimeinfo", {}),
    ("status/tsdb", {"limit": "3"}),
    ("targets/metadata", {"match_target": "{}"}),
    ("scrape_pools", {}),
    ("notifications", {}),
]


def ask(client: FlaskClient, query: str, **params: str) -> Any:
    response = client.get("/prom/api/v1/query", query_string={"query": query, **params})
    return body_of(response)["data"]


def over(client: FlaskClient, query: str, start: int, end: int, step: str = "60") -> Any:
    params = {"query": query, "start": str(start), "end": str(end), "step": step}
    return body_of(client.get("/prom/api/v1/query_range", query_string=params))["data"]["result"]


def test_save_and_test_gets_two(client: FlaskClient) -> None:
    response = client.post("/prom/api/v1/query", data={"query": "1+1", "time": "4"})
    assert body_of(response) == {"status": "success", "data": {"resultType": "scalar", "result": [4, "2"]}}


@pytest.mark.parametrize(("route", "params"), ROUTES)
def test_every_route_takes_get_form_and_query_string_alike(
    client: FlaskClient, route: str, params: dict[str, str]
) -> None:
    path = f"/prom/api/v1/{route}"
    by_get = body_of(client.get(path, query_string=params))
    assert by_get["status"] == "success"
    assert body_of(client.post(path, data=params)) == by_get
    assert body_of(client.post(path, query_string=params)) == by_get


def test_parameters_may_be_split_between_form_and_query_string(client: FlaskClient) -> None:
    response = client.post("/prom/api/v1/query?query=2*3", data={"time": "4"})
    assert body_of(response)["data"]["result"] == [4, "6"]


def test_buildinfo_has_no_features_and_so_is_no_mimir(client: FlaskClient) -> None:
    data = body_of(client.get("/prom/api/v1/status/buildinfo"))["data"]
    assert "features" not in data
    assert data["version"]


def test_every_live_series_has_an_anomaly_sample_and_a_silent_one_has_none(client: FlaskClient) -> None:
    found = {sample["metric"]["series"]: sample["value"] for sample in ask(client, "foreband_anomaly")["result"]}
    live = {key.stable_id for key in [*MODELLED, WARMING, TWIN]}
    assert set(found) == live
    assert SILENT.stable_id not in found
    assert TOTAL.stable_id not in found
    assert found[CALLS.stable_id] == [S, "-1"]
    assert found[CPU.stable_id] == [S, "0"]


def test_an_alert_rule_can_filter(client: FlaskClient) -> None:
    outside = ask(client, "foreband_anomaly != 0")["result"]
    assert [sample["metric"]["series"] for sample in outside] == [CALLS.stable_id]
    assert outside[0]["metric"]["__name__"] == "foreband_anomaly"
    absolute = ask(client, "abs(foreband_anomaly) > 0")["result"]
    assert [sample["value"][1] for sample in absolute] == ["1"]
    assert "__name__" not in absolute[0]["metric"]
    assert len(ask(client, "foreband_anomaly != bool 0")["result"]) == len(MODELLED) + 2


def test_samples_are_text_and_times_are_exactly_the_steps_asked_for(client: FlaskClient) -> None:
    (series,) = over(client, f'foreband_actual{{series="{CALLS.stable_id}"}}', S - 607, S - 7, "60.5")
    assert [time for time, _ in series["values"]] == [S - 607 + 60.5 * i for i in range(10)]
    assert all(isinstance(text, str) and math.isfinite(float(text)) for _, text in series["values"])


def test_the_future_is_answered_with_forecast_and_band_but_no_value(client: FlaskClient) -> None:
    only = f'{{series="{CALLS.stable_id}"}}'
    ahead = (S + 60, S + HOUR)
    assert over(client, f"foreband_actual{only}", *ahead) == []
    assert over(client, f"foreband_anomaly{only}", *ahead) == []
    (yhat,) = over(client, f"foreband_yhat{only}", *ahead)
    (lower,) = over(client, f'foreband_lower{{series="{CALLS.stable_id}",band="alert"}}', *ahead)
    (upper,) = over(client, f'foreband_upper{{series="{CALLS.stable_id}",band="alert"}}', *ahead)
    assert len(yhat["values"]) == 60
    for (_, low), (_, middle), (_, high) in zip(lower["values"], yhat["values"], upper["values"], strict=True):
        assert float(low) < float(middle) < float(high)


def test_the_forecast_goes_on_where_the_stored_one_ends(client: FlaskClient) -> None:
    (series,) = over(client, f'foreband_yhat{{series="{CPU.stable_id}"}}', S - 600, S + 600, "60")
    values = [float(text) for _, text in series["values"]]
    assert len(values) == 21
    assert max(abs(b - a) for a, b in pairwise(values)) < 0.01


@pytest.mark.parametrize("band", ["calibrated", "prophet"])
def test_wider_intervals_contain_narrower_ones(client: FlaskClient, band: str) -> None:
    edges = []
    for width in ("0.8", "0.95", "0.99"):
        labels = f'{{series="{CPU.stable_id}",band="{band}",interval_width="{width}"}}'
        low, high = (ask(client, f"foreband_{edge}{labels}")["result"][0]["value"][1] for edge in ("lower", "upper"))
        edges.append((float(low), float(high)))
    assert edges[2][0] < edges[1][0] < edges[0][0] < edges[0][1] < edges[1][1] < edges[2][1]


def test_a_gap_has_no_samples(client: FlaskClient) -> None:
    assert over(client, f'foreband_actual{{series="{GAPPY.stable_id}"}}', S - 12 * HOUR, S - 10 * HOUR) == []


def test_stored_series_are_found_by_their_prometheus_name(client: FlaskClient) -> None:
    (total,) = ask(client, 'system_network_io_total{device="eth0"}')["result"]
    assert total["metric"] == {
        "__name__": "system_network_io_total",
        "device": "eth0",
        "host_name": "node-7",
        "service_name": "host",
    }


def test_two_series_that_look_alike_keep_different_labels(client: FlaskClient) -> None:
    twins = [sample["metric"] for sample in ask(client, "system_cpu_utilization")["result"]]
    assert sorted("series" in labels for labels in twins) == [False, True]
    assert TWIN.stable_id in {labels.get("series") for labels in twins}


def test_match_may_repeat(client: FlaskClient) -> None:
    path = "/prom/api/v1/series?match[]=foreband_yhat&match[]=foreband_yhat&match[]=foreband_score"
    rows = body_of(client.get(path))["data"]
    modelled = len(KEYS) - 1
    assert sorted(row["__name__"] for row in rows) == ["foreband_score"] * modelled + ["foreband_yhat"] * modelled


def test_the_metrics_browser_may_ask_case_insensitively(client: FlaskClient) -> None:
    path = "/prom/api/v1/label/__name__/values"
    query = {"match[]": '{__name__=~"(?i).*CPU.*"}'}
    assert body_of(client.get(path, query_string=query))["data"] == ["system_cpu_utilization"]


def test_escaped_label_names_in_paths_are_understood(client: FlaskClient) -> None:
    escaped = body_of(client.get("/prom/api/v1/label/U__service_2e_name/values"))["data"]
    assert escaped == ["checkout", "host", "mailer"]
    assert escaped == body_of(client.get("/prom/api/v1/label/service_name/values"))["data"]


def test_quoted_dotted_label_names_are_understood(client: FlaskClient) -> None:
    found = ask(client, 'foreband_state{"service.name"="mailer"}')["result"]
    assert [sample["metric"]["series"] for sample in found] == [WARMING.stable_id]


def test_a_limit_is_kept_and_said(client: FlaskClient) -> None:
    body = body_of(client.get("/prom/api/v1/label/__name__/values?limit=2"))
    assert len(body["data"]) == 2
    assert body["warnings"] == ["results truncated to 2"]


def test_people_are_told_which_series_are_not_active_and_why(client: FlaskClient) -> None:
    infos = body_of(client.get("/prom/api/v1/query?query=foreband_yhat"))["infos"]
    assert any("warming" in info and "24 h" in info for info in infos)
    assert any("degraded" in info for info in infos)
    active = f'foreband_yhat{{series="{CPU.stable_id}"}}'
    assert "infos" not in body_of(client.get("/prom/api/v1/query", query_string={"query": active}))


def test_a_limit_cuts_the_answer_and_says_so(client: FlaskClient) -> None:
    span = {"start": str(S - HOUR), "end": str(S), "step": "600"}
    for route, text in (
        ("query", "foreband_actual"),
        ("query", "foreband_actual[5m]"),
        ("query_range", "foreband_actual"),
    ):
        whole, cut = (
            body_of(client.post(f"/prom/api/v1/{route}", data={"query": text, "limit": limit, **span}))
            for limit in ("0", "2")
        )
        assert len(whole["data"]["result"]) > 2
        assert cut["data"]["result"] == whole["data"]["result"][:2]
        assert (whole.get("warnings"), cut["warnings"]) == (None, ["results truncated due to limit"])


def test_a_sample_stands_for_as_long_as_the_query_says(client: FlaskClient) -> None:
    (sample,) = ask(client, "timestamp(queue_length)", time=str(S - HOUR))["result"]
    later = str(float(sample["value"][1]) + 30)
    for lookback, found in (("29", 0), ("31s", 1), ("", 1)):
        assert len(ask(client, "queue_length", time=later, lookback_delta=lookback)["result"]) == found
    response = client.get("/prom/api/v1/query?query=1&lookback_delta=soon")
    assert "lookback_delta" in error_of(response, 400)


def test_who_asks_is_told_what_a_query_cost(client: FlaskClient) -> None:
    body = body_of(client.get("/prom/api/v1/query", query_string={"query": "foreband_actual", "stats": "all"}))
    stats = body["data"]["stats"]
    assert stats["samples"]["totalQueryableSamples"] > 0
    assert stats["timings"]["execTotalTime"] >= 0


def test_series_are_counted_by_name_and_label(client: FlaskClient) -> None:
    data = body_of(client.get("/prom/api/v1/status/tsdb?limit=2"))["data"]
    assert data["headStats"]["numSeries"] == len(KEYS)
    assert len(data["seriesCountByMetricName"]) == 2
    counts = [row["value"] for row in data["seriesCountByLabelValuePair"]]
    assert counts == sorted(counts, reverse=True)


def test_clients_that_try_the_bare_address_find_somebody(client: FlaskClient) -> None:
    for path in ("/prom", "/prom/"):
        assert client.get(path).status_code == 200


def test_who_asks_for_buckets_is_told_of_the_quantiles_there_are(client: FlaskClient) -> None:
    query = "histogram_quantile(0.95, sum by (le) (rate(traces_span_duration_bucket[5m])))"
    body = body_of(client.get("/prom/api/v1/query", query_string={"query": query}))
    assert body["data"]["result"] == []
    quantiles = "traces_span_duration_p50, _p95 or _p99"
    assert body["infos"] == [f"no buckets of traces_span_duration are kept: ask {quantiles}"]
    other = body_of(client.get("/prom/api/v1/query", query_string={"query": "never_seen_bucket"}))
    assert "infos" not in other


def test_label_values_with_quotes_backslashes_and_newlines_match_exactly(client: FlaskClient) -> None:
    (sample,) = ask(client, r'foreband_anomaly{device="sd\"a\\b\n"}')["result"]
    assert sample["metric"]["device"] == 'sd"a\\b\n'
    assert ask(client, r"""foreband_anomaly{device="' OR 1=1--"}""")["result"] == []


def test_every_label_set_of_an_answer_is_unique(client: FlaskClient) -> None:
    rows = over(client, '{__name__=~"foreband_.*"}', S - 600, S)
    sets = [tuple(sorted(row["metric"].items())) for row in rows]
    assert len(set(sets)) == len(sets)
    for row in rows:
        times = [time for time, _ in row["values"]]
        assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("info(foreband_info)", "info()"),
        ("histogram_count(x)", "histogram_count()"),
        ("limitk(1, x)", "limitk()"),
        ("x + fill(0) y", "fill()"),
        ("-{__name__=~'foreband_(yhat|score)'}", "same labelset"),
    ],
)
def test_what_is_not_supported_is_named(client: FlaskClient, query: str, part: str) -> None:
    response = client.get("/prom/api/v1/query", query_string={"query": query})
    assert part in error_of(response, 422)


@pytest.mark.parametrize(
    "query", ["", "1+", "{", "{}", 'x{a=~".*"', "x{a}", "(1", "1 == 1", "x{a='b'", "§", "abs(1)", "rate(x)"]
)
def test_what_is_no_query_is_a_bad_request(client: FlaskClient, query: str) -> None:
    error_of(client.get("/prom/api/v1/query", query_string={"query": query}), 400)


def test_a_range_of_samples_and_a_text_are_answers_of_an_instant_query_only(client: FlaskClient) -> None:
    data = ask(client, f'foreband_actual{{series="{CPU.stable_id}"}}[5m]', time=str(S))
    assert data["resultType"] == "matrix"
    (row,) = data["result"]
    assert [at for at, _ in row["values"]] == [S - 300 + 60 * i for i in range(6)]
    assert ask(client, '"text"', time="4") == {"resultType": "string", "result": [4.0, "text"]}
    times = {"start": str(S - 60), "end": str(S), "step": "60"}
    for query in ("foreband_actual[5m]", '"text"'):
        response = client.get("/prom/api/v1/query_range", query_string={"query": query, **times})
        assert "invalid expression type" in error_of(response, 400)


def test_a_query_may_ask_for_less_time_than_it_gets(client: FlaskClient) -> None:
    params = {"query": "foreband_actual", "timeout": "10s"}
    assert body_of(client.get("/prom/api/v1/query", query_string=params))["status"] == "success"
    error = error_of(client.get("/prom/api/v1/query", query_string={**params, "timeout": "soon"}), 400)
    assert "timeout" in error


def test_steps_are_bounded_as_in_prometheus(client: FlaskClient) -> None:
    params = {"query": "1", "start": "0", "end": "11000", "step": "1"}
    response = client.get("/prom/api/v1/query_range", query_string=params)
    assert "exceeded maximum resolution of 11,000 points" in error_of(response, 400)


def test_healthy_answers_in_plain_text(client: FlaskClient) -> None:
    response = client.get("/prom/-/healthy")
    assert response.status_code == 200
    assert response.mimetype == "text/plain"


def test_federation_gives_what_selectors_mean_right_now_once(client: FlaskClient) -> None:
    query = {"match[]": ["foreband_anomaly", 'foreband_anomaly{service_name="host"}', "system_disk_io_time"]}
    answer = client.get("/prom/federate", query_string=query)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    families = {each.name: each.samples for each in text_string_to_metric_families(answer.get_data(as_text=True))}
    assert set(families) == {"foreband_anomaly", "system_disk_io_time"}
    found = {sample.labels["series"]: sample.value for sample in families["foreband_anomaly"]}
    assert len(found) == len(families["foreband_anomaly"]) == len(MODELLED) + 2
    assert found[CALLS.stable_id] == -1
    (gappy,) = families["system_disk_io_time"]
    assert gappy.labels["device"] == 'sd"a\\b\n'
    assert client.get("/prom/federate").data == b""
    error_of(client.get("/prom/federate", query_string={"match[]": "rate(x[5m])"}), 400)


def exemplars(client: FlaskClient, query: str, start: int, end: int) -> Any:
    params = {"query": query, "start": str(start), "end": str(end)}
    return body_of(client.get("/prom/api/v1/query_exemplars", query_string=params))["data"]


def test_exemplars_lead_from_any_expression_to_its_traces(client: FlaskClient) -> None:
    selector = "traces_span_duration_p95"
    (found,) = exemplars(client, f"max by (service_name) (rate({selector}[5m])) > 0", S - 24 * HOUR, S)
    assert found["seriesLabels"]["__name__"] == selector
    assert found["exemplars"] == [
        {"labels": {"trace_id": TRACE.hex(), "span_id": SPAN.hex()}, "value": "0.4", "timestamp": S - 20 * HOUR}
    ]
    derived = exemplars(client, f'foreband_anomaly{{series="{DURATION.stable_id}"}}', S - 24 * HOUR, S)
    assert [each["seriesLabels"]["__name__"] for each in derived] == ["foreband_anomaly"]


def test_exemplars_are_those_of_the_range_and_of_the_series(client: FlaskClient) -> None:
    assert exemplars(client, "traces_span_duration_p95", S - 24 * HOUR, S - 21 * HOUR) == []
    assert exemplars(client, "traces_span_calls_rate", S - 24 * HOUR, S) == []
    assert exemplars(client, "1 + 1", S - 24 * HOUR, S) == []
    assert len(exemplars(client, "traces_span_duration_p95", S - 20 * HOUR, S - 20 * HOUR)) == 1


def test_exemplars_of_a_range_that_ends_before_it_starts_are_refused(client: FlaskClient) -> None:
    params = {"query": "up", "start": str(S), "end": str(S - 1)}
    assert "before start" in error_of(client.get("/prom/api/v1/query_exemplars", query_string=params), 400)
