"""Find the series a selector means, stored and derived ones alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grafana_datasource.directory import Directory, Entry
from grafana_datasource.families import DERIVED, STORED, Family
from grafana_datasource.matching import Matcher


@dataclass(frozen=True, slots=True)
class Picked:
    """Series of one metric; `family` says which of their numbers."""

    family: Family
    entries: Sequence[Entry]

    def labels(self, entry: Entry) -> dict[str, str]:
        """Return the whole label set of one of the series."""
        if self.family is STORED:
            return {"__name__": entry.name, **entry.labels}
        return {"__name__": self.family.metric, **self.family.labels_of(entry)}


def select(directory: Directory, matchers: Iterable[Matcher]) -> list[Picked]:
    """Return everything that meets all matchers, grouped by metric."""
    wanted = list(matchers)
    by_name = [matcher for matcher in wanted if matcher.label == "__name__"]
    others = [matcher for matcher in wanted if matcher.label != "__name__"]

    def is_meant(name: str) -> bool:
        return all(matcher.accepts(name) for matcher in by_name)

    derived = [_derived(directory, family, others) for family in DERIVED if is_meant(family.metric)]
    stored = [
        Picked(STORED, [entry for entry in entries if _matches(entry.labels, others)])
        for name, entries in directory.by_name.items()
        if is_meant(name)
    ]
    return [picked for picked in derived + stored if picked.entries]


def _derived(directory: Directory, family: Family, matchers: Sequence[Matcher]) -> Picked:
    """Match the labels of the family once, those of the series one by one."""
    added = dict(family.labels)
    of_family = [m for m in matchers if m.label in {"band", "interval_width"}]
    if not _matches(added, of_family):
        return Picked(family, [])
    of_series = [m for m in matchers if m not in of_family]
    modelled = [entry for entry in _candidates(directory, of_series) if entry.key.statistic.is_modelled]
    if of_series and family.has_title:
        return Picked(family, [entry for entry in modelled if _matches(family.labels_of(entry), of_series)])
    return Picked(family, [entry for entry in modelled if _matches(entry.own, of_series)])


def _candidates(directory: Directory, matchers: Sequence[Matcher]) -> Iterable[Entry]:
    for matcher in matchers:
        if matcher.label == "series" and matcher.operator == "=":
            entry = directory.by_stable_id.get(matcher.text)
            return [entry] if entry else []
    return directory.entries.values()


def _matches(labels: Mapping[str, str], matchers: Sequence[Matcher]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
