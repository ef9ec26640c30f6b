"""An incident: episodes that belong together, and a ranking of what may have caused them."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

from collector_processor.clock import MINUTE
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.series import AttributeValue, SeriesKey
from collector_processor.telemetry.severity import Severity, severity

MOST_MEMBERS = 200
"""Members of an incident that are kept by name; further ones are counted."""

MOST_CAUSES = 5

TOGETHER = "together"
"""Kind of a member that is no episode: a series within its band, far out at the same time as many of its entity."""

_ONE_WAVE = 15 * MINUTE  # onsets further apart are of two

NO_SERVICE = "unknown_service"
_PLACES = ("host.name", "k8s.node.name", "k8s.pod.name", "container.name", "host.id", "service.instance.id")


@dataclass(frozen=True, slots=True)
class Member:
    """One episode of an incident, with what is needed to tell of it when its series is forgotten.

    `series` is the stable id, `entity` whose series it is. `severity` is as of its newest point. `end_unix_nano` is
    None while the episode is open. `is_whole` says that it is the silence of everything the entity has.
    """

    episode_id: str
    series: str
    entity: str
    metric: str
    statistic: str
    title: str
    kind: str
    severity: str
    direction: int
    peak_score: float
    start_unix_nano: int
    end_unix_nano: int | None
    is_whole: bool = False

    @classmethod
    def of(cls, key: SeriesKey, title: str, episode: Episode) -> Self:
        """Describe an episode of a series, whose `title` names it within its entity."""
        return cls(
            episode_id=episode.episode_id,
            series=key.stable_id,
            entity=entity_of(key),
            metric=key.metric,
            statistic=key.statistic.value,
            title=title,
            kind=episode.kind,
            severity=severity(key, episode, episode.last_unix_nano).value,
            direction=episode.direction,
            peak_score=episode.peak_score,
            start_unix_nano=episode.start_unix_nano,
            end_unix_nano=episode.end_unix_nano,
            is_whole=episode.is_of_service,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason to suspect a cause: a word for its `kind`, a phrase in plain English, and how strong it is."""

    kind: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Cause:
    """A suspect: a service, a host, or something called that shows no spans of its own (`is_peer`).

    `score` is a share: all suspects of an incident, named or not, add up to 1. `series` is the stable id of the series
    that speaks loudest against it, empty where it has none.
    """

    entity: str
    is_peer: bool
    score: float
    series: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """Opened when episodes agree, held while one of them is open, closed with the last, reopened soon after.

    `start_unix_nano` is the first onset, `opened_unix_nano` when enough of them agreed. `end_unix_nano` is None while
    it is open. `members` are the first ones, `more` counts the rest. `causes` is a ranking, the likeliest first; where
    it is empty `no_cause` says why. `merged_into` names the older incident that took this one's episodes over.
    """

    incident_id: str
    start_unix_nano: int
    opened_unix_nano: int
    end_unix_nano: int | None
    entities: tuple[str, ...]
    members: tuple[Member, ...]
    more: int = 0
    reopened: int = 0
    causes: tuple[Cause, ...] = ()
    no_cause: str = ""
    sentence: str = ""
    merged_into: str = ""

    @property
    def is_open(self) -> bool:
        """Whether an episode of it still is."""
        return self.end_unix_nano is None

    @property
    def onset_unix_nano(self) -> int:
        """Return when the largest wave of its episodes began; a straggler before it may be chance.

        So may a series that was far out before, within its band.
        """
        starts = sorted(member.start_unix_nano for member in self.members if member.kind != TOGETHER)
        waves = [[start] for start in starts[:1]]
        for before, start in pairwise(starts):
            if start - before > _ONE_WAVE:
                waves.append([])
            waves[-1].append(start)
        return max(waves, key=len)[0] if waves else self.start_unix_nano

    @property
    def severity(self) -> Severity:
        """Return the highest severity among its members."""
        order = list(Severity)
        return max((Severity(member.severity) for member in self.members), key=order.index)

    @property
    def cause(self) -> Cause | None:
        """Return the likeliest cause, None where none was found."""
        return self.causes[0] if self.causes else None

    def fields(self) -> dict[str, Any]:
        """Return all of it as plain values; `from_fields` gives back an equal incident."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Incident":
        """Read what `fields` gave, also through JSON."""
        causes = tuple(
            Cause(**{**cause, "evidence": tuple(Evidence(**each) for each in cause["evidence"])})
            for cause in fields["causes"]
        )
        members = tuple(_member(each) for each in fields["members"])
        return cls(**{**fields, "entities": tuple(fields["entities"]), "members": members, "causes": causes})


def entity_of(key: SeriesKey) -> str:
    """Return whose series this is: its service, else the narrowest place its resource names."""
    if key.service != NO_SERVICE:
        return key.service
    resource = dict(key.resource)
    return next((name for place in _PLACES if (name := _text(resource.get(place)))), key.service)


def _member(fields: dict[str, Any]) -> Member:
    peak = fields["peak_score"]
    return Member(**{**fields, "peak_score": float("nan") if peak is None else peak})  # JSON has no NaN


def _text(value: AttributeValue) -> str:
    return value if isinstance(value, str) else ""
