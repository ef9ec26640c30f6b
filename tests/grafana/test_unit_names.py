"""Names with units, as dashboards for OpenTelemetry behind a Prometheus write them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from grafana_datasource.directory import Directory
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.selection import select
from grafana_datasource.unit_names import name_with_unit
from tests.grafana.scene import NOW
from tests.grafana.strict import body_of

GAUGE, COUNTER, HISTOGRAM = Kind.GAUGE, Kind.COUNTER_CUMULATIVE, Kind.HISTOGRAM_CUMULATIVE
VALUE, TOTAL, BUCKET = Statistic.VALUE, Statistic.TOTAL, Statistic.BUCKET


@pytest.mark.parametrize(
    ("metric", "unit", "kind", "statistic", "name"),
    [
        ("http.server.request.duration", "s", HISTOGRAM, BUCKET, "http_server_request_duration_seconds_bucket"),
        ("http.server.request.duration", "s", HISTOGRAM, Statistic.COUNT, "http_server_request_duration_seconds_count"),
        ("traces.span.metrics.duration", "ms", HISTOGRAM, BUCKET, "traces_span_metrics_duration_milliseconds_bucket"),
        ("system.network.io", "By", COUNTER, TOTAL, "system_network_io_bytes_total"),
        ("system.cpu.utilization", "1", GAUGE, VALUE, "system_cpu_utilization_ratio"),
        ("queue.ratio", "1", Kind.UPDOWN_CUMULATIVE, VALUE, "queue_ratio"),
        ("process_cpu_seconds", "s", COUNTER, TOTAL, "process_cpu_seconds_total"),
        ("requests.total", "{request}", COUNTER, TOTAL, "requests_total"),
        ("disk.rate", "By/s", GAUGE, VALUE, "disk_rate_bytes_per_second"),
        ("requests", "{request}/s", GAUGE, VALUE, "requests_per_second"),
        ("fuel", "count/mo", GAUGE, VALUE, "fuel_count_per_month"),
        ("a__b.c", "foo bar", GAUGE, VALUE, "a_b_c_foo_bar"),
        ("1st.thing", "Cel", GAUGE, VALUE, "_1st_thing_celsius"),
        ("weird-n\u00e4me", "%", GAUGE, VALUE, "weird_n_me_percent"),
    ],
)
def test_a_name_has_the_unit_that_the_otlp_translator_of_prometheus_writes(
    metric: str, unit: str, kind: Kind, statistic: Statistic, name: str
) -> None:
    assert name_with_unit(metric, unit, kind, statistic) == name


def key(metric: str, unit: str, kind: Kind, statistic: Statistic) -> SeriesKey:
    return SeriesKey((("service.name", "shop"),), Scope(), metric, unit, kind, statistic, ())


DIRECTORY = Directory().with_series(
    list(
        enumerate(
            [
                key("http.duration", "s", HISTOGRAM, BUCKET),
                key("http.duration", "ms", HISTOGRAM, BUCKET),
                key("http.duration", "s", HISTOGRAM, Statistic.P95),
                key("memory", "By", GAUGE, VALUE),
                key("memory_bytes", "", GAUGE, VALUE),
                key("io", "By", COUNTER, TOTAL),
                key("io", "By", COUNTER, Statistic.RATE),
            ]
        )
    )
)


@pytest.mark.parametrize(
    ("operator", "text", "found"),
    [
        ("=", "http_duration_seconds_bucket", {"http_duration_seconds_bucket": [0]}),
        ("=", "http_duration_milliseconds_bucket", {"http_duration_milliseconds_bucket": [1]}),
        ("=", "http_duration_bucket", {"http_duration_bucket": [0, 1]}),
        (
            "=~",
            "http_duration_seconds_bucket|http_duration_milliseconds_bucket",
            {"http_duration_seconds_bucket": [0], "http_duration_milliseconds_bucket": [1]},
        ),
        ("=", "memory_bytes", {"memory_bytes": [4]}),
        ("=", "io_bytes_total", {"io_bytes_total": [5]}),
        ("=", "http_duration_minutes_bucket", {}),
        ("=", "io_bytes_rate", {}),
        ("=~", ".*_seconds_.*", {}),
        ("!=", "io_bytes_total", None),
    ],
)
def test_a_name_with_a_unit_finds_the_series_of_that_unit(
    operator: MatchOperator, text: str, found: dict[str, list[int]] | None
) -> None:
    matchers = [Matcher("__name__", operator, text), Matcher("service_name", "=", "shop")]
    picked = {group.name: [entry.series for entry in group.entries] for group in select(DIRECTORY, matchers)}
    assert picked == found or (found is None and text not in picked)


def answer(client: FlaskClient, path: str, **params: str) -> list[dict[str, Any]]:
    data = body_of(client.get(f"/prom/api/v1/{path}", query_string=params))["data"]
    found: list[dict[str, Any]] = data["result"] if path == "query" else data
    return found


@pytest.mark.parametrize(
    ("own", "written"),
    [
        ("system_memory_usage", "system_memory_usage_bytes"),
        ("system_network_io_total", "system_network_io_bytes_total"),
    ],
)
def test_names_with_units_are_answered_wherever_a_selector_is(client: FlaskClient, own: str, written: str) -> None:
    at = str(NOW // 10**9)
    ours, theirs = (answer(client, "query", query=name, time=at) for name in (own, written))
    assert ours
    assert [row["value"] for row in theirs] == [row["value"] for row in ours]
    assert {row["metric"]["__name__"] for row in theirs} == {written}
    assert len(answer(client, "query", query=f"rate({written}[5m])", time=at)) == len(ours)
    assert answer(client, "series", **{"match[]": written})
    assert answer(client, "label/service_name/values", **{"match[]": written})
