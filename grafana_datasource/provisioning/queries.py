"""Questions as Grafana writes them into panels and rules: PromQL, and rows of JSON through Infinity."""

from collections.abc import Mapping

from grafana_datasource.provisioning.names import CHOSEN_INFINITY, CHOSEN_PROMETHEUS, Json

BETWEEN = {"from": "${__timeFrom}", "to": "${__timeTo}"}
"""The time range of a panel in milliseconds, put in by Infinity's own server part."""

OF_SERVICE = {"service_pattern": "${service:regex}"}
"""Rows of the services that are chosen above the dashboard."""


def over_time(ref: str, expr: str, legend: str = "__auto", source: Json = CHOSEN_PROMETHEUS) -> Json:
    """Ask over the range of the panel."""
    return _promql(ref, expr, source) | {"legendFormat": legend, "range": True, "instant": False}


def now(ref: str, expr: str, legend: str = "__auto", source: Json = CHOSEN_PROMETHEUS) -> Json:
    """Ask at the end of the range; what is known of now only has no other answer."""
    return _promql(ref, expr, source) | {"legendFormat": legend, "range": False, "instant": True}


def now_as_table(ref: str, expr: str) -> Json:
    """Ask at the end of the range, a row per series with its labels in columns."""
    return now(ref, expr) | {"format": "table"}


def rows(
    ref: str,
    path: str,
    columns: Mapping[str, str],
    params: Mapping[str, str] | None = None,
    *,
    root: str = "",
    shape: str = "table",
    source: Json = CHOSEN_INFINITY,
) -> Json:
    """Ask for flat rows; `columns` are the wanted ones with their types, of names that are already in the rows.

    `root` is a JSONata expression that makes rows of an answer that is none.
    """
    return {
        "refId": ref,
        "datasource": source,
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": shape,
        "url": path,
        "root_selector": root,
        "url_options": {
            "method": "GET",
            "params": [{"key": name, "value": value} for name, value in (params or {}).items()],
        },
        "columns": [{"selector": name, "text": name, "type": kind} for name, kind in columns.items()],
        "filters": [],
    }


def _promql(ref: str, expr: str, source: Json) -> Json:
    return {"refId": ref, "datasource": source, "expr": expr, "editorMode": "code"}
