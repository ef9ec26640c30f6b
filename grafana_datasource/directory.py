"""Every series of the store under its Prometheus name and labels, ready to be searched."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector_processor.telemetry.points import Bool, Int64
from collector_processor.telemetry.series import SeriesKey
from grafana_datasource.series_names import DERIVED_LABELS, Labelling, derived_labels, metric_name

_TOLD_APART = DERIVED_LABELS - {"series"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One series: `own` are the labels of its `foreband_*` metrics, in order of name.

    `is_told_apart` says that another series has the same name and labels, so that this one has `series` among them.
    """

    series: int
    key: SeriesKey
    stable_id: str
    name: str
    own: Mapping[str, str]
    is_told_apart: bool = False

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels of its stored metric, made each time: a second set for each series takes much memory."""
        added = _TOLD_APART if self.is_told_apart else DERIVED_LABELS
        return {name: text for name, text in self.own.items() if name not in added}


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
    _label_sets: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """A hash of each name with its labels: two that agree by chance get a label more than they need."""
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
        labelling = Labelling()
        labels = [labelling.of(key) for _, key in rows]
        names = [metric_name(key) for _, key in rows]
        hashes = np.array([hash((n, frozenset(of.items()))) for n, of in zip(names, labels, strict=True)], np.int64)
        is_taken = _is_taken(hashes, self._label_sets).tolist()
        added = [
            _entry(series, key, name, of, is_told_apart=taken)
            for (series, key), name, of, taken in zip(rows, names, labels, is_taken, strict=True)
        ]
        modelled = [entry for entry in added if entry.key.statistic.is_modelled]
        by_stable_id = {**self.by_stable_id, **{entry.stable_id: entry for entry in added}}
        return Directory(
            self.entries | {entry.series: entry for entry in added},
            by_stable_id,
            _extended(self.by_name, ((entry.name, entry) for entry in added)),
            [*self.modelled, *modelled],
            _extended(self.modelled_by_name, ((entry.name, entry) for entry in modelled)),
            {**self.texts, **_texts(self.texts, added), "series": _Single(by_stable_id)},
            np.concatenate([self._label_sets, hashes]),
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


class _Single(Mapping[str, Sequence[Entry]]):
    """An index in which each text has one entry."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, text: str) -> Sequence[Entry]:
        return (self._entries[text],)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _is_taken(hashes: Int64, known: Int64) -> Bool:
    """Tell which of these are among those known, or came before."""
    is_taken = np.ones(hashes.size, np.bool_)
    is_taken[np.unique(hashes, return_index=True)[1]] = False
    return is_taken | np.isin(hashes, known)


def _texts(
    texts: Mapping[str, Mapping[str, Sequence[Entry]]], added: Sequence[Entry]
) -> dict[str, Mapping[str, Sequence[Entry]]]:
    """Return an index by text of each label that further entries have, but of the one that tells all apart."""
    labels = {label for entry in added for label in entry.own} - {"series"}
    return {
        label: _extended(texts.get(label, {}), ((entry.own[label], entry) for entry in added if label in entry.own))
        for label in labels
    }


def _extended(
    index: Mapping[str, Sequence[Entry]], pairs: Iterable[tuple[str, Entry]]
) -> Mapping[str, Sequence[Entry]]:
    """Return an index with further entries by key; lists of other keys are shared."""
    added: dict[str, list[Entry]] = {}
    for key, entry in pairs:
        added.setdefault(key, []).append(entry)
    return {**index, **{key: [*index.get(key, ()), *found] for key, found in added.items()}}


def _entry(series: int, key: SeriesKey, name: str, labels: dict[str, str], *, is_told_apart: bool) -> Entry:
    own = dict(sorted((labels | derived_labels(key)).items()))
    return Entry(series, key, own["series"], name, own, is_told_apart)
