"""Answer in flat JSON rows: what Grafana's Infinity data source, scripts and the built-in page read.

Long rows carry one number and otherwise only strings that name the series, ascending by time: that is what alert
evaluation needs. Times are epoch milliseconds, flags are 0 and 1, a number that does not exist is null or left out.
"""

from typing import Any

import numpy as np
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from collector_processor.clock import DAY, MINUTE
from collector_processor.errors import TooLargeError
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.severity import Severity, severity
from grafana_datasource.backend import Backend, Session
from grafana_datasource.capacity import Capacity, capacity_row
from grafana_datasource.catalog import catalog_row
from grafana_datasource.chosen import chosen, chosen_one, identity, is_narrowed, open_episodes
from grafana_datasource.directory import Entry
from grafana_datasource.episodes import annotation, episode_row, episodes_between, explained_row
from grafana_datasource.exemplars import traces_of
from grafana_datasource.families import DERIVED, Family
from grafana_datasource.hooks.annotations import alerts_between
from grafana_datasource.incidents import incident_regions
from grafana_datasource.proof import SelfProof
from grafana_datasource.query import (
    MILLISECOND,
    Grid,
    Limits,
    Params,
    choice,
    choices,
    grid_between,
    limit,
    max_points,
    optional,
    parse_step,
    time_range,
)
from grafana_datasource.replies import reply, reply_rows
from grafana_datasource.view import LIVE_FOR, View, aligned, calibrated_band, timeline

KINDS = {
    "value": "foreband_actual",
    "yhat": "foreband_yhat",
    "lower": "foreband_lower",
    "upper": "foreband_upper",
    "score": "foreband_score",
    "anomaly": "foreband_anomaly",
    "state": "foreband_state",
}
"""Kinds of long rows, and the derived metric each is."""

_WHOLE = {"foreband_anomaly", "foreband_state"}
_WIDTHS = [f"{width:g}" for width in INTERVAL_WIDTHS]
_METHODS = ["GET", "POST"]


def row_routes(backend: Backend, proof: SelfProof, capacity: Capacity) -> Blueprint:
    """Return the routes below `/api/v1`."""
    routes = Blueprint("rows", __name__, url_prefix="/api/v1")

    def route(path: str, answer: Any) -> None:
        routes.add_url_rule(path, path.replace("/", "_"), answer, methods=_METHODS)

    route("/series", lambda: _long_rows(backend))
    route("/series/<text>", lambda text: _one(backend, text))
    route("/series/<text>/forecast", lambda text: _wide_rows(backend, text))
    route("/anomalies/current", lambda: _current(backend))
    route("/annotations", lambda: _annotations(backend, capacity))
    route("/episodes", lambda: _episodes(backend))
    route("/episodes/<text>", lambda text: _episode(backend, text))
    route("/services", lambda: _services(backend))
    route("/metrics", lambda: _metrics(backend))
    route("/proof", lambda: _proof(backend, proof))
    route("/capacity", lambda: _capacity(backend, capacity))
    return routes


def _long_rows(backend: Backend) -> Response:
    params = request.values
    family = _family(params)
    with backend.session() as session:
        grid = _row_grid(params, session)
        entries = {entry.series: entry for entry in chosen(params, session)}
        if len(entries) > session.limits.series:
            raise TooLargeError(f"{len(entries)} series match, the limit is {session.limits.series}: name fewer")
        series = np.array(sorted(entries), np.int32)
        columns = [
            (view, family.values(session.outlook, view))
            for view in aligned(session.reader, session.outlook, series, grid.times(), session.now, session.budget)
        ]
    return reply(_ascending(columns, entries, backend.limits, int if family.metric in _WHOLE else float))


