"""Speak the part of the Prometheus HTTP API that Grafana's built-in data source uses.

Every route takes GET and POST, with parameters from the query string and the form together. Future times are
answered with the forecast.
"""

from typing import Any

import numpy as np
import orjson
from flask import Blueprint, Response, request

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.errors import InvalidQueryError
from grafana_datasource.backend import Backend, Session
from grafana_datasource.directory import Entry
from grafana_datasource.evaluate import Vector, evaluate, state_notes
from grafana_datasource.families import HELP, STORED
from grafana_datasource.promql import parse, parse_selector
from grafana_datasource.query import MILLISECOND, Grid, Params, limit, optional, parse_time, range_grid, required
from grafana_datasource.replies import dump, reply
from grafana_datasource.selection import Picked, select
from grafana_datasource.series_names import decode_label

API_VERSION = "2.55.0"
"""The Prometheus version whose API this is; without `features`, so that nobody takes it for a Mimir."""

_METHODS = ["GET", "POST"]


def prometheus_routes(backend: Backend) -> Blueprint:
    """Return the routes below `/prom`."""
    routes = Blueprint("prometheus", __name__, url_prefix="/prom")

    def route(path: str, answer: Any) -> None:
        routes.add_url_rule(path, path.replace("/", "_").replace(".", "_"), answer, methods=_METHODS)

    route("/api/v1/query", lambda: _query(backend))
    route("/api/v1/query_range", lambda: _query_range(backend))
    route("/api/v1/labels", lambda: _labels(backend))
    route("/api/v1/label/<name>/values", lambda name: _label_values(backend, name))
    route("/api/v1/series", lambda: _series(backend))
    route("/api/v1/metadata", lambda: _metadata(backend))
    route("/api/v1/rules", lambda: _success({"groups": []}))
    route("/api/v1/alerts", lambda: _success({"alerts": []}))
    route("/api/v1/query_exemplars", lambda: _success([]))
    route("/api/v1/status/buildinfo", _buildinfo)
    route("/-/healthy", lambda: Response("Foreband is healthy.\n", mimetype="text/plain"))
    return routes


def _query(backend: Backend) -> Response:
    params = request.values
    expression = parse(required(params, "query", _text))
    with backend.session() as session:
        grid = Grid.instant(optional(params, "time", parse_time, session.now))
        answer = evaluate(expression, grid, session)
    moment = _seconds(grid.start)
    if not isinstance(answer.result, Vector):
        return _success({"resultType": "scalar", "result": [moment, _sample(answer.result)]})
    result = [
        {"metric": labels, "value": [moment, _sample(value)]}
        for labels, value in zip(answer.result.labels, answer.result.values[:, 0].tolist(), strict=True)
    ]
    return _success({"resultType": "vector", "result": result}, answer.infos)


def _query_range(backend: Backend) -> Response:
    params = request.values
    expression = parse(required(params, "query", _text))
    grid = range_grid(params, backend.limits)
    with backend.session() as session:
        answer = evaluate(expression, grid, session)
    vector = answer.result
    if not isinstance(vector, Vector):
        vector = Vector([{}], np.full((1, grid.count), vector))
    moments = np.array([_seconds(time) for time in grid.times().tolist()])
    result = [
        {"metric": labels, "values": _pairs(moments, values)}
        for labels, values in zip(vector.labels, vector.values, strict=True)
    ]
    return _success({"resultType": "matrix", "result": result}, answer.infos)


def _labels(backend: Backend) -> Response:
    with backend.session() as session:
        found = _label_names(_matched(request.values, session))
    return _limited(sorted(found), limit(request.values, backend.limits.label_values))


def _label_values(backend: Backend, name: str) -> Response:
    label = decode_label(name)
    with backend.session() as session:
        found: set[str] = set()
        for group in _matched(request.values, session):
            if label == "__name__":
                found.update(group.labels(entry)["__name__"] for entry in group.entries[:1])
            else:
                found.update(group.labels(entry).get(label, "") for entry in group.entries)
    return _limited(sorted(found - {""}), limit(request.values, backend.limits.label_values))


def _series(backend: Backend) -> Response:
    if not request.values.getlist("match[]"):
        raise InvalidQueryError("match[] is missing")
    most = limit(request.values, backend.limits.label_values)
    with backend.session() as session:
        groups = _matched(request.values, session)
        found = [group.labels(entry) for group in groups for entry in group.entries[: most + 1]]
        infos = state_notes(session, _derived_entries(groups))
    return _limited(found, most, infos)


def _metadata(backend: Backend) -> Response:
    most = limit(request.values, backend.limits.label_values)
    wanted = request.values.get("metric", "")
    with backend.session() as session:
        metadata = {name: [_described("gauge", text, "")] for name, text in HELP.items()}
        for name, entries in session.outlook.directory.by_name.items():
            key = entries[0].key
            metadata[name] = [_described("gauge" if key.statistic.is_modelled else "counter", key.metric, key.unit)]
    if wanted:
        metadata = {name: rows for name, rows in metadata.items() if name == wanted}
    return _success(dict(sorted(metadata.items())[:most]))


def _buildinfo() -> Response:
    empty = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
    return _success({"version": API_VERSION, **empty})


def _matched(params: Params, session: Session) -> list[Picked]:
    """Return what any of the `match[]` selectors means, everything where there is none; each series once."""
    selectors = [parse_selector(text) for text in params.getlist("match[]")] or [()]
    groups: dict[int, Picked] = {}
    merged: dict[tuple[int, str], dict[int, Entry]] = {}
    for matchers in selectors:
        for group in select(session.outlook.directory, matchers):
            name = group.entries[0].name if group.family is STORED else ""
            merged.setdefault((id(group.family), name), {}).update({e.series: e for e in group.entries})
            groups[id(group.family)] = group
    return [
        Picked(groups[family].family, [entries[series] for series in sorted(entries)])
        for (family, _), entries in merged.items()
    ]


def _label_names(groups: list[Picked]) -> set[str]:
    """Collect label names, looking at each series once however many metrics are derived from it."""
    found = {name for group in groups for name in group.labels(group.entries[0])}
    for group in groups:
        if group.family is STORED:
            found.update(*(entry.labels for entry in group.entries))
    return found.union(*(entry.own for entry in _derived_entries(groups)))


def _derived_entries(groups: list[Picked]) -> list[Entry]:
    entries = {entry.series: entry for group in groups if group.family is not STORED for entry in group.entries}
    return list(entries.values())


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


def _pairs(moments: Any, values: Any) -> orjson.Fragment:
    """Encode the samples of one series at once, so that Python objects of only one series exist at a time."""
    present = ~np.isnan(values)
    pairs = zip(moments[present].tolist(), map(_sample, values[present].tolist()), strict=True)
    return orjson.Fragment(dump(list(pairs)))


def _sample(value: float) -> str:
    """Write a sample value as Prometheus does: always text."""
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    return "NaN" if text == "nan" else text.removesuffix(".0")


def _seconds(unix_nano: int) -> float:
    return unix_nano // MILLISECOND * MILLISECOND / NANOS_PER_SECOND


def _described(kind: str, text: str, unit: str) -> dict[str, str]:
    return {"type": kind, "help": text, "unit": unit}


def _text(_: str, text: str) -> str:
    return text
