"""Speak the Prometheus HTTP API that Grafana's built-in data source, promtool and vmalert use.

Every route takes GET and POST, with parameters from the query string and the form together. Future times are
answered with the forecast.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from flask import Blueprint, Response, request

from collector_processor.clock import HOUR
from collector_processor.errors import InvalidQueryError
from grafana_datasource.backend import Backend, Session
from grafana_datasource.discovery import derived_entries, label_names, label_values, meant, metadata
from grafana_datasource.evaluate import Asked, evaluate, state_notes
from grafana_datasource.exemplars import exemplar_data
from grafana_datasource.federation import CONTENT_TYPE, federated
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.parser import formatted, parse, parse_selector
from grafana_datasource.promql.samples import LOOKBACK
from grafana_datasource.promql.syntax import Range, Subquery, Text
from grafana_datasource.promql.vector import as_vector
from grafana_datasource.query import (
    Grid,
    Params,
    limit,
    optional,
    parse_step,
    parse_time,
    range_grid,
    required,
    timeout,
    whole,
)
from grafana_datasource.replies import reply
from grafana_datasource.results import instant_data, range_data
from grafana_datasource.series_names import decode_label
from grafana_datasource.standing import FIXED, cardinality

_MOST_LISTED = 10
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
    route("/api/v1/status/tsdb", lambda: _cardinality(backend))
    for path, data in FIXED.items():
        route(f"/api/v1/{path}", lambda data=data: _success(data))
    route("/federate", lambda: _federate(backend))
    route("/", lambda: Response("Foreband speaks the Prometheus HTTP API below this path.\n", mimetype="text/plain"))
    route("/-/healthy", lambda: Response("Foreband is healthy.\n", mimetype="text/plain"))
    route("/-/ready", lambda: Response("Foreband is ready.\n", mimetype="text/plain"))
    return routes


def _query(backend: Backend) -> Response:
    params = request.values
    expression, asked = parse(required(params, "query", _text)), _asked(params)
    with backend.session(timeout(params)) as session:
        grid = Grid.instant(optional(params, "time", parse_time, session.now))
        answer = evaluate(expression, grid, session, asked)
        data = instant_data(answer.result, grid.start) | _stats(params, session)
    return _success(data, answer.infos, answer.warnings)


def _query_range(backend: Backend) -> Response:
    params = request.values
    expression, asked = parse(required(params, "query", _text)), _asked(params)
    grid, end = range_grid(params, backend.limits), required(params, "end", parse_time)
    if isinstance(expression, Text | Range | Subquery):
        kind = "string" if isinstance(expression, Text) else "range vector"
        raise InvalidQueryError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
    with backend.session(timeout(params)) as session:
        answer = evaluate(expression, grid, session, replace(asked, end=end))
        data = range_data(as_vector(answer.result), grid.times()) | _stats(params, session)
    return _success(data, answer.infos, answer.warnings)


def _asked(params: Params) -> Asked:
    most = optional(params, "limit", lambda name, text: whole(name, text, 0, 2**31), 0)
    return Asked(optional(params, "lookback_delta", parse_step, LOOKBACK), most)


def _stats(params: Params, session: Session) -> dict[str, Any]:
    """Return what the query cost, where that is asked for."""
    if not params.get("stats"):
        return {}
    seconds, samples = session.budget.seconds, session.budget.samples
    timings = {"evalTotalTime": seconds, "execTotalTime": seconds}
    return {"stats": {"timings": timings, "samples": {"totalQueryableSamples": samples, "peakSamples": samples}}}


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


def _cardinality(backend: Backend) -> Response:
    most = limit(request.values, backend.limits.label_values) if request.values.get("limit") else _MOST_LISTED
    with backend.session() as session:
        return _success(cardinality(session.outlook.directory, most))


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
