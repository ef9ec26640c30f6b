"""Answer what is one incident, who was affected, and what likely caused it.

Lists are flat rows, the newest first; times are epoch milliseconds. One incident comes with its episodes and causes.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from collector_processor.clock import DAY
from collector_processor.telemetry.incident import Cause, Incident, Member
from collector_processor.telemetry.severity import Severity
from grafana_datasource.backend import Backend, Session
from grafana_datasource.query import Params, TimeRange, choice, choices, limit, optional, time_range, to_ms, whole
from grafana_datasource.replies import reply

_LAST_OFFSET = 10_000_000


def incident_routes(backend: Backend) -> Blueprint:
    """Return the routes below `/api/v1/incidents`."""
    routes = Blueprint("incidents", __name__, url_prefix="/api/v1/incidents")

    def every() -> Response:
        params, most = request.values, limit(request.values, backend.limits.label_values)
        offset = optional(params, "offset", lambda name, text: whole(name, text, 0, _LAST_OFFSET), 0)
        with backend.session() as session:
            found = _narrowed(incidents_between(session, time_range(params, session.now, DAY)), params)
            return reply([incident_row(each) for each in found[::-1][offset : offset + most]])

    def one(text: str) -> Response:
        with backend.session() as session:
            found = session.reader.incident(text)
            if found is None:
                raise NotFound(f"no incident {text:.80}")
            return reply(described(session, found))

    for path, name, answer in (("", "every", every), ("/<text>", "one", one)):
        routes.add_url_rule(path, name, answer, methods=["GET", "POST"])
    return routes


def incidents_between(session: Session, span: TimeRange) -> list[Incident]:
    """Return incidents that overlap `span`, ascending by start; those that another took over are left out."""
    found = session.reader.incidents(span.start, span.end)
    session.budget.spend(sum(len(each.members) for each in found))
    return [each for each in found if not each.merged_into]


def incident_regions(session: Session, span: TimeRange, service: str) -> list[dict[str, Any]]:
    """Return incidents as Grafana's annotation regions, those of one service or of all; an open one lasts until now."""
    until = min(session.now, span.end)
    found = [each for each in incidents_between(session, span) if not service or service in each.entities]
    return [_region(each, until if each.end_unix_nano is None else each.end_unix_nano) for each in found]


def _region(incident: Incident, end: int) -> dict[str, Any]:
    tags = ["incident", incident.severity.value, *(["open"] if incident.is_open else [])]
    return {
        "id": incident.incident_id,
        "time": to_ms(incident.start_unix_nano),
        "timeEnd": to_ms(max(end, incident.start_unix_nano)),
        "title": f"Incident: {', '.join(incident.entities)}",
        "text": incident.sentence,
        "tags": ",".join(tags),
    }


def incident_row(incident: Incident) -> dict[str, Any]:
    """Return one row of the table of incidents; `end` is null while it is open, `cause` empty where none was found."""
    cause = incident.cause
    return {
        "id": incident.incident_id,
        "start": to_ms(incident.start_unix_nano),
        "opened": to_ms(incident.opened_unix_nano),
        "end": None if incident.end_unix_nano is None else to_ms(incident.end_unix_nano),
        "severity": incident.severity.value,
        "services": ", ".join(incident.entities),
        "episodes": len(incident.members) + incident.more,
        "reopened": incident.reopened,
        "cause": cause.entity if cause else "",
        "cause_score": cause.score if cause else None,
        "evidence": cause.evidence[0].text if cause and cause.evidence else "",
        "no_cause": incident.no_cause,
        "explanation": incident.sentence,
        "merged_into": incident.merged_into,
    }


def described(session: Session, incident: Incident) -> dict[str, Any]:
    """Return one incident with its causes, the likeliest first, and its episodes, the first ones first."""
    session.budget.spend(len(incident.members))
    members = sorted(incident.members, key=lambda each: (each.start_unix_nano, each.episode_id))
    return incident_row(incident) | {
        "causes": [_cause(cause) for cause in incident.causes],
        "members": [_member(member) for member in members],
        "more": incident.more,
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "service": cause.entity,
        "is_peer": cause.is_peer,
        "score": cause.score,
        "series": cause.series,
        "evidence": [asdict(each) for each in cause.evidence],
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "episode": member.episode_id,
        "series": member.series,
        "service": member.entity,
        "metric": member.metric,
        "statistic": member.statistic,
        "title": member.title,
        "kind": member.kind,
        "severity": member.severity,
        "direction": member.direction,
        "peak_score": member.peak_score,
        "start": to_ms(member.start_unix_nano),
        "end": None if member.end_unix_nano is None else to_ms(member.end_unix_nano),
    }


def _narrowed(found: list[Incident], params: Params) -> list[Incident]:
    """Keep incidents of the severities asked for, of one service, and with `state=open` those that go on."""
    wanted = choices(params, "severity", [each.value for each in Severity])
    is_open = choice(params, "state", ("all", "open"), "all") == "open"
    service = params.get("service", "")
    return [
        each
        for each in found
        if (each.is_open or not is_open)
        and (not wanted or each.severity in wanted)
        and (not service or service in each.entities)
    ]
