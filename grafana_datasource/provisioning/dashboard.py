"""Describe the dashboard: one series with its band and what lies ahead, and all series at a glance.

Bands are filled between fields of constant names ("upper" down to "lower"): Grafana finds the other edge by name, and
names that carry labels would break in repeated panels.
"""

from typing import Any

from grafana_datasource.provisioning.names import DASHBOARD_UID, INFINITY, PROMETHEUS

_SELECTED = '{series="$series"}'
_BLUE, _RED, _ORANGE = "blue", "red", "orange"


def dashboard() -> dict[str, Any]:
    """Return a classic dashboard; its time range reaches into the future, where the forecast is."""
    return {
        "uid": DASHBOARD_UID,
        "title": "Foreband: forecast bands",
        "tags": ["foreband"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now+6h"},
        "timezone": "browser",
        "templating": {"list": [_service_variable(), _series_variable()]},
        "annotations": {"list": [_episodes()]},
        "panels": [_band_panel(), _anomalous_now(), _score_panel(), _state_panel(), _table_panel()],
    }


def _band_panel() -> dict[str, Any]:
    """Draw value, forecast, alert band, calibrated band and anomalies of the chosen series."""
    targets = [
        _target("A", f"foreband_actual{_SELECTED}", "value"),
        _target("B", f"foreband_yhat{_SELECTED}", "expected"),
        _target("C", 'foreband_lower{series="$series",band="alert"}', "lower"),
        _target("D", 'foreband_upper{series="$series",band="alert"}', "upper"),
        _target("E", 'foreband_lower{series="$series",band="calibrated",interval_width="0.95"}', "lower 95 %"),
        _target("F", 'foreband_upper{series="$series",band="calibrated",interval_width="0.95"}', "upper 95 %"),
    ]
    overrides = [
        _override("value", color=_fixed("text"), **{"custom.lineWidth": 1}),
        _override("expected", color=_fixed(_BLUE), **{"custom.lineStyle": {"fill": "dash", "dash": [8, 6]}}),
        _band_edge("lower"),
        _band_edge("upper", "lower", 14),
        _band_edge("lower 95 %"),
        _band_edge("upper 95 %", "lower 95 %", 10),
    ]
    return _panel(1, "timeseries", "Value, forecast and bands", (0, 0, 24, 12), targets) | {
        "fieldConfig": {"defaults": {"custom": {"showPoints": "never", "spanNulls": False}}, "overrides": overrides},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def _anomalous_now() -> dict[str, Any]:
    """Count nothing, name everything: one tile per series outside its band."""
    target = _target("A", "foreband_anomaly != 0", "{{service_name}} {{metric}} {{statistic}}") | _INSTANT
    return _panel(2, "stat", "Outside their band now", (0, 12, 8, 7), [target]) | {
        **_NOW,
        "fieldConfig": {"defaults": {"mappings": [_DIRECTIONS], "noValue": "none"}, "overrides": []},
        "options": {
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "value_and_name",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def _score_panel() -> dict[str, Any]:
    thresholds = {
        "mode": "absolute",
        "steps": [
            {"color": _RED, "value": None},
            {"color": "transparent", "value": -1},
            {"color": _RED, "value": 1},
        ],
    }
    target = _target("A", f"foreband_score{_SELECTED}", "score")
    return _panel(3, "timeseries", "Score: beyond 1 or -1 is outside the band", (8, 12, 8, 7), [target]) | {
        "fieldConfig": {
            "defaults": {
                "custom": {"showPoints": "never", "thresholdsStyle": {"mode": "area"}},
                "thresholds": thresholds,
                "color": {"mode": "palette-classic"},
            },
            "overrides": [],
        }
    }


def _state_panel() -> dict[str, Any]:
    target = _target("A", 'foreband_anomaly{service_name=~"$service"}', "{{metric}} {{statistic}}")
    return _panel(4, "state-timeline", "Anomalies of the service", (16, 12, 8, 7), [target]) | {
        "fieldConfig": {"defaults": {"mappings": [_DIRECTIONS]}, "overrides": []},
        "options": {"mergeValues": True, "showValue": "never", "rowHeight": 0.8, "perPage": 20},
    }


def _table_panel() -> dict[str, Any]:
    columns = [("series", "string"), ("service", "string"), ("metric", "string"), ("statistic", "string")]
    target = {
        "refId": "A",
        "datasource": INFINITY,
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": "table",
        "url": "/api/v1/anomalies/current",
        "root_selector": "",
        "url_options": {"method": "GET", "params": []},
        "columns": [_column(*each) for each in [*columns, ("anomalous", "number")]],
        "filters": [],
    }
    return _panel(5, "table", "All live series", (0, 19, 24, 9), [target]) | {
        "datasource": INFINITY,
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"sortBy": [{"displayName": "anomalous", "desc": True}]},
    }


def _service_variable() -> dict[str, Any]:
    return _variable("service", "Service", "label_values(foreband_anomaly, service_name)") | {
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _series_variable() -> dict[str, Any]:
    """Choose by title, keep the stable id."""
    query = 'query_result(foreband_info{service_name=~"$service"})'
    regex = '/series="(?<value>[^"]*)".*title="(?<text>[^"]*)"/'
    return _variable("series", "Series", query) | {"regex": regex}


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": False,
    }


def _episodes() -> dict[str, Any]:
    """Shade the stretches in which the chosen series was flagged."""
    return {
        "name": "Anomalies",
        "enable": True,
        "iconColor": _ORANGE,
        "datasource": PROMETHEUS,
        "expr": f"abs(foreband_anomaly{_SELECTED})",
        "step": "60s",
        "titleFormat": "Outside its band",
        "textFormat": "{{service_name}} {{metric}} {{statistic}}",
        "useValueForTime": False,
    }


def _panel(
    panel_id: int, kind: str, title: str, place: tuple[int, int, int, int], targets: list[dict[str, Any]]
) -> dict[str, Any]:
    x, y, w, h = place
    return {
        "id": panel_id,
        "type": kind,
        "title": title,
        "datasource": PROMETHEUS,
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "targets": targets,
    }


def _target(ref: str, expr: str, legend: str) -> dict[str, Any]:
    return {"refId": ref, "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, "range": True}


def _column(name: str, kind: str) -> dict[str, str]:
    return {"selector": name, "text": name, "type": kind}


def _band_edge(name: str, fill_below_to: str = "", opacity: int = 0) -> dict[str, Any]:
    properties: dict[str, Any] = {"custom.lineWidth": 0, "custom.fillOpacity": opacity}
    if fill_below_to:
        properties["custom.fillBelowTo"] = fill_below_to
    hidden = {"legend": True, "tooltip": False, "viz": False}
    return _override(name, color=_fixed("super-light-blue"), **properties, **{"custom.hideFrom": hidden})


def _override(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _fixed(color: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": color}


_INSTANT = {"instant": True, "range": False}
_NOW = {"timeFrom": "5m", "hideTimeOverride": True}  # Grafana asks at the end of the range, which is ahead of now
_DIRECTIONS = {
    "type": "value",
    "options": {
        "1": {"text": "above", "color": _RED, "index": 0},
        "0": {"text": "inside", "color": "green", "index": 1},
        "-1": {"text": "below", "color": _ORANGE, "index": 2},
    },
}
