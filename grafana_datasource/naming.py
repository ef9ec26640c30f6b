"""What every series is called, in columns: to search, sort and count a hundred thousand of them at once.

Series never change their names, so what was said of known ones is kept and only new ones are looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from collector_processor.telemetry.points import Bool, Int32, Int64
from collector_processor.telemetry.titles import detail, title
from grafana_datasource.directory import Directory, Entry


@dataclass(frozen=True, slots=True)
class Names:
    """Columns by dense series id; `place` is where a series stands by service, title and detail, ignoring case.

    `text` is all that a search looks at, in lower case. `service` is a place in `services`. Ids without a series are
    not modelled.
    """

    directory: Directory = field(default_factory=Directory)
    text: tuple[str, ...] = ()
    place: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    is_modelled: Bool = field(default_factory=lambda: np.zeros(0, np.bool_))
    service: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    services: Mapping[str, int] = field(default_factory=dict)

    def of(self, directory: Directory) -> "Names":
        """Return the names of all series of a directory that has grown, or these where it has not."""
        if directory is self.directory:
            return self
        return _grown(self if directory.lineage is self.directory.lineage else Names(), directory)

    def matching(self, series: Int64, search: str) -> Int64:
        """Return those of `series` that have every word of a search in their text."""
        words = search.lower().split()
        if not words:
            return series
        found = [each for each in series.tolist() if all(word in self.text[each] for word in words)]
        return np.array(found, np.int64)


def _grown(old: Names, directory: Directory) -> Names:
    size = directory.next_series
    added = [directory.entries.get(series) for series in range(len(old.text), size)]
    services = dict(old.services)
    for entry in added:
        if entry is not None:
            services.setdefault(entry.key.service, len(services))
    text = (*old.text, *("" if entry is None else _text(entry) for entry in added))
    place = np.empty(size, np.int64)
    place[sorted(range(size), key=text.__getitem__)] = np.arange(size)
    own = [0 if entry is None else services[entry.key.service] for entry in added]
    modelled = [entry is not None and entry.key.statistic.is_modelled for entry in added]
    return Names(
        directory,
        text,
        place,
        np.append(old.is_modelled, np.array(modelled, np.bool_)),
        np.append(old.service, np.array(own, np.int32)),
        services,
    )


def _text(entry: Entry) -> str:
    key = entry.key
    words = (key.service, title(key), detail(key), key.metric, key.statistic.value, entry.stable_id)
    return "\0".join(words).lower()
