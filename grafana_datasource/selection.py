"""Find the series a selector means, stored and derived ones alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from grafana_datasource.dialects import DIALECTS
from grafana_datasource.directory import Directory, Entry
from grafana_datasource.families import DERIVED, STORED, Family
from grafana_datasource.matching import Matcher
from grafana_datasource.unit_names import spelled_with_units

_NAME = "__name__"
_ONLY_OF_FAMILIES = frozenset({"band", "interval_width"})
"""Labels that no stored series has."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Series of one metric; `family` says which of their numbers."""

    name: str
    family: Family
    entries: Sequence[Entry]

    def labels(self, entry: Entry) -> dict[str, str]:
        """Return the whole label set of one of the series."""
        return {_NAME: self.name, **self.family.labels_of(entry)}


def select(directory: Directory, matchers: Iterable[Matcher]) -> list[Picked]:
    """Return everything that meets all matchers, grouped by metric."""
    wanted = list(matchers)
    by_name = [matcher for matcher in wanted if matcher.label == _NAME]
    others = [matcher for matcher in wanted if matcher.label != _NAME]
    search = _Search(_candidates(directory, others), others)
    families = (*DERIVED, *(family for family in DIALECTS if _is_spelled(family, by_name)), STORED)
    found = [
        Picked(name, family, search.of(family, name, entries))
        for family in families
        for name, entries in _named(search.directory, family, by_name)
    ]
    return [picked for picked in found if picked.entries]


class _Search:
    """Matches each series once, however many metrics are derived from it."""

    def __init__(self, directory: Directory, matchers: Sequence[Matcher]) -> None:
        self.directory = directory
        self._matchers = matchers
        self._known: dict[tuple[Callable[[Entry], Mapping[str, str]], str, frozenset[str]], Sequence[Entry]] = {}

    def of(self, family: Family, name: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return those of a metric's series that meet the matchers."""
        added = dict(family.labels)
        of_family = {m.label for m in self._matchers if m.label in added or m.label in _ONLY_OF_FAMILIES}
        if not all(matcher.matches(added) for matcher in self._matchers if matcher.label in of_family):
            return []
        of_series = [matcher for matcher in self._matchers if matcher.label not in of_family]
        if not of_series:
            return entries
        asks_title = family.has_title and any(matcher.label == "title" for matcher in of_series)
        describe = family.labels_of if asks_title else family.describe
        is_every_series = not (family is STORED or family.metric.startswith(":"))
        key = (describe, "" if is_every_series else name, frozenset(of_family))
        if key not in self._known:
            self._known[key] = [entry for entry in entries if _matches(describe(entry), of_series)]
        return self._known[key]


def _candidates(directory: Directory, matchers: Sequence[Matcher]) -> Directory:
    """Narrow a directory to the series that have one of the rarest texts that a matcher demands."""
    demanded = [
        _with_text(directory.texts[matcher.label], matcher)
        for matcher in matchers
        if matcher.operator in {"=", "=~"} and not matcher.accepts("") and matcher.label in directory.texts
    ]
    fewest = min(demanded, key=len, default=None)
    return directory if fewest is None or 2 * len(fewest) > len(directory.entries) else directory.narrowed(fewest)


def _with_text(texts: Mapping[str, Sequence[Entry]], matcher: Matcher) -> Sequence[Entry]:
    """Return the entries whose text of a label is accepted, all of them by an index."""
    if matcher.operator == "=":
        return texts.get(matcher.text, ())
    accepted = [entries for text, entries in texts.items() if matcher.accepts(text)]
    return accepted[0] if len(accepted) == 1 else sorted(chain.from_iterable(accepted), key=attrgetter("series"))


def _is_spelled(family: Family, by_name: Sequence[Matcher]) -> bool:
    """Tell whether a selector writes out the name of another tool's metric; `.+` does not mean it."""
    name = family.metric.removeprefix(":")
    return any(name in matcher.text for matcher in by_name if matcher.operator in {"=", "=~"})


def _named(directory: Directory, family: Family, by_name: Sequence[Matcher]) -> Iterator[tuple[str, Sequence[Entry]]]:
    """Yield the metric names of a family that are meant, with all series that have them."""
    if family is not STORED and not family.metric.startswith(":"):
        if _accepts(by_name, family.metric):
            yield family.metric, directory.modelled
        return
    held = directory.by_name if family is STORED else directory.modelled_by_name
    for name in _names(held, by_name, family.metric):
        yield name + family.metric, held[name]
    if family is STORED:
        yield from _with_units(directory, by_name)


def _with_units(directory: Directory, by_name: Sequence[Matcher]) -> Iterator[tuple[str, Sequence[Entry]]]:
    """Yield names that are spelled out as Prometheus writes them for OpenTelemetry."""
    spelled = next((matcher.text for matcher in by_name if matcher.operator in {"=", "=~"}), "")
    for name, entries in spelled_with_units(directory, spelled):
        if _accepts(by_name, name):
            yield name, entries


def _names(held: Mapping[str, Sequence[Entry]], by_name: Sequence[Matcher], suffix: str) -> Iterable[str]:
    for matcher in by_name:
        if matcher.operator == "=":
            name = matcher.text.removesuffix(suffix)
            return [name] if name in held and _accepts(by_name, name + suffix) else []
    return [name for name in held if _accepts(by_name, name + suffix)]


def _accepts(by_name: Sequence[Matcher], name: str) -> bool:
    return all(matcher.accepts(name) for matcher in by_name)


def _matches(labels: Mapping[str, str], matchers: Sequence[Matcher]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
