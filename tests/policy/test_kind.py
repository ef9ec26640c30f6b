from dataclasses import replace

import pytest

from collector_processor.policy import kind as kinds
from collector_processor.policy.kind import DEFAULTS, MetricKind, defaults_of, kind_of
from collector_processor.telemetry.rule import Direction
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic
from tests.policy.test_selector import KEY


def key(metric: str, unit: str, kind: Kind, statistic: Statistic) -> SeriesKey:
    return replace(KEY, metric=metric, unit=unit, kind=kind, statistic=statistic)


@pytest.mark.parametrize(
    ("metric", "unit", "source", "statistic", "expected"),
    [
        ("traces.span.calls", "{span}/s", Kind.SPAN, Statistic.RATE, MetricKind.REQUEST_RATE),
        ("http.server.request.duration", "s", Kind.HISTOGRAM_DELTA, Statistic.RATE, MetricKind.REQUEST_RATE),
        ("http_requests_total", "", Kind.COUNTER_CUMULATIVE, Statistic.RATE, MetricKind.REQUEST_RATE),
        ("payments", "{payment}", Kind.COUNTER_DELTA, Statistic.RATE, MetricKind.REQUEST_RATE),
        ("system.network.io", "By", Kind.COUNTER_CUMULATIVE, Statistic.RATE, MetricKind.COUNTER_RATE),
        ("http.server.request.duration", "s", Kind.EXPONENTIAL_DELTA, Statistic.P99, MetricKind.LATENCY),
        ("traces.span.duration", "s", Kind.SPAN, Statistic.P50, MetricKind.LATENCY),
        ("rpc_latency_us", "us", Kind.GAUGE, Statistic.VALUE, MetricKind.LATENCY),
        ("rpc.server.duration", "ms", Kind.SUMMARY, Statistic.VALUE, MetricKind.LATENCY),
        ("process.uptime", "s", Kind.GAUGE, Statistic.VALUE, MetricKind.GAUGE),
        ("http.request.body.size", "By", Kind.HISTOGRAM_DELTA, Statistic.P95, MetricKind.GAUGE),
        ("traces.span.errors", "1", Kind.SPAN, Statistic.ERROR_RATIO, MetricKind.ERROR_RATIO),
        ("checkout_error_rate", "1", Kind.GAUGE, Statistic.VALUE, MetricKind.ERROR_RATIO),
        ("failed_ratio", "", Kind.GAUGE, Statistic.VALUE, MetricKind.ERROR_RATIO),
        ("system.cpu.utilization", "1", Kind.GAUGE, Statistic.VALUE, MetricKind.UTILISATION),
        ("disk_used_percent", "", Kind.GAUGE, Statistic.VALUE, MetricKind.UTILISATION),
        ("anything", "%", Kind.GAUGE, Statistic.VALUE, MetricKind.UTILISATION),
        ("system.memory.usage", "By", Kind.UPDOWN_CUMULATIVE, Statistic.VALUE, MetricKind.GAUGE),
        ("evaluated", "", Kind.GAUGE, Statistic.VALUE, MetricKind.GAUGE),
    ],
)
def test_name_unit_and_statistic_tell_the_kind(
    metric: str, unit: str, source: Kind, statistic: Statistic, expected: MetricKind
) -> None:
    assert kind_of(key(metric, unit, source, statistic)) is expected


def test_defaults_are_in_the_unit_of_the_series() -> None:
    latency = key("latency", "ms", Kind.GAUGE, Statistic.VALUE)
    assert defaults_of(latency, MetricKind.LATENCY).min_deviation == pytest.approx(5.0)
    percent = key("cpu", "%", Kind.GAUGE, Statistic.VALUE)
    found = defaults_of(percent, MetricKind.UTILISATION)
    assert (found.min_deviation, found.low, found.high) == (5.0, 0.0, 100.0)
    assert defaults_of(replace(percent, unit="1"), MetricKind.UTILISATION).high == 1.0


def test_the_written_table_says_what_the_defaults_are() -> None:
    assert kinds.__doc__ is not None
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in kinds.__doc__.splitlines() if line[:1] == "|"]
    table = {row[0]: row[2:] for row in rows[2:]}
    for kind, default in DEFAULTS.items():
        flagged, least, bounds, requests = table[kind.value.replace("_", " ")]
        assert flagged == {Direction.BOTH: "both", Direction.UP: "up"}[default.direction]
        unit = {MetricKind.REQUEST_RATE: ".05/s", MetricKind.LATENCY: "5 ms", MetricKind.ERROR_RATIO: ".01"}
        share = f"{default.min_relative_deviation:.0%}".replace("%", " %") if default.min_relative_deviation else ""
        assert share in least
        assert unit.get(kind, "") in least
        assert bounds == ("" if default.low < 0 else "0..1" if default.high == 1 else "0")
        assert requests == (f"{default.min_requests:g}" if default.min_requests else "")
