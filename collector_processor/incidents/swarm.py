"""Series of one entity that are far out together, though each within its own band.

A band is as wide as what its series does once in weeks, so a fault that moves many series a little leaves none of
them outside. That many of them are far out at once is rarer than any of it. When a series is strained, `detect.strain`
says. An entity is in a swarm when at least three of its series, and a quarter of them, are strained at once; until
less than half of that are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b

from collector_processor.telemetry.incident import TOGETHER, Member, entity_of
from collector_processor.telemetry.severity import Severity
from collector_processor.telemetry.strain import Strain
from collector_processor.telemetry.titles import local_title

FEWEST = 3
SHARE = 0.25
_LASTS = 0.5


class Swarms:
    """Who is strained; one thread."""

    def __init__(self) -> None:
        self._strained: dict[str, dict[str, Member]] = defaultdict(dict)  # by entity, by series
        self._swarming: set[str] = set()

    def take(self, strains: Iterable[Strain], size: Callable[[str], int]) -> list[list[Member]]:
        """Take in changes, in order; return groups of members that are of one swarm, who left it with their ends.

        `size` tells how many series an entity has.
        """
        left = defaultdict[str, list[Member]](list)
        for strain in strains:
            entity, series = entity_of(strain.key), strain.key.stable_id
            if strain.is_strained:
                self._strained[entity].setdefault(series, _member(entity, strain))
                left[entity] += ()
            elif (known := self._strained[entity].pop(series, None)) is not None:
                left[entity].append(replace(known, end_unix_nano=strain.time_unix_nano))
        groups = [self._changed(entity, gone, size(entity)) for entity, gone in left.items()]
        self._strained = defaultdict(dict, {entity: own for entity, own in self._strained.items() if own})
        return [group for group in groups if group]

    def _changed(self, entity: str, left: list[Member], size: int) -> list[Member]:
        """Return what a swarm says of its members; nothing of those who were in none."""
        strained = self._strained[entity]
        needed = max(FEWEST, SHARE * size)
        was_swarming = entity in self._swarming
        is_swarming = len(strained) >= (needed * _LASTS if was_swarming else needed)
        if is_swarming:
            self._swarming.add(entity)
            return [*strained.values(), *(left if was_swarming else ())]
        self._swarming.discard(entity)
        if not was_swarming:
            return []
        end = max((member.end_unix_nano or 0 for member in left), default=0)
        over = [replace(member, end_unix_nano=end) for member in strained.values()]
        return [*left, *over]


def _member(entity: str, strain: Strain) -> Member:
    """Describe a strained series as it would be in an incident; the id is the same for the same point."""
    series, time = strain.key.stable_id, strain.time_unix_nano
    return Member(
        episode_id=blake2b(f"{TOGETHER}:{series}:{time}".encode(), digest_size=8).hexdigest(),
        series=series,
        entity=entity,
        metric=strain.key.metric,
        statistic=strain.key.statistic.value,
        title=local_title(strain.key),
        kind=TOGETHER,
        severity=Severity.WARNING.value,
        direction=1 if strain.score > 0.0 else -1,
        peak_score=strain.score,
        start_unix_nano=time,
        end_unix_nano=None,
    )
