"""Speak the Prometheus HTTP API that Grafana's built-in data source, promtool and vmalert use.

Every route takes GET and POST, with parameters from the query string and the form together. Future times are
answered with the forecast.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from flask import Blueprint, Response, request

from collector_processor.clock import HOUR
from collector_processor.errors import InvalidQueryError
from grafana_datasource.backend import Backend
from grafana_datasource.discovery import derived_entries, label_names, label_values, meant, metadata
from grafana_datasource.evaluate import evaluate, state_notes
from grafana_datasource.exemplars import exemplar_data
from grafana_datasource.federation import CONTENT_TYPE, federated
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.parser import formatted, parse, parse_selector
from grafana_datasource.promql.syntax import Range, Subquery, Text
from grafana_datasource.promql.vector import as_vector
from grafana_datasource.query import Grid, Params, limit, optional, parse_time, range_grid, required, timeout
from grafana_datasource.replies import reply
from grafana_datasource.results import instant_data, range_data
from grafana_datasource.series_names import decode_label

API_VERSION = "2.55.0"
"""The Prometheus version whose API this is; without `features`, so that nobody takes it for a Mimir."""

_METHODS = ["GET", "POST"]


def prometheus_routes(backend: Backend) -> Blueprint:
    """Return the routes below `/prom`."""
    routes = Blueprint("prometheus", __name__, url_prefix="/prom")

    def route(path: str, answer: Callable[..., Response]) -> None:
        routes.add_url_rule(path, path.replace("/", "_").replace(".", "_"), answer, methods=_METHODS)

    route("/api/v1/query", lambda: _query(backend))
    route("/api/v1/query_range", lambda: _query_range(backend))
    route("/api/v1/query_exemplars", lambda: _query_exemplars(backend))
    route("/api/v1/format_query", _format_query)
    route("/api/v1/labels", lambda: _labels(backend))
    route("/api/v1/label/<path:name>/values", lambda name: _label_values(backend, name))
    route("/api/v1/series", lambda: _series(backend))
    route("/api/v1/metadata", lambda: _metadata(backend))
    for path, data in _NOTHING_OF_THE_KIND.items():
        route(path, lambda data=data: _success(data))
    route("/federate", lambda: _federate(backend))
    route("/-/healthy", lambda: Response("Foreband is healthy.\n", mimetype="text/plain"))
    route("/-/ready", lambda: Response("Foreband is ready.\n", mimetype="text/plain"))
    return routes


_NOTHING_OF_THE_KIND: dict[str, Any] = {
    "/api/v1/rules": {"groups": []},
    "/api/v1/alerts": {"alerts": []},
    "/api/v1/alertmanagers": {"activeAlertmanagers": [], "droppedAlertmanagers": []},
    "/api/v1/targets": {"activeTargets": [], "droppedTargets": []},
    "/api/v1/status/buildinfo": {
        "version": API_VERSION,
        **dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), ""),
    },
    "/api/v1/status/config": {"yaml": ""},
    "/api/v1/status/flags": {"query.lookback-delta": "5m", "query.timeout": "30s"},
}
"""What never changes, most of it because Foreband scrapes nothing and evaluates no rules."""


def _query(backend: Backend) -> Response:
    params = request.values
    expression = parse(required(params, "query", _text))
    with backend.session(timeout(params)) as session:
        grid = Grid.instant(optional(params, "time", parse_time, session.now))
        answer = evaluate(expression, grid, session)
    return _success(instant_data(answer.result, grid.start), answer.infos)


def _query_range(backend: Backend) -> Response:
    params = request.values
    expression = parse(required(params, "query", _text))
    grid, end = range_grid(params, backend.limits), required(params, "end", parse_time)
    if isinstance(expression, Text | Range | Subquery):
        kind = "string" if isinstance(expression, Text) else "range vector"
        raise InvalidQueryError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
    with backend.session(timeout(params)) as session:
        answer = evaluate(expression, grid, session, end=end)
    return _success(range_data(as_vector(answer.result), grid.times()), answer.infos)


def _query_exemplars(backend: Backend) -> Response:
    params = request.values
    expression = parse(required(params, "query", _text))
    with backend.session(timeout(params)) as session:
        end = optional(params, "end", parse_time, session.now)
        start = optional(params, "start", parse_time, end - HOUR)
        if end < start:
            raise InvalidQueryError(f"end ({params.get('end', end)}) is before start ({params.get('start', start)})")
        return _success(exemplar_data(expression, start, end + 1, session))


def _format_query() -> Response:
    return _success(formatted(required(request.values, "query", _text)))


def _labels(backend: Backend) -> Response:
    params = request.values
    selectors = _selectors(params)
    with backend.session() as session:
        found = label_names(session.outlook.directory, selectors)
    return _limited(found, limit(params, backend.limits.label_values))


def _label_values(backend: Backend, name: str) -> Response:
    params = request.values
    label, selectors = decode_label(name), _selectors(params)
    most = limit(params, backend.limits.label_values)
    with backend.session() as session:
        found = label_values(session.outlook.directory, label, selectors, most)
    return _limited(found, most)


def _series(backend: Backend) -> Response:
    params = request.values
    selectors = _selectors(params)
    if not selectors:
        raise InvalidQueryError("no match[] parameter provided")
    most = limit(params, backend.limits.label_values)
    with backend.session() as session:
        groups = meant(session.outlook.directory, selectors)
        every = ((group, entry) for group in groups for entry in group.entries)
        found = [group.labels(entry) for group, entry in islice(every, most + 1)]
        infos = state_notes(session, derived_entries(groups))
    return _limited(found, most, infos)


def _metadata(backend: Backend) -> Response:
    params = request.values
    most = limit(params, backend.limits.label_values)
    with backend.session() as session:
        return _success(metadata(session.outlook.directory, params.get("metric", ""), most))


def _federate(backend: Backend) -> Response:
    selectors = _selectors(request.values)
    with backend.session() as session:
        return Response(federated(session, selectors), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _selectors(params: Params) -> list[tuple[Matcher, ...]]:
    return [parse_selector(text) for text in params.getlist("match[]")]


def _limited(rows: list[Any], most: int, infos: list[str] | None = None) -> Response:
    warnings = [f"results truncated to {most}"] if len(rows) > most else []
    return _success(rows[:most], infos, warnings)


def _success(data: Any, infos: list[str] | None = None, warnings: list[str] | None = None) -> Response:
    body: dict[str, Any] = {"status": "success", "data": data}
    if infos:
        body["infos"] = infos
    if warnings:
        body["warnings"] = warnings
    return reply(body)


def _text(_: str, text: str) -> str:
    return text
