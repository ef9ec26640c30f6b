"""Services by rate, errors and duration, and who calls whom."""

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.names import SERVICES, Json
from grafana_datasource.provisioning.panels import DIRECTIONS, Panel, lines, timeline
from grafana_datasource.provisioning.queries import over_time
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import service

_SERVED = '{service_name=~"$service",span_kind=~"server|consumer"}'


def services(site: Site) -> Json:
    """Return the dashboard."""
    rows = [
        Row("Requests, errors, durations", [_rate(), _errors(), _duration()]),
        Row("Operations", [_operations()]),
    ]
    return board(site, SERVICES, "services", rows, variables=[service()])


def _rate() -> Panel:
    target = over_time("A", f"sum by (service_name) (traces_span_calls_rate{_SERVED})", "{{service_name}}")
    return lines("Requests a second", 8, 9, target, unit="reqps")


def _errors() -> Panel:
    failed = f"sum by (service_name) (traces_span_errors_error_ratio{_SERVED} * traces_span_calls_rate{_SERVED})"
    expr = f"{failed} / sum by (service_name) (traces_span_calls_rate{_SERVED})"
    return lines("Share of requests that failed", 8, 9, over_time("A", expr, "{{service_name}}"), unit="percentunit")


def _duration() -> Panel:
    target = over_time("A", f"max by (service_name) (traces_span_duration_p95{_SERVED})", "{{service_name}}")
    text = "The slowest operation's: quantiles of several operations do not add up."
    return lines("95 % are faster than", 8, 9, target, unit="s", description=text)


def _operations() -> Panel:
    expr = 'max by (service_name, span_name) (abs(foreband_anomaly{service_name=~"$service",span_name!=""}))'
    target = over_time("A", expr, "{{service_name}} {{span_name}}")
    return timeline("Operations with a series outside its band", 24, 12, target, mappings=[DIRECTIONS])
