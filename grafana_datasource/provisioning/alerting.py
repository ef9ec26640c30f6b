"""The alert rules: on series, on what is ahead of them, and on Foreband itself."""

from grafana_datasource.provisioning.names import (
    CAPACITY,
    FOLDER,
    HEALTH,
    INCIDENTS,
    INFINITY,
    PROMETHEUS,
    RULE_GROUP,
    SERIES,
    Json,
)
from grafana_datasource.provisioning.queries import now, rows
from grafana_datasource.provisioning.rule import Rule
from grafana_datasource.provisioning.site import Site

INTERVAL_SECONDS = 60

_WHO = "{{ $labels.metric }} ({{ $labels.statistic }}) of {{ $labels.service_name }}"
_IDENTITY = dict.fromkeys(("series", "service", "metric", "statistic"), "string")


def _asked(expr: str) -> Json:
    return now("A", expr, source=PROMETHEUS)


RULES = (
    Rule(
        "anomaly",
        "Series outside its forecast band",
        _asked("foreband_anomaly != 0"),
        f"{_WHO} is outside its forecast band",
        SERIES,
    ),
    Rule(
        "anomaly-json",
        "Series outside its forecast band (JSON)",
        rows("A", "/api/v1/anomalies/current", {**_IDENTITY, "anomalous": "number"}, source=INFINITY),
        "{{ $labels.metric }} ({{ $labels.statistic }}) of {{ $labels.service }} is outside its forecast band",
        SERIES,
        is_paused=True,
    ),
    Rule(
        "silence",
        "Series or service that stopped reporting",
        _asked('foreband_episode{kind="silence"}'),
        f"{_WHO} stopped reporting, although it always did",
        INCIDENTS,
        severity="critical",
    ),
    Rule(
        "drift",
        "Series that drifts or leaks",
        _asked('foreband_episode{kind="drift"}'),
        f"{_WHO} drifts slowly away from what it was",
        INCIDENTS,
        pending="1h",
        holds="1h",
    ),
    Rule(
        "time-to-breach",
        "Series that will reach its bound within three days",
        _asked('foreband_time_to_breach_seconds{quantile="0.5"} < bool 259200'),
        f"{_WHO} will likely reach its bound within three days",
        CAPACITY,
        severity="critical",
        pending="1h",
        holds="1h",
    ),
    Rule(
        "capacity",
        "Series that will likely reach its bound",
        _asked("foreband_breach_probability > bool 0.5"),
        f"{_WHO} will likely reach its bound within {{{{ $labels.horizon }}}}",
        CAPACITY,
        pending="1h",
        holds="1h",
    ),
    Rule(
        "coverage-lost",
        "Bands hold less than they promise",
        _asked('foreband_band_coverage{interval_width="0.99"} < bool 0.97'),
        "The calibrated 99 % band of {{ $labels.kind }} series holds less than 97 % of their points",
        HEALTH,
        pending="30m",
        of_series=False,
    ),
    Rule(
        "detection-power",
        "Foreband finds less than half of its canaries",
        _asked('foreband_detection_power{kind!="drift",size=~"|3"} < bool 0.5'),
        "Of canaries of the kind {{ $labels.kind }}, put into shadow copies of live series, most were not found",
        HEALTH,
        pending="30m",
        of_series=False,
    ),
    Rule(
        "fit-backlog",
        "Fits are overdue",
        _asked("foreband_fit_backlog_age_seconds > bool 7200"),
        "The most overdue fit has been due for more than two hours",
        HEALTH,
        pending="15m",
        no_data="Alerting",
        error="Alerting",
        of_series=False,
    ),
)
"""All rules; the one through Infinity is paused, because it would alert twice.

Nothing outside a band is no data for most of them, which is well. The backlog is always known while Foreband runs: no
answer to that means that Foreband is gone, and so is everything else here.
"""


def alerting(site: Site) -> Json:
    """Return `alerting/*.yaml`."""
    group = {
        "orgId": 1,
        "name": RULE_GROUP,
        "folder": FOLDER,
        "interval": f"{INTERVAL_SECONDS // 60}m",
        "rules": [rule.as_file(site) for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}
