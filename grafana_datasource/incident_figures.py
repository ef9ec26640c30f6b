"""Which incidents are open, as figures of now: what an alert rule asks that wants one alert for each."""

from collections.abc import Sequence

from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.severity import Severity
from grafana_datasource.backend import Session
from grafana_datasource.figures import Figure, Figures
from grafana_datasource.matching import Matcher

HELP = {
    "foreband_incident": "1 while an incident is open, for each service or host that feels it.",
    "foreband_incident_cause": "Share of the blame of each suspect of an open incident.",
    "foreband_incident_severity": "How urgent an open incident is by now: 1 info, 2 warning, 3 critical.",
}

_LEVELS = {each: float(level) for level, each in enumerate(Severity, 1)}
_MOST_SERVICES = 50


def incident_figures() -> Figures:
    """Return where these figures come from."""
    return Figures(HELP, _read)


def _read(session: Session, _matchers: Sequence[Matcher]) -> list[Figure]:
    found = session.reader.incidents(session.now, session.now + 1)
    return [figure for incident in found if incident.is_open for figure in _figures(incident)]


def _figures(incident: Incident) -> list[Figure]:
    name = {"incident": incident.incident_id}
    services = incident.entities[:_MOST_SERVICES]
    return [
        *(Figure("foreband_incident", {**name, "service_name": service}, 1.0) for service in services),
        *(Figure("foreband_incident_cause", {**name, "cause": each.entity}, each.score) for each in incident.causes),
        Figure("foreband_incident_severity", name, _LEVELS[incident.severity]),
    ]
