"""What each route takes and answers, by Flask's name of it; a route that is not in here fails a test."""

from collections.abc import Mapping
from typing import Any

from grafana_datasource.hooks.payload import Notification
from grafana_datasource.openapi import parameters as p
from grafana_datasource.openapi import questions
from grafana_datasource.openapi.operation import Operation, Parameter
from grafana_datasource.openapi.shapes import base, episodes, incidents, prometheus, series, services

_Rows = list[dict[str, Any]]


def _choice(name: str, text: str, *allowed: str) -> Parameter:
    return Parameter(name, text, {"type": "string", "enum": list(allowed)})


_STATE = _choice("state", "of this state only", "all", "anomalous", "silent", "warming", "active", "degraded")
_SORT = _choice("sort", "order", "urgency", "name", "newest")
_OFFSET = Parameter("offset", "how many to leave out", {"type": "integer", "minimum": 0, "maximum": 10_000_000})
_SEARCH = Parameter("search", "all of these words", {"type": "string", "maxLength": 256})
_CELLS = Parameter("cells", "stretches of time", {"type": "integer", "minimum": 1, "maximum": 500})
_OPEN = _choice("state", "open ones only, or all", "all", "open")
_SEVERITY = Parameter(
    "severity",
    "of these severities only, separated by commas",
    {"type": "string", "pattern": "^(info|warning|critical)(,(info|warning|critical)){0,2}$"},
)

_PROMETHEUS = {
    "query": Operation("Evaluate PromQL at one time.", prometheus.Instant, (p.QUERY.required(), p.TIME, *p.HOW)),
    "query_range": Operation(
        "Evaluate PromQL over a range; what lies ahead is answered with the forecast.",
        prometheus.Range,
        (p.QUERY.required(), p.START.required(), p.END.required(), p.STEP.required(), *p.HOW),
    ),
    "query_exemplars": Operation(
        "List the traces behind an expression.",
        prometheus.Exemplars,
        (p.QUERY.required(), p.START, p.END, p.TIMEOUT),
    ),
    "format_query": Operation("Write PromQL neatly.", prometheus.Formatted, (p.QUERY.required(),)),
    "labels": Operation("List names of labels.", prometheus.Names, (p.MATCH, p.NAMES)),
    "label_<path:name>_values": Operation("List values of a label.", prometheus.Names, (p.MATCH, p.NAMES), at=p.LABEL),
    "series": Operation("List label sets.", prometheus.SeriesLabels, (p.MATCH.required(), p.NAMES)),
    "metadata": Operation("Describe metrics.", prometheus.Descriptions, (p.METRIC_NAME, p.NAMES)),
    **{
        name: Operation("Say that there are none: rules and targets are elsewhere.", prometheus.Settings)
        for name in ("rules", "alerts", "alertmanagers", "targets", "scrape_pools")
    },
    **{
        name: Operation("Say that there are none.", prometheus.Nothing)
        for name in ("notifications", "targets_metadata")
    },
    **{
        f"status_{name}": Operation("Say what a Prometheus says of itself.", prometheus.Settings)
        for name in ("buildinfo", "config", "flags", "runtimeinfo")
    },
    "status_tsdb": Operation("Count series by name and label.", prometheus.Settings, (p.NAMES,)),
}

_ROWS = {
    "_series": Operation(
        "One number of many series over time, in rows ascending by time: what alert rules evaluate.",
        list[series.LongRow],
        (p.KIND, p.BAND, p.INTERVAL_WIDTH, *p.CHOSEN, *p.SPAN, p.STEP, p.MAX_POINTS),
    ),
    "_series_<text>": Operation("Describe one series.", series.CatalogRow, at=p.SERIES_ID, refusals=(404,)),
    "_series_<text>_forecast": Operation(
        "Value, forecast and bands of one series over time, also ahead.",
        list[series.WideRow],
        (p.INTERVAL_WIDTH, *p.SPAN, p.MAX_POINTS),
        at=p.SERIES_ID,
        refusals=(404,),
    ),
    "_anomalies_current": Operation(
        "Say of every live series whether it is anomalous.", list[series.CurrentRow], p.CHOSEN
    ),
    "_annotations": Operation(
        "Episodes, and breaches ahead, as regions.", list[episodes.Annotation], (*p.CHOSEN, *p.SPAN)
    ),
    "_episodes": Operation("List episodes.", list[episodes.Episode], (*p.CHOSEN, *p.SPAN, _SEVERITY, _OPEN, p.MANY)),
    "_episodes_<text>": Operation("Explain one episode.", episodes.ExplainedEpisode, at=p.EPISODE_ID, refusals=(404,)),
    "_services": Operation("List services, for variables.", list[base.Option]),
    "_metrics": Operation("List metrics, for variables.", list[base.Option], p.CHOSEN),
    "_proof": Operation("What Foreband proves about itself.", list[series.Power | series.Coverage]),
    "_capacity": Operation("When series will reach their bounds.", list[series.Breach], p.CHOSEN),
}

