"""What is answered about incidents: who was affected, and what likely caused it."""

from pydantic import Field

from grafana_datasource.openapi.shapes.base import Direction, Identity, Milliseconds, Number, Severity, Shape


class IncidentRow(Shape):
    """Episodes that belong together; `end` is null while one is open, `cause` empty where none was found."""

    id: str
    start: Milliseconds
    opened: Milliseconds = Field(description="when enough episodes agreed")
    end: Milliseconds | None
    severity: Severity
    services: str = Field(description="services and hosts that feel it, separated by commas")
    episodes: int
    reopened: int
    cause: str
    cause_score: Number = Field(description="share of the blame")
    evidence: str
    no_cause: str = Field(description="why no cause is named")
    explanation: str
    merged_into: str = Field(description="id of the incident that took this one over")


class CauseEvidence(Shape):
    """One reason to suspect a cause."""

    kind: str
    text: str
    score: float


class IncidentCause(Shape):
    """A suspect, and what speaks against it."""

    service: str
    is_peer: bool = Field(description="it is called and shows no spans of its own")
    score: float
    series: str
    evidence: list[CauseEvidence]


class IncidentMember(Identity):
    """An episode of an incident."""

    episode: str
    title: str
    kind: str
    severity: Severity
    direction: Direction
    peak_score: Number
    start: Milliseconds
    end: Milliseconds | None


class Incident(IncidentRow):
    """An incident with its causes, the likeliest first, and its episodes."""

    causes: list[IncidentCause]
    members: list[IncidentMember]
    more: int = Field(description="episodes beyond those that are listed")
