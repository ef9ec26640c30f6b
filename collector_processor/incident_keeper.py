"""Keep incidents: take reports of episodes, find out what belongs together and what caused it, and have it kept.

All of it happens in a thread of its own, beside the fast path, which only leaves its reports of episodes where this
thread takes them. Nothing but incidents is kept: at a start they are read again, with the episodes that may belong to
them, so an incident that a crash kept from being written is found anew, under the same id.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND, Clock
from collector_processor.errors import ForebandError
from collector_processor.incidents.cause import rank
from collector_processor.incidents.correlate import CorrelationSettings, Correlator
from collector_processor.incidents.explain import sentence
from collector_processor.incidents.scene import scene_of, seen, span_of, suspects, worth_reading
from collector_processor.incidents.swarm import Swarms
from collector_processor.incidents.topology import Topology
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.band import BandStates
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.incident import Incident, Member, entity_of
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.service_graph import GRAPH_BLOB, ServiceGraph
from collector_processor.telemetry.strain import Strain
from collector_processor.telemetry.titles import local_title
from collector_processor.telemetry.verdict import State

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
_LATE = 5 * MINUTE

_ACTIVE = list(State).index(State.ACTIVE)
_LOOKS = tuple(seconds * NANOS_PER_SECOND for seconds in (0, 10, 30, 60, 180, 420, 900))
"""When a cause is looked for; the first time some of what was affected may not have reported yet."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where reports and series come from, and where incidents go."""

    episodes: Callable[[], Sequence[tuple[SeriesKey, Episode]]]
    strains: Callable[[], Sequence[Strain]]
    keys: Callable[[], Sequence[SeriesKey]]
    bands: Callable[[], BandStates]
    keep: Callable[[Sequence[Incident]], None]


