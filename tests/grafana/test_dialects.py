"""Queries as dashboards and rules of other tools write them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.grafana.scene import CALLS, ERRORS, MODELLED, NOW, TOTAL
from tests.grafana.strict import body_of

S = NOW // 10**9


def ask(client: FlaskClient, query: str) -> list[dict[str, Any]]:
    params = {"query": query, "time": str(S)}
    found: list[dict[str, Any]] = body_of(client.get("/prom/api/v1/query", query_string=params))["data"]["result"]
    return found


def value(client: FlaskClient, query: str) -> float:
    (sample,) = ask(client, query)
    return float(sample["value"][1])


ONE = f'{{series="{CALLS.stable_id}"}}'
CART = '{span_name="GET /cart"}'


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ('traces_span_calls_rate:predicted{span_name="GET /cart", ml_forecast="yhat"}', f"foreband_yhat{ONE}"),
        (
            'traces_span_calls_rate:predicted{span_name="GET /cart", ml_forecast="yhat_upper"}',
            f'foreband_upper{ONE[:-1]}, band="alert"}}',
        ),
        (f"traces_span_calls_rate:actual{CART}", f"foreband_actual{ONE}"),
        (f"traces_span_calls_rate:anomalous{CART}", f"foreband_anomaly{ONE}"),
        ('anomaly:level{anomaly_name="traces_span_calls_rate", span_name="GET /cart"}', f"foreband_actual{ONE}"),
        (
            'anomaly:lower_band{anomaly_name="traces_span_calls_rate", span_name="GET /cart"}',
            f'foreband_lower{ONE[:-1]}, band="alert"}}',
        ),
        ('yhat{for="traces_span_calls_rate", span_name="GET /cart"}', f"foreband_yhat{ONE}"),
        ('anomaly_score{for="traces_span_calls_rate", span_name="GET /cart"}', f"abs(foreband_score{ONE})"),
    ],
)
def test_other_tools_find_our_numbers_under_their_names(client: FlaskClient, theirs: str, ours: str) -> None:
    assert value(client, theirs) == value(client, ours)


def test_the_alert_rule_of_the_promql_framework_fires_for_what_is_outside(client: FlaskClient) -> None:
    rule = (
        'last_over_time(anomaly:level[2m]) < last_over_time(anomaly:lower_band{anomaly_strategy="adaptive"}[2m]) '
        'or last_over_time(anomaly:level[2m]) > last_over_time(anomaly:upper_band{anomaly_strategy="adaptive"}[2m])'
    )
    (sample,) = ask(client, rule)
    assert sample["metric"]["anomaly_name"] == "traces_span_calls_rate"
    assert sample["metric"]["anomaly_type"] == "requests"


def test_grafana_ml_compares_actual_and_predicted_by_ignoring_one_label(client: FlaskClient) -> None:
    query = (
        "traces_span_calls_rate:actual < ignoring(ml_forecast) traces_span_calls_rate:predicted"
        '{ml_forecast="yhat_lower"}'
    )
    (sample,) = ask(client, query)
    assert sample["metric"]["span_name"] == "GET /cart"


def test_an_anomaly_score_above_one_is_an_anomaly_for_vmanomaly_users(client: FlaskClient) -> None:
    outside = {sample["metric"]["for"] for sample in ask(client, "anomaly_score > 1")}
    assert outside == {"traces_span_calls_rate"}


def test_names_of_other_tools_are_answered_when_spelled_and_never_listed(client: FlaskClient) -> None:
    listed = body_of(client.get("/prom/api/v1/label/__name__/values"))["data"]
    assert not [name for name in listed if ":" in name or name in {"y", "yhat", "anomaly_score"}]
    everything = ask(client, '{__name__=~".+", service_name="checkout"}')
    assert not [row for row in everything if ":" in row["metric"]["__name__"]]
    assert len(ask(client, '{__name__=~".*:anomalous"}')) == len(ask(client, "foreband_anomaly"))


def test_what_has_no_forecast_has_no_such_names(client: FlaskClient) -> None:
    assert ask(client, "system_network_io_total")
    assert ask(client, "system_network_io_total:actual") == []
    assert TOTAL not in MODELLED


def test_derived_metrics_have_a_range_like_stored_ones(client: FlaskClient) -> None:
    only = f'{{series="{ERRORS.stable_id}"}}'
    hours_flagged = value(client, f"sum_over_time(abs(foreband_anomaly{only})[24h:1m]) / 60")
    assert 0.5 < hours_flagged < 2
    assert value(client, f"count_over_time(foreband_actual{only}[1h])") == 61
    by_points = value(client, f"max_over_time(foreband_score{only}[24h])")
    assert by_points == pytest.approx(value(client, f"max_over_time(foreband_score{only}[24h:1m])"))


def test_the_highest_value_expected_in_the_next_hours_is_one_question(client: FlaskClient) -> None:
    ahead = value(client, f"max_over_time(foreband_yhat{ONE}[6h] offset -6h)")
    by_steps = value(client, f"max_over_time(foreband_yhat{ONE}[6h:1m] offset -6h)")
    assert ahead == pytest.approx(by_steps, rel=1e-3)


def test_the_components_add_up_to_prophets_forecast(client: FlaskClient) -> None:
    parts = {sample["metric"]["component"] for sample in ask(client, f"foreband_component{ONE}")}
    assert parts == {"trend", "daily"}
    edges = "(foreband_lower{%s} + ignoring (band, interval_width) foreband_upper{%s}) / 2"
    prophet = f'series="{CALLS.stable_id}", band="prophet", interval_width="0.8"'
    for at in ("", " offset -6h"):
        total = value(client, f"sum(foreband_component{ONE}{at})")
        middle = value(client, (edges % (prophet, prophet)).replace("}", f"}}{at}"))
        assert total == pytest.approx(middle, rel=1e-9)


@pytest.mark.parametrize(("name", "offset"), [("1h", "-1h"), ("6h", "-6h"), ("1d", "-24h")])
def test_what_is_expected_later_is_a_series_of_now(client: FlaskClient, name: str, offset: str) -> None:
    now = f'foreband_yhat_{name}{{series="{CALLS.stable_id}", horizon="{name}"}}'
    assert value(client, now) == value(client, f"foreband_yhat{ONE} offset {offset}")
    assert ask(client, f"{now} offset 2h") == []
    assert {sample["metric"]["horizon"] for sample in ask(client, f"foreband_yhat_{name}")} == {name}