def _wide_rows(backend: Backend, text: str) -> Response:
    params = request.values
    level = _WIDTHS.index(choice(params, "interval_width", _WIDTHS, "0.95"))
    most = max_points(params, backend.limits)
    with backend.session() as session:
        entry = chosen_one(session, text)
        span = time_range(params, session.now, DAY)
        view = timeline(session.reader, session.outlook, entry.series, span, session.budget, most)
        lower, upper = calibrated_band(session.outlook, view, level)
    columns: dict[str, list[Any]] = {
        "time": (view.time_unix_nano // MILLISECOND).tolist(),
        "actual": view.value[0].tolist(),
        "yhat": view.yhat[0].tolist(),
        "lower": view.lower[0].tolist(),
        "upper": view.upper[0].tolist(),
        "calibrated_lower": lower[0].tolist(),
        "calibrated_upper": upper[0].tolist(),
        "score": view.score[0].tolist(),
        "anomaly": _whole_or_null(view.anomaly[0]),
        "hindsight": _whole_or_null(view.hindsight[0]),
    }
    return reply([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _one(backend: Backend, text: str) -> Response:
    with backend.session() as session:
        return reply(catalog_row(session, chosen_one(session, text), open_episodes(session)))


def _current(backend: Backend) -> Response:
    """Return every live series with 1 while an episode of it is open and not muted, else 0."""
    with backend.session() as session:
        opened = {series for series, episode in open_episodes(session).items() if not episode.is_muted(session.now)}
        live = session.outlook.last_time > session.now - LIVE_FOR
        entries = [entry for entry in chosen(request.values, session) if live[entry.series]]
        rows = [{**identity(entry), "anomalous": int(entry.series in opened)} for entry in entries]
        return reply_rows(rows, session.limits.rows)


def _annotations(backend: Backend, capacity: Capacity) -> Response:
    with backend.session() as session:
        span = time_range(request.values, session.now, DAY)
        until = min(session.now, span.end)
        wanted = _wanted(request.values, session)
        found = episodes_between(session, span, wanted)
        told = [annotation(entry, episode, until, session.now) for entry, episode in found]
        entries = session.outlook.directory.entries
        told += alerts_between(session, span, None if wanted is None else {entries[i].stable_id for i in wanted})
        if wanted is None or request.values.get("service"):
            told += incident_regions(session, span, request.values.get("service", ""))
        if span.end > session.now:
            told += capacity.annotations(session, chosen(request.values, session), session.now, span.end)
        return reply_rows(sorted(told, key=lambda row: int(row["time"])), session.limits.rows)


def _episodes(backend: Backend) -> Response:
    most = limit(request.values, backend.limits.label_values)
    with backend.session() as session:
        span = time_range(request.values, session.now, DAY)
        found = episodes_between(session, span, _wanted(request.values, session))
        shown = _narrowed(session, found, request.values)[-most:]
        traces = traces_of(session, shown)
        rows = zip(shown, traces, strict=True)
        return reply([episode_row(*each, session.now) | {"traces": ids} for each, ids in rows])


def _episode(backend: Backend, text: str) -> Response:
    with backend.session() as session:
        episode = session.reader.episode(text)
        entry = None if episode is None else session.outlook.directory.entries.get(episode.series)
        if episode is None or entry is None:
            raise NotFound(f"no episode {text:.80}")
        return reply(explained_row(session, entry, episode))


def _services(backend: Backend) -> Response:
    with backend.session() as session:
        return reply_rows(_options({entry.key.service for entry in chosen(Params(), session)}), session.limits.rows)


def _metrics(backend: Backend) -> Response:
    with backend.session() as session:
        names = {entry.key.metric for entry in chosen(request.values, session)}
        return reply_rows(_options(names), session.limits.rows)


def _capacity(backend: Backend, capacity: Capacity) -> Response:
    """Return the series that have a bound, the likeliest breach first."""
    with backend.session() as session:
        found = capacity.found(session, chosen(request.values, session))
        rows = [{**identity(entry), **capacity_row(bound, seen)} for entry, bound, seen in found]
    return reply_rows(sorted(rows, key=lambda row: -row["probability"]), backend.limits.rows)


def _proof(backend: Backend, proof: SelfProof) -> Response:
    with backend.session() as session:
        return reply(proof.rows(session))


def _ascending(
    columns: list[tuple[View, Float64]], entries: dict[int, Entry], limits: Limits, number: type[int | float]
) -> list[dict[str, Any]]:
    """Flatten to rows, ascending by time, then series."""
    found = sum(int(np.isfinite(values).sum()) for _, values in columns)
    if found > limits.rows:
        raise TooLargeError(f"{found} rows in the answer, the limit is {limits.rows}: name fewer series or max_points")
    rows = []
    for view, values in columns:
        times = (view.time_unix_nano // MILLISECOND).tolist()
        for i, k in np.argwhere(np.isfinite(values)).tolist():
            rows.append((times[k], int(view.series[i]), number(values[i, k])))
    rows.sort()
    identities = {series: identity(entry) for series, entry in entries.items()}
    return [{"time": time, **identities[series], "value": value} for time, series, value in rows]


def _whole_or_null(column: Float64) -> list[int | None]:
    return [None if absent else int(flag) for flag, absent in zip(column, np.isnan(column), strict=True)]


def _row_grid(params: Params, session: Session) -> Grid:
    """Return times on whole steps, so that refreshes of the same panel ask for the same ones."""
    span = time_range(params, session.now)
    most = max_points(params, session.limits, 500)
    step = optional(params, "step", parse_step, max(MINUTE, -(-(span.end - span.start) // most)))
    first = -(-span.start // step) * step
    return grid_between(first, max(first, span.end - 1), step, session.limits)


def _family(params: Params) -> Family:
    """Return the derived metric that `kind`, `band` and `interval_width` name."""
    metric = KINDS[choice(params, "kind", KINDS, "value")]
    if metric not in {"foreband_lower", "foreband_upper"}:
        return next(family for family in DERIVED if family.metric == metric)
    band = choice(params, "band", ("alert", "calibrated", "prophet"), "alert")
    wanted = {("band", band)}
    if band != "alert":
        wanted.add(("interval_width", choice(params, "interval_width", _WIDTHS, "0.95")))
    return next(family for family in DERIVED if family.metric == metric and set(family.labels) == wanted)


def _narrowed(session: Session, found: list[tuple[Entry, Episode]], params: Params) -> list[tuple[Entry, Episode]]:
    """Keep episodes of the severities asked for, separated by commas, and with `state=open` those that go on."""
    wanted = choices(params, "severity", [each.value for each in Severity])
    is_open = choice(params, "state", ("all", "open"), "all") == "open"
    return [
        (entry, episode)
        for entry, episode in found
        if (episode.is_open or not is_open) and (not wanted or severity(entry.key, episode, session.now) in wanted)
    ]


def _wanted(params: Params, session: Session) -> set[int] | None:
    return {entry.series for entry in chosen(params, session)} if is_narrowed(params) else None


def _options(texts: set[str]) -> list[dict[str, str]]:
    return [{"__text": text, "__value": text} for text in sorted(texts)]
