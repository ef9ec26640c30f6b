"""Incidents and their episodes: which there were, when, what likely caused them, and why an episode is one."""

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.dashboards.links import to_episode, to_incident, to_series, to_trace
from grafana_datasource.provisioning.names import CHOSEN_INFINITY, INCIDENTS, Json
from grafana_datasource.provisioning.panels import COUNTED, DIRECTIONS, Panel, lines, override, table, timeline
from grafana_datasource.provisioning.queries import BETWEEN, OF_SERVICE, over_time, rows
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import episode, service

_TIME = "timestamp_epoch"
_COLUMNS = {
    "start": _TIME,
    "end": _TIME,
    **dict.fromkeys(("severity", "service", "title", "explanation"), "string"),
    **dict.fromkeys(("peak_score", "actual", "yhat", "lower", "upper", "onsets"), "number"),
    **dict.fromkeys(("kind", "close_reason", "id", "series"), "string"),
}
_INCIDENT_COLUMNS = {
    "start": _TIME,
    "end": _TIME,
    **dict.fromkeys(("severity", "services", "cause"), "string"),
    **dict.fromkeys(("cause_score", "episodes"), "number"),
    **dict.fromkeys(("explanation", "id"), "string"),
}
_EPISODE = "/api/v1/episodes/${episode}"
_TELLING = {"time": _TIME, "timeEnd": _TIME, "title": "string", "text": "string", "tags": "string", "id": "string"}
_COLOURS: Json = {
    "type": "value",
    "options": {
        "critical": {"color": "red", "index": 0},
        "warning": {"color": "orange", "index": 1},
        "info": {"color": "blue", "index": 2},
    },
}


def incidents(site: Site) -> Json:
    """Return the dashboard."""
    layout = [
        Row("", [_count(), _when()]),
        Row("Incidents", [_incidents(site)]),
        Row("Episodes", [_list(site)]),
        Row("Why: the episode of that id", [_why(site), _traces(site)]),
    ]
    chosen = [service(), episode()]
    about = "What was unusual, when, and why."
    return board(site, INCIDENTS, "incidents", about, layout, variables=chosen, annotations=[regions()])


def regions() -> Json:
    """Shade episodes of the chosen services, and what capacity says is ahead."""
    target = rows("Anno", "/api/v1/annotations", _TELLING, BETWEEN | OF_SERVICE, shape="dataframe")
    return {
        "name": "Episodes",
        "enable": True,
        "iconColor": "orange",
        "datasource": CHOSEN_INFINITY,
        "target": target,
    }


def _count() -> Panel:
    target = over_time("A", 'sum(abs(foreband_anomaly{service_name=~"$service"}))', "series outside their band")
    return lines("How many at once", 10, 9, target, custom={"fillOpacity": 20}, defaults=COUNTED)


def _when() -> Panel:
    expr = 'foreband_anomaly{service_name=~"$service"} != 0'
    target = over_time("A", expr, "{{service_name}} {{metric}} {{statistic}}")
    return timeline("Series that were outside their band", 14, 9, target, mappings=[DIRECTIONS])


def _incidents(site: Site) -> Panel:
    overrides = [
        override("id", links=to_incident(site, "${__value.raw}")),
        override("severity", mappings=[_COLOURS], custom__cellOptions={"type": "color-background"}),
        override("cause_score", unit="percentunit"),
        override("explanation", custom__width=620),
    ]
    target = rows("A", "/api/v1/incidents", _INCIDENT_COLUMNS, BETWEEN)
    return table("Incidents", 24, 8, target, sort="start", overrides=overrides)


def _list(site: Site) -> Panel:
    overrides = [
        override("id", links=to_episode("${__value.raw}")),
        override("series", links=to_series(site, "${__value.raw}")),
        override("severity", mappings=[_COLOURS], custom__cellOptions={"type": "color-background"}),
        override("explanation", custom__width=420),
    ]
    target = rows("A", "/api/v1/episodes", _COLUMNS, BETWEEN | OF_SERVICE)
    return table("Episodes", 24, 12, target, sort="start", overrides=overrides)


def _why(site: Site) -> Panel:
    columns = dict.fromkeys(("explanation", "service", "title", "severity", "series"), "string")
    overrides = [
        override("explanation", custom__width=900, custom__cellOptions={"type": "auto", "wrapText": True}),
        override("series", links=to_series(site, "${__value.raw}")),
    ]
    return table("", 18, 6, rows("A", _EPISODE, columns), overrides=overrides)


def _traces(site: Site) -> Panel:
    target = rows("A", _EPISODE, {"trace": "string"}, root='traces.{"trace": $}')
    return table("Traces", 6, 6, target, overrides=[override("trace", links=to_trace(site))])
