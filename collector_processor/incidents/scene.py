"""What the stored points say of an incident: how its series changed, who fell silent, who runs another version."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collector_processor.clock import HOUR, MINUTE
from collector_processor.incidents.cause import Scene
from collector_processor.incidents.change import BEFORE, Change, measured, role_of, sides
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.titles import local_title

MOST_SERIES_PER_ENTITY = 60
MOST_SERIES = 600

_RELEASED_WITHIN = HOUR
_SILENT_AFTER = 2 * MINUTE
_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """One series of an entity and its points, ascending."""

    entity: str
    key: SeriesKey
    time_unix_nano: Int64
    value: Float64


def suspects(incident: Incident, topology: Topology) -> list[str]:
    """Return whose series are worth a look: those that feel it first, then what they call."""
    return list(dict.fromkeys([*incident.entities, *sorted(topology.below(incident.entities, most=4))]))


def worth_reading(
    entities: Sequence[str], of_entity: Mapping[str, Sequence[int]], first: Iterable[int] = ()
) -> dict[int, str]:
    """Return at most 600 series ids with their entities, 60 of each; those in `first` before others."""
    wanted, chosen = set(first), dict[int, str]()
    for entity in entities:
        series = sorted(of_entity.get(entity, ()), key=lambda each: (each not in wanted, each))
        chosen |= dict.fromkeys(series[:MOST_SERIES_PER_ENTITY], entity)
        if len(chosen) >= MOST_SERIES:
            break
    return dict(list(chosen.items())[:MOST_SERIES])


def span_of(incident: Incident, now: int) -> tuple[int, int]:
    """Return from when to when points are compared."""
    return incident.onset_unix_nano - BEFORE, now + 1


def seen(chosen: Mapping[int, str], keys: Sequence[SeriesKey], points: PointBatch) -> list[Seen]:
    """Tell points, sorted by series and time, apart by series."""
    found = []
    for series, entity in sorted(chosen.items()):
        first, stop = np.searchsorted(points.series, (series, series + 1)).tolist()
        if stop > first:
            found.append(Seen(entity, keys[series], points.time_unix_nano[first:stop], points.value[first:stop]))
    return found


def scene_of(incident: Incident, topology: Topology, found: Sequence[Seen], now: int) -> Scene:
    """Describe an incident by what was seen around its onset."""
    onset, by_entity = incident.onset_unix_nano, defaultdict[str, list[Seen]](list)
    for each in found:
        by_entity[each.entity].append(each)
    changes = [change for each in found if (change := _change(each, onset)) is not None]
    silent = {entity for entity, own in by_entity.items() if _is_silent(own, onset, now)}
    silent |= {member.entity for member in incident.members if member.is_whole and member.end_unix_nano is None}
    released = {entity: text for entity, own in by_entity.items() if (text := _released(own, onset))}
    return Scene(incident.entities, changes, topology, frozenset(silent), released)


def _change(each: Seen, onset: int) -> Change | None:
    before, after = sides(each.time_unix_nano, each.value, onset)
    found = measured(each.entity, each.key.stable_id, local_title(each.key), role_of(each.key), before, after)
    return found and replace(found, unit=each.key.value_unit)


def _is_silent(own: Sequence[Seen], onset: int, now: int) -> bool:
    """Tell whether an entity reported until about the onset, and nothing but zeros since."""
    newest, gap, before = 0, 0.0, 0
    for each in own:
        heard = each.time_unix_nano[each.value != 0.0]
        if heard.size:
            newest, before = max(newest, int(heard[-1])), before + int((heard < onset).sum())
            gap = max(gap, float(np.median(np.diff(heard)))) if heard.size > 1 else gap
    is_overdue = now - newest > max(_SILENT_AFTER, _INTERVALS * gap)
    return before >= _INTERVALS and newest <= onset + MINUTE and is_overdue


def _released(own: Sequence[Seen], onset: int) -> str:
    """Say which version of an entity is new, empty where none is."""
    since: dict[str, int] = {}
    for each in own:
        version = dict(each.key.resource).get("service.version")
        if isinstance(version, str) and each.time_unix_nano.size:
            first = int(each.time_unix_nano[0])
            since[version] = min(first, since.get(version, first))
    if len(since) < 2:
        return ""
    newest = max(since, key=lambda version: since[version])
    is_new = onset - _RELEASED_WITHIN <= since[newest] <= onset + MINUTE
    minutes = (onset - since[newest]) / MINUTE
    return f"version {newest} runs since {max(minutes, 0.0):.0f} min before" if is_new else ""
