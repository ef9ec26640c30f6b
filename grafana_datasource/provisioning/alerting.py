"""Describe the alert rules: on series, asked through Prometheus and through Infinity, and on Foreband itself.

The Infinity variant is paused, because both together would alert twice.
"""

from typing import Any

from grafana_datasource.provisioning.names import (
    DASHBOARD_UID,
    EXPRESSION,
    FOLDER,
    INFINITY,
    INFINITY_UID,
    PROMETHEUS,
    PROMETHEUS_UID,
)

_QUERY = {"intervalMs": 60_000, "maxDataPoints": 43_200}


def alerting() -> dict[str, Any]:
    """Return `alerting/*.yaml`."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": "foreband",
                "folder": FOLDER,
                "interval": "1m",
                "rules": [
                    _rule("foreband-outside-band", "Series outside its forecast band", _prometheus_query()),
                    _rule("foreband-outside-band-json", "Series outside its forecast band (JSON)", _infinity_query())
                    | {"isPaused": True},
                    _capacity_rule(),
                    *_own_rules(),
                ],
            }
        ],
    }


def _rule(uid: str, title: str, query: dict[str, Any]) -> dict[str, Any]:
    """Fire after three minutes outside the band, stop five minutes after the return."""
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "for": "3m",
        "keepFiringFor": "5m",
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": "warning", "source": "foreband"},
        "annotations": {
            "summary": "{{ $labels.metric }} ({{ $labels.statistic }}) is outside its forecast band",
            "series": "{{ $labels.series }}",
        },
        "dashboardUid": DASHBOARD_UID,
        "panelId": 1,
        "isPaused": False,
        "data": [query, _reduced(), _threshold()],
    }


def _capacity_rule() -> dict[str, Any]:
    """Fire where a bound is more likely reached within the horizon than not."""
    summary = "{{ $labels.metric }} of {{ $labels.service }} will likely reach its bound within {{ $labels.horizon }}"
    query = _prometheus_query("foreband_breach_probability > bool 0.5")
    rule = _rule("foreband-capacity", "Series that will reach their bound", query)
    return rule | {"for": "1h", "annotations": {"summary": summary, "series": "{{ $labels.series }}"}}


def _own_rules() -> list[dict[str, Any]]:
    """Fire where Foreband finds that it can no longer be relied on, for half an hour."""
    told = (
        (
            "foreband-detection-power",
            "Foreband finds less than half of its canaries",
            'foreband_detection_power{kind!="drift",size=~"|3"} < bool 0.5',
            "Of canaries of the kind {{ $labels.kind }}, put into shadow copies of live series, most were not found",
        ),
        (
            "foreband-band-coverage",
            "Bands hold less than they promise",
            'foreband_band_coverage{interval_width="0.99"} < bool 0.97',
            "The calibrated 99 % band of {{ $labels.kind }} series holds less than 97 % of their points",
        ),
    )
    return [
        _rule(uid, title, _prometheus_query(expr)) | {"for": "30m", "annotations": {"summary": summary}}
        for uid, title, expr, summary in told
    ]


def _prometheus_query(expr: str = "foreband_anomaly != 0") -> dict[str, Any]:
    """Ask for the series outside their band only: the answer stays small however many series there are."""
    model = {
        "refId": "A",
        "datasource": PROMETHEUS,
        "expr": expr,
        "instant": True,
        "range": False,
        "editorMode": "code",
        **_QUERY,
    }
    return _data("A", PROMETHEUS_UID, model, 600)


def _infinity_query() -> dict[str, Any]:
    """Ask for one row per live series: strings that never change and one number, so that each row is one alert."""
    texts = ("series", "service", "metric", "statistic")
    model = {
        "refId": "A",
        "datasource": INFINITY,
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": "table",
        "url": "/api/v1/anomalies/current",
        "root_selector": "",
        "filters": [],
        "url_options": {"method": "GET", "params": []},
        "columns": [
            *({"selector": text, "text": text, "type": "string"} for text in texts),
            {"selector": "anomalous", "text": "anomalous", "type": "number"},
        ],
        **_QUERY,
    }
    return _data("A", INFINITY_UID, model, 600)


def _reduced() -> dict[str, Any]:
    model = {
        "refId": "B",
        "datasource": EXPRESSION,
        "type": "reduce",
        "expression": "A",
        "reducer": "last",
        "settings": {"mode": "dropNN"},
    }
    return _data("B", "__expr__", model, 0)


def _threshold() -> dict[str, Any]:
    """Take 1 above and -1 below alike."""
    conditions = [{"evaluator": {"type": "outside_range", "params": [-0.5, 0.5]}}]
    model = {"refId": "C", "datasource": EXPRESSION, "type": "threshold", "expression": "B", "conditions": conditions}
    return _data("C", "__expr__", model, 0)


def _data(ref: str, uid: str, model: dict[str, Any], seconds_back: int) -> dict[str, Any]:
    data: dict[str, Any] = {"refId": ref, "datasourceUid": uid}
    if seconds_back:
        data["relativeTimeRange"] = {"from": seconds_back, "to": 0}
    return data | {"model": model}
