import pytest

from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic
from grafana_datasource.directory import Directory
from grafana_datasource.series_names import decode_label, metric_name, series_labels


def key(
    metric: str = "http.server.duration",
    statistic: Statistic = Statistic.VALUE,
    resource: Attributes = (("service.name", "api"),),
    attributes: Attributes = (),
    scope: str = "",
) -> SeriesKey:
    return SeriesKey(resource, Scope(scope), metric, "s", Kind.GAUGE, statistic, attributes)


@pytest.mark.parametrize(
    ("metric", "statistic", "name"),
    [
        ("http.server.duration", Statistic.P95, "http_server_duration_p95"),
        ("http.server.duration", Statistic.VALUE, "http_server_duration"),
        ("system.network.io", Statistic.TOTAL, "system_network_io_total"),
        ("requests_total", Statistic.TOTAL, "requests_total"),
        ("traces.span.errors", Statistic.ERROR_RATIO, "traces_span_errors_error_ratio"),
        ("5xx", Statistic.RATE, "_5xx_rate"),
        ("größe (MB)", Statistic.MEAN, "gr_e_MB__mean"),
        ("foreband.yhat", Statistic.VALUE, "exported_foreband_yhat"),
        ("///", Statistic.COUNT, "__count"),
    ],
)
def test_metric_names_are_legal_and_say_the_statistic(metric: str, statistic: Statistic, name: str) -> None:
    assert metric_name(key(metric, statistic)) == name


def test_resource_and_point_attributes_become_labels() -> None:
    resource: Attributes = (
        ("deployment.environment.name", "prod"),
        ("host.name", "n1"),
        ("process.pid", 7),
        ("service.name", "api"),
        ("service.namespace", "shop"),
    )
    labels = series_labels(key(resource=resource, attributes=(("http.route", "/a"), ("retry", True), ("size", 1.5))))
    assert labels == {
        "deployment_environment_name": "prod",
        "host_name": "n1",
        "http_route": "/a",
        "retry": "true",
        "service_name": "api",
        "service_namespace": "shop",
        "size": "1.5",
    }


def test_attributes_that_become_one_name_are_joined_in_order() -> None:
    assert series_labels(key(attributes=(("a.b", "dot"), ("a_b", "bar"))))["a_b"] == "dot;bar"


def test_an_attribute_never_replaces_a_label_of_ours() -> None:
    labels = series_labels(key(attributes=(("band", "x"), ("series", "y"), ("service.name", "z"), ("9", "n"))))
    assert labels == {
        "exported_band": "x",
        "exported_series": "y",
        "exported_service_name": "z",
        "key_9": "n",
        "service_name": "api",
    }


def test_the_quantile_of_a_summary_is_the_label_prometheus_knows() -> None:
    attributes: Attributes = (("quantile", 0.99),)
    summary = SeriesKey((), Scope(), "latency", "s", Kind.SUMMARY, Statistic.VALUE, attributes)
    assert series_labels(summary)["quantile"] == "0.99"
    assert series_labels(key(attributes=attributes))["exported_quantile"] == "0.99"


def test_series_without_a_service_are_unknown_service() -> None:
    assert series_labels(key(resource=())) == {"service_name": "unknown_service"}


def test_label_sets_of_known_series_never_change_when_a_look_alike_comes() -> None:
    first = Directory().with_series([(0, key(scope="a"))])
    both = first.with_series([(1, key(scope="b"))])
    assert both.entries[0] == first.entries[0]
    assert "series" not in both.entries[0].labels
    assert both.entries[1].labels["series"] == key(scope="b").stable_id


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("__name__", "__name__"),
        ("service_name", "service_name"),
        ("U__service_2e_name", "service_name"),
        ("U__a__b", "a_b"),
        ("service.name", "service_name"),
        ("U___ffffff_", "_"),
    ],
)
def test_label_names_of_paths_are_decoded(path: str, label: str) -> None:
    assert decode_label(path) == label


def test_an_attribute_named_like_prometheus_own_labels_is_served_under_another_name() -> None:
    named = key(attributes=(("__name__", "other"), ("__proto__", "x"), ("_private", "y")))
    expected = {"_private": "y", "key__name__": "other", "key__proto__": "x", "service_name": "api"}
    assert series_labels(named) == expected
