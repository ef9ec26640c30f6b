"""Rank what may have caused an incident: blame flows down the calls of the service graph, and stays where it arises.

The services that feel it get equal shares of blame, for each way in which they feel it: errors and slow answers. Each
hands on what its callees explain: where answers take 0.5 s longer than before and those of a callee 0.4 s, four fifths.
What is handed on goes to callees by how much they changed, and to one that fell silent all of it; through one of which
nothing is known it passes. So blame ends where time is spent and errors are made, not where they are felt; a symptom
is left with little. Traffic flows the other way: who gets more calls hands the blame on to who makes more.

What else speaks for an entity, as a resource that changed or another version since shortly before, makes its share
larger, but makes no suspect of anybody without blame where there is somebody with.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p

from collector_processor.incidents.change import ABNORMAL, FELT, Change, Role
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.incident import MOST_CAUSES, Cause, Evidence

NOTHING_CHANGED = "no series of its services changed clearly at its onset"
NOBODY_STANDS_OUT = "several entities are as suspect as each other"

_STEPS = 8
_LEAST_SCORE = 0.25
"""A first suspect with a smaller share of the blame stands out from nobody."""

_WORTH_NAMING = 0.05
_RELEASED = 1.5
_RESOURCE = 1.25
_SILENT = log1p(100.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is known of an incident.

    `entities` feel it: they have episodes. `silent` are those that reported regularly and stopped. `released`
    maps entities that run another version since shortly before to a phrase that says which.
    """

    entities: Sequence[str]
    changes: Sequence[Change]
    topology: Topology
    silent: Collection[str] = ()
    released: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Causes, the likeliest first; where there is none, why."""

    causes: tuple[Cause, ...]
    no_cause: str = ""


def rank(scene: Scene) -> Ranking:
    """Return the likeliest causes of an incident."""
    worst = _worst(scene)
    blame = defaultdict[str, float](float)
    for role in (Role.ERRORS, Role.DURATION):
        for entity, share in _flow(role, scene, worst).items():
            blame[entity] += share
    if not blame:
        blame.update(_traffic(scene, worst) or _alone(scene, worst))
    if not blame:
        return Ranking((), NOTHING_CHANGED)
    for entity in blame:
        blame[entity] *= _support(entity, scene, worst)
    total = sum(blame.values())
    suspects = [entity for entity in blame if _is_suspect(entity, scene, worst)]
    if not suspects:
        return Ranking((), NOTHING_CHANGED)
    ranked = sorted(suspects, key=lambda entity: (-blame[entity], entity))
    if blame[ranked[0]] < _LEAST_SCORE * total:
        return Ranking((), NOBODY_STANDS_OUT)
    shares = {entity: blame[entity] / total for entity in ranked[:MOST_CAUSES]}
    return Ranking(
        tuple(_cause(entity, share, scene, worst) for entity, share in shares.items() if share >= _WORTH_NAMING)
    )


def _is_suspect(entity: str, scene: Scene, worst: "_Worst") -> bool:
    """Tell whether an entity can be to blame: it changed clearly, fell silent, or shows nothing of itself."""
    changes = [worst[entity, role] for role in Role if (entity, role) in worst]
    return entity in scene.silent or not changes or any(change.is_abnormal() for change in changes)


_OF_CALLS = {Role.ERRORS: Role.FAILING, Role.DURATION: Role.CALLING}

_Worst = Mapping[tuple[str, Role], Change]


def _worst(scene: Scene) -> _Worst:
    """Return the clearest abnormal change of each entity and role."""
    worst: dict[tuple[str, Role], Change] = {}
    for change in scene.changes:
        place, least = (change.entity, change.role), FELT if change.entity in scene.entities else ABNORMAL
        if change.is_abnormal(least) and (place not in worst or abs(change.size) > abs(worst[place].size)):
            worst[place] = change
    return worst


def _flow(role: Role, scene: Scene, worst: _Worst) -> dict[str, float]:
    """Return how much blame of one role stays with whom."""
    feeling = [entity for entity in scene.entities if (entity, role) in worst]
    top = [entity for entity in feeling if not _is_explained(entity, role, scene, worst)] or feeling
    moving = {entity: log1p(abs(worst[entity, role].size)) / len(top) for entity in top}
    kept = defaultdict[str, float](float)
    for _ in range(_STEPS):
        ahead = defaultdict[str, float](float)
        for entity, mass in moving.items():
            shares = _handed_on(entity, role, scene, worst)
            kept[entity] += mass * (1.0 - sum(shares.values()))
            for callee, share in shares.items():
                ahead[callee] += mass * share
        moving = ahead
    for entity, mass in moving.items():
        kept[entity] += mass
    return {entity: mass for entity, mass in kept.items() if mass > 0.0}


def _is_explained(entity: str, role: Role, scene: Scene, worst: _Worst) -> bool:
    """Tell whether somebody who calls it feels the same, so that blame comes from there."""
    return any((edge.client, role) in worst for edge in scene.topology.callers(entity))


def _handed_on(entity: str, role: Role, scene: Scene, worst: _Worst) -> dict[str, float]:
    """Return which shares of its blame an entity hands on to whom; at most 1 in all."""
    if entity in scene.silent:
        return {}
    callees = _known_callees(entity, role, scene, worst)
    silent = [callee for callee in callees if callee in scene.silent]
    if silent:
        return {callee: 1.0 / len(silent) for callee in silent}
    own = worst.get((entity, role))
    amounts = {callee: worst[callee, role].amount for callee in callees if (callee, role) in worst}
    if own is None:  # blame passes through
        total = sum(amounts.values())
        return {callee: amount / total for callee, amount in amounts.items()} if total else {}
    shares = {callee: min(amount / own.amount, 1.0) for callee, amount in amounts.items()}
    shares |= _to_peers(entity, role, own.amount, sum(shares.values()), scene, worst)
    excess = max(sum(shares.values()), 1.0)
    return {callee: share / excess for callee, share in shares.items()}


def _to_peers(entity: str, role: Role, amount: float, known: float, scene: Scene, worst: _Worst) -> dict[str, float]:
    """Return shares for callees that show nothing: what changed of the calls an entity makes, and no other explains."""
    out = worst.get((entity, _OF_CALLS[role]))
    peers = [edge.server for edge in scene.topology.callees(entity) if scene.topology.is_peer(edge.server)]
    rest = min(out.amount / amount, 1.0) - known if out else 0.0
    return dict.fromkeys(peers, rest / len(peers)) if peers and rest > 0.0 else {}


def _known_callees(entity: str, role: Role, scene: Scene, worst: _Worst) -> set[str]:
    """Return callees that feel it or are silent; what shows nothing is passed through, once."""
    found = set[str]()
    for edge in scene.topology.callees(entity):
        if _is_involved(edge.server, role, scene, worst):
            found.add(edge.server)
        else:
            beyond = (further.server for further in scene.topology.callees(edge.server))
            found.update(callee for callee in beyond if _is_involved(callee, role, scene, worst))
    return found - {entity}


def _is_involved(entity: str, role: Role, scene: Scene, worst: _Worst) -> bool:
    return entity in scene.silent or (entity, role) in worst


def _traffic(scene: Scene, worst: _Worst) -> dict[str, float]:
    """Return blame for a change of traffic: it stays with whom nobody calls more, or less, than before."""
    felt = {entity: worst[entity, Role.TRAFFIC] for entity in scene.entities if (entity, Role.TRAFFIC) in worst}
    return {
        entity: log1p(abs(change.size))
        for entity, change in felt.items()
        if not any(
            edge.client in felt and felt[edge.client].amount * change.amount > 0.0
            for edge in scene.topology.callers(entity)
        )
    } | {entity: _SILENT for entity in scene.entities if entity in scene.silent}


def _alone(scene: Scene, worst: _Worst) -> dict[str, float]:
    """Return blame for entities of which nothing but other numbers changed."""
    return {
        entity: log1p(abs(worst[entity, Role.OTHER].size)) for entity in scene.entities if (entity, Role.OTHER) in worst
    } | {entity: _SILENT for entity in scene.entities if entity in scene.silent}


def _support(entity: str, scene: Scene, worst: _Worst) -> float:
    """Return by how much what else is known makes an entity more suspect."""
    factor = _RELEASED if entity in scene.released else 1.0
    return factor * (_RESOURCE if (entity, Role.OTHER) in worst else 1.0)


def _cause(entity: str, share: float, scene: Scene, worst: _Worst) -> Cause:
    """Describe a suspect with its evidence, the strongest first."""
    evidence = list[Evidence]()
    if entity in scene.silent:
        evidence.append(Evidence("silence", "it stopped reporting", _SILENT))
    if entity in scene.released:
        evidence.append(Evidence("release", scene.released[entity], log1p(_RELEASED)))
    changes = [worst[entity, role] for role in Role if (entity, role) in worst]
    evidence += [Evidence(change.role.value, in_words(change), log1p(abs(change.size))) for change in changes]
    loudest = max(changes, key=lambda change: abs(change.size), default=None)
    return Cause(
        entity,
        scene.topology.is_peer(entity),
        share,
        loudest.series if loudest else "",
        tuple(sorted(evidence, key=lambda each: -each.score)),
    )


def in_words(change: Change) -> str:
    """Say what a series did."""
    went = "rose" if change.amount > 0.0 else "fell"
    unit = f" {change.unit}" if change.unit not in {"", "1"} else ""
    return f"{change.what} {went} from {change.before:.4g} to {change.after:.4g}{unit}"
