"""Take people's answers to episodes, for the process that owns the series to act on; this side writes nothing.

Only JSON is taken, so that no page of another origin can post a form here.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import Conflict, NotFound

from collector_processor.errors import InvalidQueryError
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from grafana_datasource.backend import Backend
from grafana_datasource.query import TimeRange, parse_time, stable_id, to_ms
from grafana_datasource.replies import reply, reply_rows

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class FeedbackDoor:
    """What the process that owns the series does with an answer, and with taking one back (its id, by whom)."""

    give: Callable[[Said], Feedback]
    take_back: Callable[[str, str], Feedback]


def feedback_routes(backend: Backend, door: FeedbackDoor | None) -> Blueprint:
    """Return the routes of answers; without a door they are only read."""
    routes = Blueprint("feedback", __name__, url_prefix="/api/v1")

    def route(path: str, name: str, answer: Any, method: str = "POST") -> None:
        routes.add_url_rule(path, name, answer, methods=[method])

    route("/episodes/<text>/feedback", "answer", lambda text: _answer(_open(door), text))
    route("/series/<text>/feedback", "missed", lambda text: _missed(_open(door), backend, text))
    route("/feedback/<text>/undo", "undo", lambda text: _undo(_open(door), text))
    route("/feedback", "history", lambda: _history(backend), "GET")
    return routes


def _answer(door: FeedbackDoor, text: str) -> Response:
    body = _body({"answer", "by"})
    answer = _one_of(body, [each for each in Answer if each is not Answer.MISSED])
    return reply(_row(door.give(Said(answer, _by(body), episode_id=text))), 201)


def _missed(door: FeedbackDoor, backend: Backend, text: str) -> Response:
    body = _body({"answer", "by", "from", "to"})
    answer = _one_of(body, [Answer.MISSED])
    span = TimeRange(parse_time("from", str(body.get("from", ""))), parse_time("to", str(body.get("to", ""))))
    if span.start >= span.end:
        raise InvalidQueryError("from must be before to")
    with backend.session() as session:
        entry = session.outlook.directory.by_stable_id.get(stable_id(text))
    if entry is None:
        raise NotFound(f"no series {text}")
    said = Said(answer, _by(body), series=entry.series, start_unix_nano=span.start, end_unix_nano=span.end)
    return reply(_row(door.give(said)), 201)


def _undo(door: FeedbackDoor, text: str) -> Response:
    return reply(_row(door.take_back(text, _by(_body({"by"})))))


def _history(backend: Backend) -> Response:
    """Return all answers, or those about one `series`, the newest first."""
    with backend.session() as session:
        entries, wanted = session.outlook.directory.entries, request.args.get("series")
        found = session.reader.feedback()
        session.budget.spend(len(found))
        rows = [(entries[f.series].stable_id, f) for f in reversed(found) if f.series in entries]
    answers = [_row(f) | {"series": series} for series, f in rows if wanted in {None, series}]
    return reply_rows(answers, backend.limits.rows)


def _open(door: FeedbackDoor | None) -> FeedbackDoor:
    if door is None:
        raise Conflict("this process only reads the store: answer at the one that `foreband run` started")
    return door


def _body(known: set[str]) -> dict[str, Any]:
    if not request.is_json:
        raise InvalidQueryError("should be a JSON object, with Content-Type application/json")
    body = request.get_json()
    if not isinstance(body, dict) or not set(body) <= known:
        raise InvalidQueryError(f"should be a JSON object with some of {', '.join(sorted(known))}")
    return body


def _one_of(body: dict[str, Any], allowed: list[Answer]) -> Answer:
    if body.get("answer") not in allowed:
        raise InvalidQueryError(f"answer should be {' or '.join(allowed)}, not {body.get('answer')!r:.80}")
    return Answer(body["answer"])


def _by(body: dict[str, Any]) -> str:
    name = body.get("by", "")
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise InvalidQueryError(f"by should be a name of at most {_LONGEST_NAME} characters")
    return name


def _row(feedback: Feedback) -> dict[str, Any]:
    times = ("start", "end", "given", "undone")
    row = asdict(feedback)
    for name in times:
        nanos = row.pop(f"{name}_unix_nano")
        row[name] = None if nanos is None else to_ms(nanos)
    return {"id": row.pop("feedback_id"), "episode": row.pop("episode_id"), "by": row.pop("given_by"), **row}
