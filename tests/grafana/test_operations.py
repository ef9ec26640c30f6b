"""Rate, errors and duration of services whose spans somebody else measured."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector_processor.clock import DAY, MINUTE, ManualClock
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic
from grafana_datasource.app import Settings, create_app
from tests.grafana.scene import NOW
from tests.grafana.strict import body_of

SHOP: Attributes = (("service.name", "shop"),)
SCRAPED: Attributes = (("service.name", "collector"),)
DOTTED = ("", "service.name", "span.name", "span.kind", "status.code")
UNDERSCORED = ("", "service_name", "span_name", "span_kind", "status_code")
TEMPO = ("", "service", "span_name", "span_kind", "status_code")

SPELLINGS = {
    "connector": ("traces.span.metrics.calls", "traces.span.metrics.duration", "ms", SHOP, DOTTED),
    "formerly": ("calls", "duration", "ms", SHOP, DOTTED),
    "scraped": (
        "traces_span_metrics_calls_total",
        "traces_span_metrics_duration_milliseconds",
        "",
        SCRAPED,
        UNDERSCORED,
    ),
    "tempo": ("traces_spanmetrics_calls_total", "traces_spanmetrics_latency", "", SCRAPED, TEMPO),
}


def written(directory: Path, values: dict[SeriesKey, float], *, ago: int = MINUTE) -> Any:
    """Return a client of a store in which each series has one point."""
    keys, found = list(values), np.array(list(values.values()))
    times = np.full(found.size, NOW - ago, np.int64)
    writer = open_writer(directory, StoreSettings(retention_nano=DAY))
    points = PointBatch(np.arange(found.size, dtype=np.int32), times, found)
    writer.commit(Commit(series=list(enumerate(keys)), points=points))
    writer.close()
    return create_app(Settings(partial(open_reader, directory), clock=ManualClock(NOW))).test_client()


def span_metrics(
    spelling: str, status: str, requests: float, *durations: float, name: str = "GET /"
) -> dict[SeriesKey, float]:
    """Return what is stored of one operation and status; durations in seconds."""
    calls, duration, unit, resource, (_, *names) = SPELLINGS[spelling]
    said = dict(zip(names, ("shop", name, "SPAN_KIND_SERVER", status), strict=True))
    attributes = tuple(sorted(said.items()))
    scale = 1 if spelling == "tempo" else 1000
    found = {_key(resource, calls, "", Kind.COUNTER_CUMULATIVE, Statistic.RATE, attributes): requests}
    histogram = Kind.HISTOGRAM_CUMULATIVE
    found[_key(resource, duration, unit, histogram, Statistic.RATE, attributes)] = 99 * requests
    for statistic, seconds in zip((Statistic.P50, Statistic.P95, Statistic.P99), durations, strict=False):
        found[_key(resource, duration, unit, histogram, statistic, attributes)] = seconds * scale
    return found


def _key(
    resource: Attributes, metric: str, unit: str, kind: Kind, statistic: Statistic, attributes: Attributes
) -> SeriesKey:
    return SeriesKey(resource, Scope(), metric, unit, kind, statistic, attributes)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_span_metrics_give_rate_errors_and_duration_in_every_spelling(spelling: str, tmp_path: Path) -> None:
    usual = span_metrics(spelling, "STATUS_CODE_UNSET", 9.0, 0.1, 0.2, 0.4)
    failed = span_metrics(spelling, "STATUS_CODE_ERROR", 1.0, 0.1, 0.2, 0.4)
    client = written(tmp_path, usual | failed)
    (service,) = body_of(client.get("/api/v1/red"))
    assert (service["service"], service["operations"], service["requests"]) == ("shop", 1, 10.0)
    assert service["errors"] == pytest.approx(0.1)
    assert [service[name] for name in ("p50", "p95", "p99")] == pytest.approx([0.1, 0.2, 0.4])
    (operation,) = body_of(client.get("/api/v1/red?service=shop"))
    assert (operation["operation"], operation["kind"]) == ("GET /", "server")
    assert operation["requests"]["id"] == next(iter(usual)).stable_id
    assert operation["errors"] == {"id": next(iter(failed)).stable_id, "value": pytest.approx(0.1), "anomaly": 0}
    assert operation["p95"]["value"] == pytest.approx(0.2)


def test_an_operation_that_never_failed_has_no_errors(tmp_path: Path) -> None:
    client = written(tmp_path, span_metrics("connector", "STATUS_CODE_OK", 5.0, 0.1, 0.2, 0.4))
    (operation,) = body_of(client.get("/api/v1/red?service=shop"))
    assert operation["errors"]["value"] == 0.0
    assert operation["errors"]["id"] == operation["requests"]["id"]


def test_spans_counted_before_span_metrics_came_are_not_counted_twice(tmp_path: Path) -> None:
    attributes = (("span.kind", "server"), ("span.name", "GET /"))
    counted = {_key(SHOP, "traces.span.calls", "", Kind.SPAN, Statistic.RATE, attributes): 7.0}
    client = written(tmp_path, counted | span_metrics("connector", "STATUS_CODE_OK", 5.0))
    (service,) = body_of(client.get("/api/v1/red"))
    assert (service["operations"], service["requests"], service["p50"]) == (1, 5.0, None)


def test_what_is_old_says_nothing_of_now(tmp_path: Path) -> None:
    client = written(tmp_path, span_metrics("connector", "STATUS_CODE_OK", 5.0, 0.1, 0.2, 0.4), ago=20 * MINUTE)
    (service,) = body_of(client.get("/api/v1/red"))
    assert [service[name] for name in ("requests", "errors", "p50")] == [None, None, None]


def test_durations_of_a_service_are_those_of_nearly_all_its_requests(tmp_path: Path) -> None:
    fast = span_metrics("connector", "STATUS_CODE_OK", 99.0, 0.01, 0.02, 0.03)
    slow = span_metrics("connector", "STATUS_CODE_OK", 1.0, 2.0, 4.0, 6.0, name="export")
    (service,) = body_of(written(tmp_path, fast | slow).get("/api/v1/red"))
    assert service["p50"] == pytest.approx(0.01, rel=0.05)
    assert service["p95"] == pytest.approx(0.02, rel=0.2)
    assert service["p99"] > 0.03
