"""Keep the contract of the old JSON plugins (simPod's JSON data source, SimpleJSON): dashboards only, no alerting.

A target is a query of the same language as the Prometheus routes; payload fields and ad-hoc filters become label
matchers, never text of a query, so no value can change what a query means.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flask import Blueprint, Response, request

from collector_processor.clock import DAY, MINUTE
from collector_processor.errors import InvalidQueryError, TooLargeError
from collector_processor.telemetry.titles import title
from grafana_datasource.backend import Backend, Session
from grafana_datasource.directory import Entry
from grafana_datasource.episodes import annotation, episodes_between
from grafana_datasource.evaluate import evaluate
from grafana_datasource.families import HELP
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.promql.parser import parse, parse_selector
from grafana_datasource.promql.syntax import with_matchers
from grafana_datasource.promql.vector import as_vector
from grafana_datasource.query import (
    MILLISECOND,
    Grid,
    Limits,
    TimeRange,
    UnsupportedQueryError,
    grid_between,
    parse_time,
)
from grafana_datasource.replies import reply, reply_rows
from grafana_datasource.selection import select
from grafana_datasource.series_names import label_name

_OPERATORS: Mapping[str, MatchOperator] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}
_ANNOTATIONS = "annotations"
_PAYLOAD_LABELS = {"service": "service_name", "series": "series"}


def legacy_routes(backend: Backend) -> Blueprint:
    """Return the routes below `/grafana`; its root answers health checks with and without a trailing slash."""
    routes = Blueprint("legacy", __name__, url_prefix="/grafana")

    def route(path: str, answer: Any) -> None:
        routes.add_url_rule(path, path.strip("/"), answer, methods=["POST"])

    routes.add_url_rule("/", "health", lambda: reply({"status": "ok"}), methods=["GET", "POST"])
    route("/search", lambda: _search(backend))
    route("/metrics", lambda: _metrics(backend))
    route("/metric-payload-options", lambda: _payload_options(backend))
    route("/query", lambda: _query(backend))
    route("/annotations", lambda: _annotations(backend))
    route("/variable", lambda: _variable(backend))
    route("/tag-keys", lambda: _tag_keys(backend))
    route("/tag-values", lambda: _tag_values(backend))
    return routes


def _search(backend: Backend) -> Response:
    wanted = _text(_body(required=False), "target", "").lower()
    with backend.session() as session:
        return reply([name for name in _metric_names(session) if wanted in name.lower()])


def _metrics(backend: Backend) -> Response:
    payloads = [
        {"name": name, "label": name.capitalize(), "type": "select", "placeholder": f"any {name}", "width": 30}
        for name in _PAYLOAD_LABELS
    ]
    with backend.session() as session:
        return reply([{"label": name, "value": name, "payloads": payloads} for name in _metric_names(session)])


def _payload_options(backend: Backend) -> Response:
    body = _body()
    with backend.session() as session:
        return reply(_options(session, _text(body, "name", "")))


def _query(backend: Backend) -> Response:
    body = _body()
    targets = body.get("targets")
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise InvalidQueryError("targets must be a list of objects")
    if len(targets) > backend.limits.targets:
        raise InvalidQueryError(f"{len(targets)} targets, the limit is {backend.limits.targets}")
    span = _range(body)
    grid = _grid(body, span, backend.limits)
    filters = _filters(body)
    answers: list[dict[str, Any]] = []
    most = backend.limits.samples_returned
    with backend.session() as session:
        for target in targets:
            if not target.get("hide"):
                answers += _target(target, filters, grid, span, session)
            if len(answers) * grid.count > most:
                raise TooLargeError(f"more than {most} samples in the answer: take a larger step or fewer targets")
    return reply(answers)


def _annotations(backend: Backend) -> Response:
    body = _body()
    asked = body.get("annotation") or {}
    if not isinstance(asked, dict):
        raise InvalidQueryError("annotation must be an object")
    query = _text(asked, "query", "")
    span = _range(body)
    with backend.session() as session:
        wanted = _meant(session, query) if query else None
        rows = _regions(session, span, wanted)
    told = [{"annotation": asked, "isRegion": True, **row, "tags": row["tags"].split(",")} for row in rows]
    return reply_rows(told, backend.limits.rows)


def _variable(backend: Backend) -> Response:
    payload = _body().get("payload") or {}
    wanted = _text(payload, "target", "") if isinstance(payload, dict) else str(payload)
    with backend.session() as session:
        return reply([{"__text": o["label"], "__value": o["value"]} for o in _options(session, wanted)])


def _tag_keys(backend: Backend) -> Response:
    _body(required=False)
    with backend.session() as session:
        labels = {label for entry in session.outlook.directory.entries.values() for label in entry.own}
    return reply_rows([{"type": "string", "text": label} for label in sorted(labels)], backend.limits.rows)


def _tag_values(backend: Backend) -> Response:
    label = label_name(_text(_body(), "key", ""))
    with backend.session() as session:
        values = {entry.own.get(label, "") for entry in session.outlook.directory.entries.values()} - {""}
    return reply([{"text": value} for value in sorted(values)[: backend.limits.label_values]])


def _target(
    target: dict[str, Any], filters: list[Matcher], grid: Grid, span: TimeRange, session: Session
) -> list[dict[str, Any]]:
    text = _text(target, "target", "")
    reference = _text(target, "refId", "")
    if text == _ANNOTATIONS:
        return [_table(reference, [*_regions(session, span, None)])]
    if not text:
        raise InvalidQueryError("target is missing")
    expression = with_matchers(parse(text), (*_payload_matchers(target), *filters))
    result = as_vector(evaluate(expression, grid, session).result)
    rows = np.where(result.present, result.values, np.nan)
    times = (grid.times() // MILLISECOND).tolist()
    entries = session.outlook.directory.by_stable_id
    return [
        {
            "target": labels.get("__name__", text),
            "refId": reference,
            "title": _legend(labels, entries),
            "tags": labels,
            "datapoints": list(zip(row.tolist(), times, strict=True)),
        }
        for labels, row in zip(result.labels, rows, strict=True)
    ]


def _legend(labels: Mapping[str, str], entries: Mapping[str, Entry]) -> str:
    entry = entries.get(labels.get("series", ""))
    name = labels.get("__name__", "")
    return f"{name} {entry.key.service} {title(entry.key)}".strip() if entry else name


def _table(reference: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = {"time": "time", "timeEnd": "time", "title": "string", "text": "string", "tags": "string"}
    return {
        "type": "table",
        "refId": reference,
        "columns": [{"text": name, "type": kind} for name, kind in kinds.items()],
        "rows": [[row[name] for name in kinds] for row in rows],
    }


def _regions(session: Session, span: TimeRange, wanted: set[int] | None) -> list[dict[str, Any]]:
    until = min(session.now, span.end)
    return [
        annotation(entry, episode, until, session.now) for entry, episode in episodes_between(session, span, wanted)
    ]


def _meant(session: Session, selector: str) -> set[int]:
    groups = select(session.outlook.directory, parse_selector(selector))
    return {entry.series for group in groups for entry in group.entries}


def _options(session: Session, name: str) -> list[dict[str, str]]:
    """Return label and value of every choice for a payload field or variable."""
    entries = session.outlook.directory.entries.values()
    if name in {"metrics", "metric"}:
        return [{"label": text, "value": text} for text in _metric_names(session)]
    if name == "series":
        modelled = [entry for entry in entries if entry.key.statistic.is_modelled]
        shown = sorted((f"{entry.key.service} {title(entry.key)}", entry.stable_id) for entry in modelled)
        return [{"label": text, "value": value} for text, value in shown[: session.limits.label_values]]
    label = {"services": "service_name", "service": "service_name"}.get(name) or label_name(name)
    values = sorted({entry.own.get(label, "") for entry in entries} - {""})
    return [{"label": text, "value": text} for text in values[: session.limits.label_values]]


def _metric_names(session: Session) -> list[str]:
    return [*HELP, *sorted(session.outlook.directory.by_name)][: session.limits.label_values]


def _payload_matchers(target: dict[str, Any]) -> list[Matcher]:
    """Turn payload fields into matchers: a list means any of them, text means exactly that."""
    payload = target.get("payload") or {}
    if not isinstance(payload, dict):
        raise InvalidQueryError("payload must be an object")
    return [_any_of(_PAYLOAD_LABELS.get(name) or label_name(name), value) for name, value in payload.items() if value]


def _any_of(label: str, value: Any) -> Matcher:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidQueryError(f"payload field {label}: text or a list of texts is due")
    if len(texts) == 1 and not _is_alternatives(texts[0]):
        return Matcher(label, "=", texts[0])
    return Matcher(label, "=~", texts[0] if len(texts) == 1 else "|".join(_escaped(text) for text in texts))


def _is_alternatives(text: str) -> bool:
    """Tell a multi-value variable, which the plugin writes as `(a|b)` with each value escaped."""
    return text.startswith("(") and text.endswith(")") and "|" in text


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c == "_" or not c.isascii() else f"\\x{ord(c):02x}" for c in text)


def _filters(body: dict[str, Any]) -> list[Matcher]:
    filters = body.get("filters") or body.get("adhocFilters") or []
    if not isinstance(filters, list) or not all(isinstance(each, dict) for each in filters):
        raise InvalidQueryError("filters must be a list of objects")
    return [_filter(each) for each in filters]


def _filter(each: dict[str, Any]) -> Matcher:
    operator = _OPERATORS.get(_text(each, "operator", "="))
    if operator is None:
        raise UnsupportedQueryError(f"the filter operator {each.get('operator')!r} is not supported")
    return Matcher(label_name(_text(each, "key", "")), operator, _text(each, "value", ""))


def _grid(body: dict[str, Any], span: TimeRange, limits: Limits) -> Grid:
    """Take the panel's own step, made larger where it would give more points than the panel wants."""
    most = min(_number(body, "maxDataPoints", limits.points_per_series, 1), limits.points_per_series)
    asked = _number(body, "intervalMs", MINUTE // MILLISECOND, 1) * MILLISECOND
    step = max(asked, -(-(span.end - span.start) // most))
    return grid_between(-(-span.start // step) * step, max(span.end, -(-span.start // step) * step), step, limits)


def _range(body: dict[str, Any]) -> TimeRange:
    asked = body.get("range")
    if not isinstance(asked, dict):
        raise InvalidQueryError("range is missing")
    start, end = (parse_time(f"range.{name}", _time_text(asked.get(name))) for name in ("from", "to"))
    if start >= end:
        raise InvalidQueryError(f"range.from ({asked['from']}) must be before range.to ({asked['to']})")
    return TimeRange(start, end)


def _time_text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _number(body: dict[str, Any], name: str, default: int, smallest: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not smallest <= value <= 10 * DAY:
        raise InvalidQueryError(f"{name}: {str(value)[:64]} is no number from {smallest} on")
    return int(value)


def _body(*, required: bool = True) -> dict[str, Any]:
    if not required and not request.get_data(cache=True).strip():
        return {}
    body = request.get_json(force=True)
    if not isinstance(body, dict):
        raise InvalidQueryError("the body must be a JSON object")
    return body


def _text(body: Mapping[str, Any], name: str, default: str) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise InvalidQueryError(f"{name} must be text")
    return value
