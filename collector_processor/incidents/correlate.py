"""Episodes that belong together: begun at about the same time, and in agreement.

A lone episode is no incident. Agreement is

* episodes of at least `agreement` series of one entity (a service, a host), or
* episodes of two entities on one path of the service graph (`topology`), or
* the silence of everything an entity has,

that began within `within` of each other. What begins later joins within `within` of the last onset or end among the
members, on an entity of the incident or near one; later still, until `reopen`, on one of its entities alone, where it
agrees with nothing newer. The incident is open as long as one of its episodes is; what joins after its end opens it
again. An episode that links two incidents merges the newer into the older. Drifts are left out: days pass until one is
seen.

Work and memory: a look-up per report; at most 500 incidents and 20,000 episodes that wait for others to agree.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from collector_processor.clock import HOUR, MINUTE
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.episode import DRIFT
from collector_processor.telemetry.incident import MOST_MEMBERS, TOGETHER, Cause, Incident, Member

MOST_INCIDENTS = 500
MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class CorrelationSettings:
    """When episodes agree; durations in nanoseconds."""

    agreement: int = 2
    within: int = 15 * MINUTE
    reopen: int = HOUR


STOCK_CORRELATION = CorrelationSettings()


@dataclass(slots=True)
class _Live:
    """An incident that may still change; `fresh` is the newest onset or end of an episode of it."""

    stored: Incident
    members: dict[str, Member]
    open: set[str]
    entities: dict[str, None]
    fresh: int
    end: int
    counted: set[str] = field(default_factory=set)  # members beyond those kept by name

    @classmethod
    def of(cls, incident: Incident) -> "_Live":
        members = {member.episode_id: member for member in incident.members}
        return cls(
            incident,
            members,
            {member.episode_id for member in incident.members if member.end_unix_nano is None},
            dict.fromkeys(incident.entities),
            max(_newest(member) for member in incident.members),
            incident.end_unix_nano or 0,
        )

    def put(self, member: Member) -> None:
        """Take in a report of an episode, new or known; strain of a series with an episode is no news."""
        same = [each for each in self.members.values() if each.series == member.series]
        if member.kind == TOGETHER and any(each.kind != TOGETHER for each in same):
            return
        for each in same:
            if each.kind == TOGETHER != member.kind:
                del self.members[each.episode_id]
                self.open.discard(each.episode_id)
        name = member.episode_id
        if name in self.members or len(self.members) < MOST_MEMBERS:
            self.members[name] = member
        else:
            self.counted.add(name)
        self.entities[member.entity] = None
        self.fresh = max(self.fresh, _newest(member))
        was_open = bool(self.open)
        if member.end_unix_nano is None:
            self.open.add(name)
            if not was_open and self.end:
                self.stored = replace(self.stored, reopened=self.stored.reopened + 1)
        else:
            self.open.discard(name)
            self.end = max(self.end, member.end_unix_nano)

    def incident(self) -> Incident:
        """Return it as it is now."""
        return replace(
            self.stored,
            start_unix_nano=min(member.start_unix_nano for member in self.members.values()),
            end_unix_nano=None if self.open else self.end,
            entities=tuple(self.entities),
            members=tuple(self.members.values()),
            more=max(self.stored.more, len(self.counted)),
        )


class Correlator:
    """The incidents that may still change, and the episodes that wait for others to agree; one thread."""

    def __init__(self, settings: CorrelationSettings = STOCK_CORRELATION) -> None:
        self._settings = settings
        self._live: dict[str, _Live] = {}
        self._of_episode: dict[str, str] = {}
        self._of_entity: dict[str, set[str]] = defaultdict(set)
        self._waiting: dict[str, dict[str, Member]] = defaultdict(dict)  # by entity, by episode
        self._waiting_count = 0
        self._changed: dict[str, None] = {}
        self._merged: list[Incident] = []

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Go on with stored incidents; reports of episodes since then follow."""
        for incident in incidents:
            if not incident.merged_into:
                self._adopt(_Live.of(incident))

    def take(self, member: Member, topology: Topology, now: int) -> None:
        """Take in a report of an episode: that it opened, goes on, or closed."""
        if member.kind == DRIFT:
            return
        known = self._of_episode.get(member.episode_id)
        if known is not None:
            self._put(self._live[known], member)
            return
        homes = self._homes(member, topology)
        if homes:
            self._join(homes, [member], now)
            return
        self._wait(member)
        agreeing = self._agreeing(member, topology)
        if agreeing:
            self._open(agreeing, now)

    def take_group(self, members: Sequence[Member], topology: Topology, now: int) -> None:
        """Take in reports that agree with each other: of one swarm."""
        known = [member for member in members if member.episode_id in self._of_episode]
        new = [m for m in members if m.episode_id not in self._of_episode and m.end_unix_nano is None]
        for member in known:
            self.take(member, topology, now)
        if not new:
            return
        new.sort(key=lambda each: (each.start_unix_nano, each.episode_id))
        homes = self._homes(new[-1], topology)
        if homes:
            self._join(homes, new, now)
        else:
            self._open(new, now)

    def take_changed(self) -> list[Incident]:
        """Return the incidents that changed since the last call, merged ones included."""
        changed = [self._live[name].incident() for name in self._changed if name in self._live]
        merged, self._merged = self._merged, []
        self._changed.clear()
        return [*merged, *changed]

    @property
    def open_count(self) -> int:
        """Return how many incidents are open; for any thread."""
        return sum(bool(live.open) for live in list(self._live.values()))

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are open."""
        return [live.incident() for live in self._live.values() if live.open]

    def explain(self, incident_id: str, causes: Sequence[Cause], no_cause: str, sentence: str) -> None:
        """Note what is known by now of the causes of an incident."""
        live = self._live.get(incident_id)
        if live is not None:
            live.stored = replace(live.stored, causes=tuple(causes), no_cause=no_cause, sentence=sentence)
            self._changed[incident_id] = None

    def expire(self, now: int) -> None:
        """Forget what cannot change any more."""
        over = [name for name, live in self._live.items() if not live.open and now - live.fresh > self._settings.reopen]
        oldest = sorted(self._live, key=lambda name: self._live[name].fresh)[: max(0, len(self._live) - MOST_INCIDENTS)]
        for name in dict.fromkeys([*over, *oldest]):
            self._drop(name)
        for entity in list(self._waiting):
            waiting = self._waiting[entity]
            for name in [n for n, m in waiting.items() if now - m.start_unix_nano > 2 * self._settings.within]:
                del waiting[name]
                self._waiting_count -= 1
            if not waiting:
                del self._waiting[entity]

    def _homes(self, member: Member, topology: Topology) -> list[str]:
        """Return the incidents an episode belongs to, the oldest first."""
        start, around = member.start_unix_nano, (member.entity, *topology.near(member.entity))
        age = {name: start - self._live[name].fresh for each in around for name in self._of_entity.get(each, ())}
        agreeing = [name for name in age if age[name] <= self._settings.within]
        if agreeing:
            return sorted(agreeing, key=lambda name: (self._live[name].stored.opened_unix_nano, name))
        own = [name for name in self._of_entity.get(member.entity, ()) if age[name] <= self._settings.reopen]
        return sorted(own, key=lambda name: (age[name], name))[:1]

    def _join(self, homes: Sequence[str], members: Sequence[Member], now: int) -> None:
        into = self._live[homes[0]]
        for name in homes[1:]:
            self._merge(name, into, now)
        for member in members:
            self._put(into, member)

    def _merge(self, name: str, into: _Live, now: int) -> None:
        live = self._live[name]
        end = max(now, live.fresh)
        self._merged.append(
            replace(live.incident(), end_unix_nano=end, merged_into=into.stored.incident_id, causes=(), no_cause="")
        )
        self._drop(name)
        for member in live.members.values():
            self._put(into, member)

    def _wait(self, member: Member) -> None:
        waiting = self._waiting[member.entity]
        if member.episode_id not in waiting:
            if self._waiting_count >= MOST_WAITING:
                return
            self._waiting_count += 1
        waiting[member.episode_id] = member

    def _agreeing(self, member: Member, topology: Topology) -> list[Member]:
        """Return the episodes that make an incident together with this one; none where they are too few."""
        own = self._beside(member, member.entity)
        near = [each for entity in topology.near(member.entity) for each in self._beside(member, entity)]
        is_enough = len({each.series for each in own}) >= self._settings.agreement or near or member.is_whole
        return sorted([*own, *near], key=lambda each: (each.start_unix_nano, each.episode_id)) if is_enough else []

    def _beside(self, member: Member, entity: str) -> list[Member]:
        """Return the waiting episodes of an entity that began at about the same time."""
        start, within = member.start_unix_nano, self._settings.within
        waiting = self._waiting[entity].values() if entity in self._waiting else ()
        return [each for each in waiting if abs(each.start_unix_nano - start) <= within]

    def _open(self, members: Sequence[Member], now: int) -> None:
        first = members[0]
        incident = Incident(
            incident_id=incident_id(first),
            start_unix_nano=first.start_unix_nano,
            opened_unix_nano=now,
            end_unix_nano=None,
            entities=(),
            members=(),
        )
        live = _Live(incident, {}, set(), {}, first.start_unix_nano, 0)
        for member in members:
            live.put(member)
            if self._waiting[member.entity].pop(member.episode_id, None) is not None:
                self._waiting_count -= 1
        self._adopt(live)
        self._changed[incident.incident_id] = None

    def _adopt(self, live: _Live) -> None:
        name = live.stored.incident_id
        self._live[name] = live
        for episode_id in [*live.members, *live.counted]:
            self._of_episode[episode_id] = name
        for entity in live.entities:
            self._of_entity[entity].add(name)

    def _put(self, live: _Live, member: Member) -> None:
        name = live.stored.incident_id
        live.put(member)
        self._of_episode[member.episode_id] = name
        self._of_entity[member.entity].add(name)
        self._changed[name] = None

    def _drop(self, name: str) -> None:
        live = self._live.pop(name)
        for episode_id in [*live.members, *live.counted]:
            self._of_episode.pop(episode_id, None)
        for entity in live.entities:
            self._of_entity[entity].discard(name)
            if not self._of_entity[entity]:
                del self._of_entity[entity]


def incident_id(first: Member) -> str:
    """Return 16 hex digits that the same episodes give again."""
    return blake2b(f"incident:{first.episode_id}".encode(), digest_size=8).hexdigest()


def _newest(member: Member) -> int:
    """Return when a member last began or ended."""
    return max(member.start_unix_nano, member.end_unix_nano or 0)
