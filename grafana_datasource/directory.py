"""Every series of the store under its Prometheus name and labels, ready to be searched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collector_processor.telemetry.series import SeriesKey
from grafana_datasource.series_names import derived_labels, metric_name, series_labels


@dataclass(frozen=True, slots=True)
class Entry:
    """One series: `labels` are those of its stored metric, `own` those of its `foreband_*` metrics."""

    series: int
    key: SeriesKey
    stable_id: str
    name: str
    labels: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Directory:
    """All entries, by dense series id, stable id and stored metric name; `modelled` ones are those with forecasts.

    `texts` holds, per label and text, the entries that have it among their own labels.
    """

    entries: Mapping[int, Entry] = field(default_factory=dict)
    by_stable_id: Mapping[str, Entry] = field(default_factory=dict)
    by_name: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    modelled: Sequence[Entry] = ()
    modelled_by_name: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, Sequence[Entry]]] = field(default_factory=dict)
    _label_sets: frozenset[tuple[str, ...]] = frozenset()

    @property
    def next_series(self) -> int:
        """Return the smallest dense id that is not known yet."""
        return max(self.entries, default=-1) + 1

    def with_series(self, rows: Sequence[tuple[int, SeriesKey]]) -> "Directory":
        """Return a directory with further series.

        Two series may come out with the same name and labels (they differ in unit or scope): the one with the
        smaller id keeps them, later ones get the label `series`, so that no label set ever changes.
        """
        if not rows:
            return self
        seen = set(self._label_sets)
        added = [_entry(series, key, seen) for series, key in rows]
        texts = {label: {text: list(found) for text, found in known.items()} for label, known in self.texts.items()}
        for entry in added:
            for label, text in entry.own.items():
                texts.setdefault(label, {}).setdefault(text, []).append(entry)
        return _directory([*self.entries.values(), *added], texts, frozenset(seen))

    def narrowed(self, entries: Sequence[Entry]) -> "Directory":
        """Return a directory of some of these entries only, for one search; label texts are left out."""
        return _directory(entries, {}, frozenset())

    def is_indexed(self, label: str) -> bool:
        """Tell whether any series has this label of its own."""
        return label in self.texts

    def with_text(self, label: str, text: str) -> Sequence[Entry]:
        """Return the entries whose own labels have this text."""
        return self.texts.get(label, {}).get(text, ())


def _directory(
    entries: Iterable[Entry], texts: Mapping[str, Mapping[str, Sequence[Entry]]], seen: frozenset[tuple[str, ...]]
) -> Directory:
    entries = list(entries)
    modelled = [entry for entry in entries if entry.key.statistic.is_modelled]
    return Directory(
        {entry.series: entry for entry in entries},
        {entry.stable_id: entry for entry in entries},
        _by_name(entries),
        modelled,
        _by_name(modelled),
        texts,
        seen,
    )


def _by_name(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    names: dict[str, list[Entry]] = {}
    for entry in entries:
        names.setdefault(entry.name, []).append(entry)
    return names


def _entry(series: int, key: SeriesKey, seen: set[tuple[str, ...]]) -> Entry:
    name, labels = metric_name(key), series_labels(key)
    own = dict(sorted((labels | derived_labels(key)).items()))
    identity = (name, *(f"{k}={v}" for k, v in labels.items()))
    if identity in seen:
        labels = dict(sorted((labels | {"series": own["series"]}).items()))
    seen.add(identity)
    return Entry(series, key, own["series"], name, labels, own)
