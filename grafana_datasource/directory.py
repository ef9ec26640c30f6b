"""Every series of the store under its Prometheus name and labels, ready to be searched."""

from collections.abc import Mapping, Sequence
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
    """All entries, by dense series id, stable id and stored metric name."""

    entries: Mapping[int, Entry] = field(default_factory=dict)
    by_stable_id: Mapping[str, Entry] = field(default_factory=dict)
    by_name: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
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
        entries, seen = dict(self.entries), set(self._label_sets)
        names: dict[str, list[Entry]] = {name: list(found) for name, found in self.by_name.items()}
        for series, key in rows:
            entry = _entry(series, key, seen)
            entries[series] = entry
            names.setdefault(entry.name, []).append(entry)
        by_stable_id = {entry.stable_id: entry for entry in entries.values()}
        return Directory(entries, by_stable_id, names, frozenset(seen))


def _entry(series: int, key: SeriesKey, seen: set[tuple[str, ...]]) -> Entry:
    name, labels = metric_name(key), series_labels(key)
    own = dict(sorted((labels | derived_labels(key)).items()))
    identity = (name, *(f"{k}={v}" for k, v in labels.items()))
    if identity in seen:
        labels = dict(sorted((labels | {"series": own["series"]}).items()))
    seen.add(identity)
    return Entry(series, key, own["series"], name, labels, own)