class IncidentKeeper:
    """A thread that looks every two seconds; it reads nothing where nothing happened."""

    def __init__(self, directory: Path, sources: Sources, clock: Clock, settings: CorrelationSettings) -> None:
        self._directory = directory
        self._sources = sources
        self._clock = clock
        self._correlator = Correlator(settings)
        self._swarms = Swarms()
        self._looks: dict[tuple[str, int], list[int]] = {}  # by incident and onset: when its cause was looked for
        self._by_entity: tuple[int, Mapping[str, Sequence[int]]] = (-1, {})
        self._is_restored = self._is_hindered = False
        self._settings = settings
        self._stop = Event()
        self._thread = Thread(target=self._run, name="incidents", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take what was reported and end the thread."""
        self._stop.set()
        self._thread.join()

    @property
    def open_incidents(self) -> int:
        """Return how many incidents are open."""
        return self._correlator.open_count

    def look(self, now: int) -> None:
        """Take the reports there are, and look for the causes of what they make.

        Raises:
            ForebandError: if the store cannot be read, or does not keep anything now.
        """
        if not self._is_restored:
            self._restore(now)
        reports, groups = self._sources.episodes(), self._swarms_of(self._sources.strains(), now)
        if reports or groups or self._is_due(now):
            with closing(open_reader(self._directory)) as reader:
                topology = Topology(ServiceGraph.from_bytes(reader.blob(GRAPH_BLOB)))
                for key, episode in reports:
                    self._correlator.take(_member(key, episode), topology, now)
                for group in groups:
                    self._correlator.take_group(group, topology, now)
                for incident in self._correlator.open_incidents():
                    if self._is_worth_a_look(incident, now):
                        self._explain(incident, topology, reader, now)
        changed = self._correlator.take_changed()
        if changed:
            self._sources.keep(changed)
        self._correlator.expire(now)

    def forget(self) -> None:
        """Begin anew from the store at the next look."""
        self._is_restored = False

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self.attempt()
        self.attempt()

    def attempt(self) -> None:
        """Look; what hinders it is told once, and when it no longer does."""
        try:
            self.look(self._clock.now_unix_nano())
        except Exception as error:  # a thread that ended would be noticed only by the missing incidents
            if not self._is_hindered:
                told = "incidents could not be kept, will look again at the stored episodes: %s"
                log.warning(told, error, exc_info=not isinstance(error, ForebandError))
            self._is_hindered = True
            self.forget()
        else:
            if self._is_hindered:
                log.info("incidents are kept again")
            self._is_hindered = False

    def _restore(self, now: int) -> None:
        """Begin anew from what is stored; reports of episodes that are stored already change nothing."""
        self._correlator, self._looks = Correlator(self._settings), {}
        keys = self._sources.keys()
        with closing(open_reader(self._directory)) as reader:
            incidents = reader.incidents(now - 2 * self._settings.reopen, now + 1)
            self._correlator.restore(incidents)
            topology = Topology(ServiceGraph.from_bytes(reader.blob(GRAPH_BLOB)))
            for member in _over(incidents, reader, now):
                self._correlator.take(member, topology, now)
            for episode in reader.episodes(now - 2 * self._settings.within, now + 1):
                if episode.series < len(keys):
                    self._correlator.take(_member(keys[episode.series], episode), topology, now)
        self._is_restored = True

    def _swarms_of(self, strains: Sequence[Strain], now: int) -> list[list[Member]]:
        """Return the swarms that changed.

        Series whose bands are provisional or in doubt belong to none, nor does what came late: it does not say who is
        far out now.
        """
        if not strains:
            return []
        bands, sizes = self._sources.bands(), self._of_entity(self._sources.keys())
        is_active, since = bands["state"] == _ACTIVE, now - _LATE
        timely = (s for s in strains if not s.is_strained or s.time_unix_nano >= since)
        sure = [s for s in timely if not s.is_strained or (s.series < is_active.size and is_active[s.series])]
        return self._swarms.take(sure, lambda entity: len(sizes.get(entity, ())))

    def _is_due(self, now: int) -> bool:
        return any(self._is_worth_a_look(incident, now) for incident in self._correlator.open_incidents())

    def _is_worth_a_look(self, incident: Incident, now: int) -> bool:
        """Tell whether it is time to look for the cause of an incident, for the first time or with more points."""
        looks = self._looks.get(_question(incident), [])
        return not looks or (len(looks) < len(_LOOKS) and now - looks[0] >= _LOOKS[len(looks)])

    def _explain(self, incident: Incident, topology: Topology, reader: SeriesReader, now: int) -> None:
        name = incident.incident_id
        self._looks.setdefault(_question(incident), []).append(now)
        keys = self._sources.keys()
        chosen = worth_reading(suspects(incident, topology), self._of_entity(keys))
        points = reader.read_points(np.array(sorted(chosen), np.int32), *span_of(incident, now))
        ranking = rank(scene_of(incident, topology, seen(chosen, keys, points), now))
        text = sentence(incident, ranking)
        self._correlator.explain(name, ranking.causes, ranking.no_cause, text)
        log.info("incident %s: %s", name, text)

    def _of_entity(self, keys: Sequence[SeriesKey]) -> Mapping[str, Sequence[int]]:
        """Return the ids of modelled series by entity; found again when there are more of them."""
        if self._by_entity[0] != len(keys):
            found = defaultdict[str, list[int]](list)
            for series, key in enumerate(keys):
                if key.statistic.is_modelled:
                    found[entity_of(key)].append(series)
            self._by_entity = (len(keys), found)
        return self._by_entity[1]


def _question(incident: Incident) -> tuple[str, int]:
    """Name what is looked for: the cause of an incident, anew when it turns out to have begun at another time."""
    return incident.incident_id, incident.onset_unix_nano


def _member(key: SeriesKey, episode: Episode) -> Member:
    return Member.of(key, local_title(key), episode)


def _over(incidents: Sequence[Incident], reader: SeriesReader, now: int) -> list[Member]:
    """Return members that are open by what is stored of their incidents, and are not any more, or are forgotten."""
    members = [member for incident in incidents for member in incident.members if member.end_unix_nano is None]
    ends = {member.episode_id: _end(reader.episode(member.episode_id), now) for member in members}
    return [replace(m, end_unix_nano=end) for m in members if (end := ends[m.episode_id]) is not None]


def _end(episode: Episode | None, now: int) -> int | None:
    return now if episode is None else episode.end_unix_nano
