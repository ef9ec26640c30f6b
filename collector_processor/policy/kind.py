"""What kind of number a series follows, told from its statistic, unit and name, and what is quiet for it.

| kind | told by | flagged | never within | bounds | requests |
|---|---|---|---|---|---|
| request rate | rates of spans, logs and histograms; counters of requests, calls | both | .05/s, 10 % | 0 | |
| latency | statistics in a unit of time; gauges in one, named duration or latency | up | 5 ms, 10 % | 0 | 10 |
| error ratio | error ratios of spans; dimensionless error or failure ratios | up | .01 | 0..1 | 10 |
| utilisation | names with utilization; the unit % | both | .05 | 0..1 | |
| counter rate | rates of all other counters | both | 10 % | 0 | |
| gauge | the rest | both | 1 % | | |

The names are those of the semantic conventions and of what Prometheus' exporters use. A minimum deviation widens the
drawn band itself. These bounds clip forecasts and bands, and give way where a series goes beyond them all the same.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from collector_processor.telemetry.rule import Direction
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic


class MetricKind(StrEnum):
    """What is quiet depends on it."""

    REQUEST_RATE = "request_rate"
    LATENCY = "latency"
    ERROR_RATIO = "error_ratio"
    UTILISATION = "utilisation"
    COUNTER_RATE = "counter_rate"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class KindDefaults:
    """What holds for a kind where no policy says otherwise, in the base unit: seconds, shares, events a second."""

    direction: Direction = Direction.BOTH
    min_deviation: float = 0.0
    min_relative_deviation: float = 0.0
    low: float = -inf
    high: float = inf
    min_requests: float = 0.0

    def scaled(self, unit: float) -> "KindDefaults":
        """Return the same in a unit of which `unit` make one base unit."""
        return replace(self, min_deviation=unit * self.min_deviation, low=unit * self.low, high=unit * self.high)


DEFAULTS = {
    MetricKind.REQUEST_RATE: KindDefaults(min_deviation=0.05, min_relative_deviation=0.10, low=0.0),
    MetricKind.LATENCY: KindDefaults(
        Direction.UP, min_deviation=0.005, min_relative_deviation=0.10, low=0.0, min_requests=10
    ),
    MetricKind.ERROR_RATIO: KindDefaults(Direction.UP, min_deviation=0.01, low=0.0, high=1.0, min_requests=10),
    MetricKind.UTILISATION: KindDefaults(min_deviation=0.05, low=0.0, high=1.0),
    MetricKind.COUNTER_RATE: KindDefaults(min_relative_deviation=0.10, low=0.0),
    MetricKind.GAUGE: KindDefaults(min_relative_deviation=0.01),
}

_TIME_UNITS = {"ns": 1e9, "us": 1e6, "μs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}
_DIMENSIONLESS = {"", "1", "%"}
_COUNTING_KINDS = {Kind.SPAN, Kind.LOG, Kind.SUMMARY, Kind.HISTOGRAM_CUMULATIVE, Kind.HISTOGRAM_DELTA} | {
    Kind.EXPONENTIAL_CUMULATIVE,
    Kind.EXPONENTIAL_DELTA,
}
_COMPUTED = {Statistic.MEAN, Statistic.P50, Statistic.P95, Statistic.P99}
_REQUESTS = re.compile(r"request|call|message|query|queries|order|payment|hits|visit|rpc|operation")
_TIMED = re.compile(r"duration|latency|elapsed|(response|wait|process\w*|request)[._]time")
_FAILED = re.compile(r"(err|fail\w*)[a-z]*[._](ratio|rate|percent)")
_UTILISED = re.compile(r"utili[sz]ation|(usage|used|busy)[._](ratio|percent)")


def kind_of(key: SeriesKey) -> MetricKind:
    """Return what kind of number a series follows."""
    name = key.metric.lower()
    if key.statistic is Statistic.ERROR_RATIO:
        return MetricKind.ERROR_RATIO
    if key.statistic is Statistic.RATE:
        counts = key.kind in _COUNTING_KINDS or _REQUESTS.search(name) or _REQUESTS.search(key.unit.lower())
        return MetricKind.REQUEST_RATE if counts else MetricKind.COUNTER_RATE
    if key.unit in _TIME_UNITS and (key.statistic in _COMPUTED or key.kind is Kind.SUMMARY or _TIMED.search(name)):
        return MetricKind.LATENCY
    if key.unit in _DIMENSIONLESS and _FAILED.search(name):
        return MetricKind.ERROR_RATIO
    if key.unit == "%" or (key.unit in _DIMENSIONLESS and _UTILISED.search(name)):
        return MetricKind.UTILISATION
    return MetricKind.GAUGE


def defaults_of(key: SeriesKey, kind: MetricKind) -> KindDefaults:
    """Return the defaults of a kind in the unit of a series."""
    if kind is MetricKind.LATENCY:
        return DEFAULTS[kind].scaled(_TIME_UNITS.get(key.unit, 1.0))
    if kind in {MetricKind.ERROR_RATIO, MetricKind.UTILISATION}:
        is_percent = key.unit == "%" or key.metric.lower().endswith("percent")
        return DEFAULTS[kind].scaled(100.0 if is_percent else 1.0)
    return DEFAULTS[kind]
