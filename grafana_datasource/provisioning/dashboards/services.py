"""Services by rate, errors and duration, and who calls whom."""

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.dashboards.links import to_service
from grafana_datasource.provisioning.names import SERVICES, Json
from grafana_datasource.provisioning.panels import DIRECTIONS, FROM_ZERO, Panel, lines, override, table, timeline
from grafana_datasource.provisioning.queries import OF_SERVICE, over_time, rows
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import service
from grafana_datasource.service_map import ARC_COLOURS, EDGE_FIELDS, NODE_FIELDS

_SERVED = 'service_name=~"$service",span_kind=~"(?i)(span_kind_)?(server|consumer)"'
_COUNTED = f"{{{_SERVED}}}"
_MEASURED = '__name__=~"(traces_span_?metrics_)?calls(_total)?_rate"'
"""Requests as the span metrics of a Collector or of Tempo have them, in each of their spellings."""

_RED = {"service": "string", **dict.fromkeys(("requests", "errors", "p50", "p95", "p99"), "number")}


def services(site: Site) -> Json:
    """Return the dashboard."""
    layout = [
        Row("", [_map()]),
        Row("Requests, errors, durations", [_now(site), _rate(), _errors(), _duration()]),
        Row("Operations", [_operations()]),
    ]
    about = "Services by rate, errors and duration, and who calls whom."
    return board(site, SERVICES, "services", about, layout, variables=[service()])


def _map() -> Panel:
    """Draw who calls whom; the red part of a ring is the share of series in an open episode."""
    targets = [
        rows("nodes", "/api/v1/graph/nodes", NODE_FIELDS, shape="node-graph-nodes"),
        rows("edges", "/api/v1/graph/edges", EDGE_FIELDS, shape="node-graph-edges"),
    ]
    units = {"mainStatUnit": "reqps", "secondaryStatUnit": "percentunit"}
    arcs = [{"field": name, "color": colour} for name, colour in ARC_COLOURS.items()]
    options = {"nodes": {**units, "arcs": arcs}, "edges": units, "zoomMode": "cooperative"}
    text = "Of the last half hour. Red: share of series in an open episode. Grey: shows no spans of its own."
    return Panel("nodeGraph", "Who calls whom, and how they do", 24, 14, targets, options, description=text)


def _now(site: Site) -> Panel:
    """List what is known of now, also of services whose spans somebody else measured."""
    units = {"requests": "reqps", "errors": "percentunit", **dict.fromkeys(("p50", "p95", "p99"), "s")}
    overrides = [override(name, unit=unit) for name, unit in units.items()]
    overrides.append(override("service", links=to_service(site)))
    text = "As of the last window. Durations are estimated from those of operations and how often each is called."
    target = rows("A", "/api/v1/red", _RED, OF_SERVICE)
    return table("Now", 24, 8, target, sort="requests", overrides=overrides, description=text)


def _rate() -> Panel:
    counted = f"sum by (service_name) (traces_span_calls_rate{_COUNTED})"
    expr = f"{counted} or sum by (service_name) ({{{_MEASURED},{_SERVED}}})"
    return lines("Requests a second", 8, 9, over_time("A", expr, "{{service_name}}"), unit="reqps", defaults=FROM_ZERO)


def _errors() -> Panel:
    failed = f"sum by (service_name) (traces_span_errors_error_ratio{_COUNTED} * traces_span_calls_rate{_COUNTED})"
    counted = f"{failed} / sum by (service_name) (traces_span_calls_rate{_COUNTED})"
    measured = f"sum by (service_name) ({{{_MEASURED},{_SERVED}}})"
    failed = f'sum by (service_name) ({{{_MEASURED},status_code=~"(STATUS_CODE_)?ERROR",{_SERVED}}})'
    expr = f"{counted} or {failed} / {measured} or 0 * {measured}"
    target = over_time("A", expr, "{{service_name}}")
    return lines("Share of requests that failed", 8, 9, target, unit="percentunit", defaults=FROM_ZERO)


def _duration() -> Panel:
    target = over_time("A", f"max by (service_name) (traces_span_duration_p95{_COUNTED})", "{{service_name}}")
    text = "The slowest operation's: quantiles of several do not add up. Of spans that Foreband counts itself."
    return lines("95 % are faster than", 8, 9, target, unit="s", defaults=FROM_ZERO, description=text)


def _operations() -> Panel:
    expr = 'max by (service_name, span_name) (abs(foreband_anomaly{service_name=~"$service",span_name!=""}))'
    target = over_time("A", expr, "{{service_name}} {{span_name}}")
    return timeline("Operations with a series outside its band", 24, 12, target, mappings=[DIRECTIONS])