_SUMMARIES = {
    "catalog": Operation("List series.", series.Catalog, (*p.CHOSEN, _SEARCH, _STATE, _SORT, _OFFSET, p.MANY)),
    "fleet": Operation("The whole fleet at a glance.", services.Fleet, (*p.SPAN, _CELLS, p.MANY)),
    "red": Operation(
        "Rate, errors and duration by service, or by operation of one service.",
        list[services.OperationRow] | list[services.ServiceRow],
        (*p.CHOSEN, p.MANY),
    ),
    "quality": Operation("How good the models are.", dict[str, Any]),
    "sparks": Operation("Small pictures of up to 50 series.", list[series.Spark], (*p.CHOSEN, *p.SPAN, p.MAX_POINTS)),
    "components": Operation(
        "What Prophet's forecast of one series is the sum of.",
        series.Components,
        (*p.SPAN, p.MAX_POINTS),
        at=p.SERIES_ID,
        refusals=(404,),
    ),
    "models": Operation(
        "The kept versions of one series' model.", list[series.ModelVersion], at=p.SERIES_ID, refusals=(404,)
    ),
}

_INCIDENTS = {
    "every": Operation(
        "List incidents, the newest first.",
        list[incidents.IncidentRow],
        (p.SERVICE, *p.SPAN, _SEVERITY, _OPEN, _OFFSET, p.MANY),
    ),
    "one": Operation(
        "Describe one incident, with its causes and episodes.", incidents.Incident, at=p.INCIDENT_ID, refusals=(404,)
    ),
}

_LEGACY = {
    "health": Operation("Health check of the JSON plugins.", base.Status),
    "search": Operation("Metrics, for SimpleJSON.", list[str], body=questions.Wanted),
    "metrics": Operation("Metrics, for simPod's builder.", _Rows, body=dict[str, Any]),
    "metric-payload-options": Operation("Choices of a payload field.", _Rows, body=questions.PayloadField),
    "query": Operation("Series or a table, for a panel.", _Rows, body=questions.PanelQuery),
    "annotations": Operation("Episodes, for SimpleJSON.", _Rows, body=questions.AnnotationQuery),
    "variable": Operation("Choices of a variable.", list[base.Option], body=questions.VariableQuery),
    "tag-keys": Operation("Labels, for ad-hoc filters.", _Rows, body=dict[str, Any]),
    "tag-values": Operation("Values of a label.", _Rows, body=questions.LabelKey),
}

_FEEDBACK = {
    "answer": Operation(
        "Answer an episode.",
        episodes.Feedback,
        at=p.EPISODE_ID,
        body=questions.Answered,
        status=201,
        refusals=(404, 409),
    ),
    "missed": Operation(
        "Say that an episode was missed.",
        episodes.Feedback,
        at=p.SERIES_ID,
        body=questions.Missed,
        status=201,
        refusals=(404, 409),
    ),
    "undo": Operation(
        "Take an answer back.", episodes.Feedback, at=p.FEEDBACK_ID, body=questions.Undone, refusals=(404, 409)
    ),
    "history": Operation("List answers.", list[episodes.Feedback], (p.SERIES_OF_ANSWERS,)),
}

_HOOKS = {
    "grafana": Operation(
        "Take Grafana's notifications of alerts, signed.",
        episodes.Taken,
        body=Notification,
        is_signed=True,
        refusals=(404, 409),
    ),
    "alertmanager": Operation(
        "Take an Alertmanager's notifications of alerts.", episodes.Taken, body=Notification, refusals=(409,)
    ),
}

_MAP = {
    "nodes": Operation("Services and what they call, for a Node Graph panel.", list[services.MapNode], (p.NAMES,)),
    "edges": Operation("Who calls whom, for a Node Graph panel.", list[services.MapEdge], (p.NAMES,)),
    "data": Operation("Both at once, for the nodegraph-api plugin.", services.Map, (p.NAMES,)),
    "fields": Operation("What the rows of both are made of, for that plugin.", dict[str, _Rows]),
    "health": Operation("Health check of that plugin.", base.Status),
}

OPERATIONS: Mapping[str, Operation] = {
    **{f"prometheus._api_v1_{name}": operation for name, operation in _PROMETHEUS.items()},
    "prometheus._federate": Operation(
        "What selectors mean right now, for a Prometheus that scrapes it.", None, (p.MATCH,)
    ),
    "remote_read.read": Operation(
        "Read samples as a Prometheus with `remote_read` asks for them: protobuf in a snappy block, both ways.",
        media="application/x-protobuf",
    ),
    "prometheus._": Operation("Say what is below this path."),
    "prometheus._-_healthy": Operation("Say that Foreband is there."),
    "prometheus._-_ready": Operation("Say that Foreband answers."),
    **{f"rows.{name}": operation for name, operation in _ROWS.items()},
    **{f"summaries.{name}": operation for name, operation in _SUMMARIES.items()},
    **{f"incidents.{name}": operation for name, operation in _INCIDENTS.items()},
    **{f"map.{name}": operation for name, operation in _MAP.items()},
    **{f"legacy.{name}": operation for name, operation in _LEGACY.items()},
    **{f"feedback.{name}": operation for name, operation in _FEEDBACK.items()},
    **{f"hooks.{name}": operation for name, operation in _HOOKS.items()},
    "runbooks.all": Operation("What to do about every alert, as Markdown."),
    "runbooks.one": Operation("What to do about one alert, as Markdown.", at=p.RULE, refusals=(404,)),
    "openapi.document": Operation("This document.", dict[str, Any]),
    "healthz": Operation("Say that the process is alive.", base.Status),
    "readyz": Operation("Say whether telemetry is taken.", base.Status),
    "metrics": Operation("Foreband's own metrics in Prometheus' text format."),
}
"""All routes but those of the page."""

OUTSIDE = ("page.", "static")
"""Routes that are for browsers only."""
