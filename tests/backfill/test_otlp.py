"""Prometheus' samples as OTLP metrics, read back with the stock classes."""

import math
from typing import Any

import pytest

from collector_processor.backfill.command import moment
from collector_processor.backfill.otlp import POINTS_PER_REQUEST, requests
from collector_processor.backfill.prometheus import Family, Sampled, _families
from collector_processor.backfill.run import BackfillError, Cursor, Plan, aligned
from collector_processor.errors import ConfigError
from tests.otlp.stock import ExportMetricsServiceRequest

TARGET = {"job": "eu/shop", "instance": "a:1"}


def metrics_of(family: Family, *series: Sampled, **targets: Any) -> list[Any]:
    found = [
        ExportMetricsServiceRequest.FromString(body) for body, _ in requests(family, series, targets.get("of", {}))
    ]
    return [(rm, rm.scope_metrics[0], rm.scope_metrics[0].metrics[0]) for r in found for rm in r.resource_metrics]


def texts(attributes: Any) -> dict[str, str]:
    return {kv.key: kv.value.string_value for kv in attributes}


def test_labels_become_resource_scope_and_attributes() -> None:
    labels = {"__name__": "up", **TARGET, "le": "kept", "otel_scope_name": "lib", "otel_scope_version": "1", "a": "b"}
    told = {("eu/shop", "a:1"): {"__name__": "target_info", **TARGET, "host": "h", "service.name": "not this"}}
    ((resource, scope, metric),) = metrics_of(Family("up", "gauge", ""), Sampled(labels, [(1.5, 2.0)]), of=told)
    assert texts(resource.resource.attributes) == {
        "host": "h",
        "service.namespace": "eu",
        "service.name": "shop",
        "service.instance.id": "a:1",
    }
    assert (scope.scope.name, scope.scope.version) == ("lib", "1")
    (point,) = metric.gauge.data_points
    assert (point.time_unix_nano, point.as_double) == (1_500_000_000, 2.0)
    assert texts(point.attributes) == {"a": "b", "le": "kept"}


def test_a_counter_is_cumulative_monotonic_and_of_unknown_start() -> None:
    ((_, _, metric),) = metrics_of(Family("x_total", "counter", ""), Sampled({}, [(1.0, 2.0), (2.0, math.nan)]))
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, 2)
    assert [p.start_time_unix_nano for p in metric.sum.data_points] == [0, 0]


def bucket(le: str, *values: float) -> Sampled:
    return Sampled({"__name__": "d_bucket", "le": le, "a": "b"}, [(float(i), v) for i, v in enumerate(values)])


def test_a_histogram_is_put_together_where_its_parts_fit() -> None:
    parts = bucket("1", 2, 9, 2), bucket("0.5", 1, 1, math.nan), bucket("+Inf", 4, 4, 4)
    total = Sampled({"__name__": "d_sum", "a": "b"}, [(0.0, 2.5)])
    ((_, _, metric),) = metrics_of(Family("d", "histogram", ""), *parts, total)
    (point,) = metric.histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([1, 1, 2], [0.5, 1.0])
    assert (point.count, point.sum, texts(point.attributes)) == (4, 2.5, {"a": "b"})


def test_a_request_holds_no_more_points_than_are_well_taken_at_once() -> None:
    samples = [(float(i), 0.0) for i in range(5 * POINTS_PER_REQUEST // 2)]
    found = list(requests(Family("x", "gauge", ""), [Sampled({"a": n}, samples) for n in "bc"], {}))
    assert sum(points for _, points in found) == 2 * len(samples)
    assert max(points for _, points in found) < 2 * POINTS_PER_REQUEST


def test_families_are_told_by_metadata_then_by_suffix() -> None:
    names = ["a", "a_total", "d_bucket", "d_count", "d_sum", "s", "s_count", "target_info", "w"]
    found = {f.name: (f.kind, f.query) for f in _families('{job="x"}', names, {"w": "counter", "s": "summary"})}
    assert found == {
        "d": ("histogram", '{job="x",__name__=~"d_(bucket|sum|count)"}'),
        "a": ("gauge", '{job="x",__name__="a"}'),
        "a_total": ("counter", '{job="x",__name__="a_total"}'),
        "s": ("gauge", '{job="x",__name__="s"}'),
        "s_count": ("counter", '{job="x",__name__="s_count"}'),
        "w": ("counter", '{job="x",__name__="w"}'),
    }
    assert [f.query for f in _families('up{a="b"}', ["up"], {})] == ['up{a="b"}']


@pytest.mark.parametrize(
    ("text", "seconds"), [("2d", 1e9 - 172800), ("1767225600", 1767225600.0), ("2026-01-01T00:00", 1767225600.0)]
)
def test_a_moment_is_a_duration_before_now_or_a_time(text: str, seconds: float) -> None:
    assert moment("--from", text, 1e9) == seconds


def test_what_is_no_moment_is_told_with_the_option() -> None:
    with pytest.raises(ConfigError, match=r"--from: 'yesterday' should be like"):
        moment("--from", "yesterday", 0)


def test_the_bounds_are_whole_steps_within_what_was_asked_for() -> None:
    assert aligned(61.0, 240.0, 60) == (120, 240)


def test_the_record_of_another_backfill_is_not_taken_for_this_one(tmp_path: Any) -> None:
    plan, cursor = Plan("http://a", ("x",), 0, 60, 60), Cursor(tmp_path / "cursor")
    cursor.save(plan, 30)
    assert cursor.resume(Plan("http://a", ("x",), 7, 99, 60)) == (plan, 30)
    with pytest.raises(BackfillError, match="another back-fill, of http://a"):
        cursor.resume(Plan("http://b", ("x",), 0, 60, 60))
    (tmp_path / "cursor").write_text("{}")
    with pytest.raises(BackfillError, match="is not the record"):
        cursor.resume(plan)
