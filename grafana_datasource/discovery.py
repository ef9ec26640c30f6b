"""Say which metrics, labels and texts there are: what Explore, the query builder and variables list."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Any

from grafana_datasource.capacity import HELP as CAPACITY_HELP
from grafana_datasource.directory import Directory, Entry
from grafana_datasource.families import DERIVED, HELP, STORED
from grafana_datasource.matching import Matcher
from grafana_datasource.open_episodes import HELP as EPISODE_HELP
from grafana_datasource.own_metrics import HELP as OWN_HELP
from grafana_datasource.proof import HELP as PROOF_HELP
from grafana_datasource.selection import Picked, select

Selector = Sequence[Matcher]

FIGURES = PROOF_HELP | CAPACITY_HELP | EPISODE_HELP | OWN_HELP
"""Metrics that are of now only, and what they say."""


def label_names(directory: Directory, selectors: Sequence[Selector]) -> list[str]:
    """Return the label names of everything that any selector means, of everything where there is none."""
    if not selectors:
        return sorted({"__name__", *directory.texts, *_added_labels(DERIVED)})
    groups = meant(directory, selectors)
    found = {name for group in groups for name in group.labels(group.entries[0])}
    stored = {entry.series: entry for group in groups if group.family is STORED for entry in group.entries}
    found.update(*(entry.labels for entry in stored.values()))
    return sorted(found.union(*(entry.own for entry in derived_entries(groups))))


def label_values(directory: Directory, label: str, selectors: Sequence[Selector], most: int) -> list[str]:
    """Return up to `most + 1` texts of a label, ascending."""
    if label == "__name__":
        names = {group.name for group in meant(directory, selectors)} if selectors else _all_names(directory)
        return nsmallest(most + 1, names)
    if not selectors and label in directory.texts:
        return nsmallest(most + 1, directory.texts[label])
    found: set[str] = set()
    for group in meant(directory, selectors or [()]):
        added = dict(group.family.labels)
        if label in added:
            found.add(added[label])
        else:
            found.update(group.family.describe(entry).get(label, "") for entry in group.entries)
    return nsmallest(most + 1, found - {""})


def metadata(directory: Directory, metric: str, most: int) -> dict[str, Any]:
    """Return type, help and unit of every metric, or of one; at most `most`."""
    found = {name: [_described("gauge", text, "")] for name, text in (HELP | FIGURES).items()}
    for name, entries in directory.by_name.items():
        key = entries[0].key
        found[name] = [_described("gauge" if key.statistic.is_modelled else "counter", key.metric, key.unit)]
    if metric:
        found = {name: rows for name, rows in found.items() if name == metric}
    return dict(sorted(found.items())[:most])


def meant(directory: Directory, selectors: Sequence[Selector]) -> list[Picked]:
    """Return what any of the selectors means; each series of a metric once."""
    if len(selectors) == 1:
        return select(directory, selectors[0])
    merged: dict[tuple[int, str], dict[int, Entry]] = {}
    groups: dict[tuple[int, str], Picked] = {}
    for selector in selectors:
        for group in select(directory, selector):
            place = (id(group.family), group.name)
            groups[place] = group
            merged.setdefault(place, {}).update((entry.series, entry) for entry in group.entries)
    return [
        Picked(groups[place].name, groups[place].family, [entries[series] for series in sorted(entries)])
        for place, entries in merged.items()
    ]


def derived_entries(groups: Iterable[Picked]) -> list[Entry]:
    """Return the series whose derived metrics are among the groups, each once."""
    entries = {entry.series: entry for group in groups if group.family is not STORED for entry in group.entries}
    return list(entries.values())


def _all_names(directory: Directory) -> set[str]:
    derived = {family.metric for family in DERIVED} if directory.modelled else set()
    return derived.union(FIGURES, directory.by_name)


def _added_labels(families: Iterable[Any]) -> set[str]:
    return {label for family in families for label, _ in family.labels} | {"title"}


def _described(kind: str, text: str, unit: str) -> dict[str, str]:
    return {"type": kind, "help": text, "unit": unit}
