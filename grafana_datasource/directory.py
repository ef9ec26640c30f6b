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

    entries: dict[int, Entry] = field(default_factory=dict)
    by_stable_id: Mapping[str, Entry] = field(default_factory=dict)
    by_name: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    modelled: Sequence[Entry] = ()
    modelled_by_name: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, Sequence[Entry]]] = field(default_factory=dict)
    _label_sets: frozenset[tuple[str, ...]] = frozenset()
    lineage: object = field(default_factory=object)
    """The same in all directories that grew out of one: in none of them does an id stand for another series."""

    @property
    def next_series(self) -> int:
        """Return the smallest dense id that is not known yet."""
        return next(reversed(self.entries), -1) + 1

    def with_series(self, rows: Sequence[tuple[int, SeriesKey]]) -> "Directory":
        """Return a directory with further series, of larger ids; what they do not touch is shared.

        Two series may come out with the same name and labels (they differ in unit or scope): the one with the
        smaller id keeps them, later ones get the label `series`, so that no label set ever changes.
        """
        if not rows:
            return self
        seen = set(self._label_sets)
        added = [_entry(series, key, seen) for series, key in rows]
        modelled = [entry for entry in added if entry.key.statistic.is_modelled]
        by_label: dict[str, list[tuple[str, Entry]]] = {}
        for entry in added:
            for label, text in entry.own.items():
                by_label.setdefault(label, []).append((text, entry))
        return Directory(
            self.entries | {entry.series: entry for entry in added},
            {**self.by_stable_id, **{entry.stable_id: entry for entry in added}},
            _extended(self.by_name, ((entry.name, entry) for entry in added)),
            [*self.modelled, *modelled],
            _extended(self.modelled_by_name, ((entry.name, entry) for entry in modelled)),
            {**self.texts, **{label: _extended(self.texts.get(label, {}), pairs) for label, pairs in by_label.items()}},
            frozenset(seen),
            self.lineage,
        )

    def narrowed(self, entries: Sequence[Entry]) -> "Directory":
        """Return a directory of some of these entries only, for one search; label texts are left out."""
        modelled = [entry for entry in entries if entry.key.statistic.is_modelled]
        return Directory(
            {entry.series: entry for entry in entries},
            {entry.stable_id: entry for entry in entries},
            _extended({}, ((entry.name, entry) for entry in entries)),
            modelled,
            _extended({}, ((entry.name, entry) for entry in modelled)),
        )


def _extended(
    index: Mapping[str, Sequence[Entry]], pairs: Iterable[tuple[str, Entry]]
) -> Mapping[str, Sequence[Entry]]:
    """Return an index with further entries by key; lists of other keys are shared."""
    added: dict[str, list[Entry]] = {}
    for key, entry in pairs:
        added.setdefault(key, []).append(entry)
    return {**index, **{key: [*index.get(key, ()), *found] for key, found in added.items()}}


def _entry(series: int, key: SeriesKey, seen: set[tuple[str, ...]]) -> Entry:
    name, labels = metric_name(key), series_labels(key)
    own = dict(sorted((labels | derived_labels(key)).items()))
    identity = (name, *(f"{k}={v}" for k, v in labels.items()))
    if identity in seen:
        labels = dict(sorted((labels | {"series": own["series"]}).items()))
    seen.add(identity)
    return Entry(series, key, own["series"], name, labels, own)
