"""Hold the incidents Foreband makes of a server's metrics against the labelled ones.

The product's own rooms find them: what a replay judges is left as the fast path leaves it (`pipeline.reports`), and
taken as by whoever keeps incidents, on the clock of the points. By the start of an incident, as for episodes: it has
found a label when it was opened from two steps before it to three after it. One opened outside all of them is false,
a further one on the same label is a fragment.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from collector_processor.clock import DAY
from collector_processor.detect.judge import Judgement
from collector_processor.evaluation.entities import LabelledEntity
from collector_processor.evaluation.evaluate import code_digest
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.incidents.correlate import CorrelationSettings, Correlator
from collector_processor.incidents.swarm import Swarms
from collector_processor.incidents.topology import Topology
from collector_processor.pipeline.reports import Reports
from collector_processor.telemetry.incident import Incident, Member
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.service_graph import ServiceGraph
from collector_processor.telemetry.titles import local_title

_ALONE = Topology(ServiceGraph())
_CODE = ("incidents", "pipeline")


@dataclass(frozen=True, slots=True)
class IncidentCounts:
    """Of one server: labels, how many were found and by how many incidents, how many incidents were false, in weeks.

    `overlaps` are, of each label that was found, the metrics it shares with the incident over those of either.
    `alerts` are episodes of single metrics, what there would be without incidents.
    """

    labels: int
    found: int
    fragments: int
    false: int
    weeks: float
    overlaps: tuple[float, ...]
    alerts: int


def count_incidents(entity: LabelledEntity, incidents: Sequence[Incident]) -> IncidentCounts:
    """Hold incidents against labels; those opened before the server's evaluation begins count for nothing."""
    overlaps, found, false, fragments, alerts = list[float](), set[int](), 0, 0, 0
    for incident in sorted(incidents, key=lambda each: each.opened_unix_nano):
        if incident.opened_unix_nano < entity.eval_from:
            continue
        alerts += len(incident.members)
        label = _label_of(entity, incident)
        if label is None:
            false += 1
            continue
        fragments += 1
        if label not in found:
            found.add(label)
            wanted, members = entity.incidents[label].metrics, {member.metric for member in incident.members}
            overlaps.append(len(wanted & members) / len(wanted | members))
    weeks = (int(entity.time_unix_nano[-1]) - entity.eval_from) / (7 * DAY)
    return IncidentCounts(len(entity.incidents), len(found), fragments, false, weeks, tuple(overlaps), alerts)


def found_incidents(
    entity: LabelledEntity,
    settings: ReplaySettings,
    correlation: CorrelationSettings,
    work: Path,
) -> list[Incident]:
    """Replay a server and return its incidents; what is in `work` is not replayed again."""
    text = f"{entity.name} {settings!r} {correlation!r} {code_digest(_CODE)}"
    digest = blake2b(text.encode() + entity.value.tobytes() + entity.time_unix_nano.tobytes(), digest_size=16)
    place = work / f"{digest.hexdigest()}.incidents.json"
    if place.is_file():
        return [Incident.from_fields(fields) for fields in orjson.loads(place.read_bytes())]
    keeper = _Keeper(entity, correlation)
    replay(entity.series, settings, keeper.hear)
    work.mkdir(parents=True, exist_ok=True)
    place.write_bytes(orjson.dumps([incident.fields() for incident in keeper.incidents()]))
    return keeper.incidents()


class _Keeper:
    """What keeps incidents, on the clock of the points."""

    def __init__(self, entity: LabelledEntity, correlation: CorrelationSettings) -> None:
        self._metrics = entity.metrics
        self._reports, self._swarms = Reports(), Swarms()
        self._correlator = Correlator(correlation)
        self._stored: dict[str, Incident] = {}
        self._keys: list[SeriesKey] = []

    def hear(self, points: PointBatch, judgement: Judgement, keys: Sequence[SeriesKey]) -> None:
        """Take in what was judged at one time."""
        if not len(points):
            return
        self._keys = self._keys or [_as_of_one(key, metric) for key, metric in zip(keys, self._metrics, strict=True)]
        now = int(points.time_unix_nano.max())
        self._reports.leave(judgement.episodes, points, judgement.verdicts, self._keys)
        for key, episode in self._reports.take_episodes():
            self._correlator.take(Member.of(key, local_title(key), episode), _ALONE, now)
        for group in self._swarms.take(self._reports.take_strains(), lambda _: len(self._metrics)):
            self._correlator.take_group(group, _ALONE, now)
        self._stored |= {each.incident_id: each for each in self._correlator.take_changed()}
        self._correlator.expire(now)

    def incidents(self) -> list[Incident]:
        """Return all there were but those that another took over."""
        return [incident for incident in self._stored.values() if not incident.merged_into]


def _as_of_one(key: SeriesKey, metric: str) -> SeriesKey:
    """Return the key of the same series as a metric of the one server."""
    resource = (("host.name", "server"),)
    return SeriesKey(resource, key.scope, metric, key.unit, key.kind, key.statistic, key.attributes)


def _label_of(entity: LabelledEntity, incident: Incident) -> int | None:
    at = incident.opened_unix_nano
    places: Iterable[int] = (i for i, each in enumerate(entity.incidents) if each.first <= at <= each.last)
    return next(iter(places), None)


def evaluate_incidents(
    entities: Sequence[LabelledEntity],
    settings: ReplaySettings,
    correlation: CorrelationSettings,
    work: Path,
    advance: Callable[[int], None],
) -> list[tuple[LabelledEntity, IncidentCounts]]:
    """Replay and count servers; `advance` is told how many more are done."""
    measured = []
    for entity in entities:
        counts = count_incidents(entity, found_incidents(entity, settings, correlation, work))
        measured.append((entity, counts))
        advance(1)
    return measured
