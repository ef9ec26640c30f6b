"""Which series are forgotten, and when: those of which the store has no point any more.

Forgetting some means to read all state anew, which takes seconds where there are many series. So it waits until an
eighth of all series can go: that is not more than eight times in the time of retention.
"""

import numpy as np

from collector_processor.clock import DAY, HOUR
from collector_processor.pipeline.overview import SeriesTimes
from collector_processor.signals.catalog import Catalog
from collector_processor.store.base import SeriesReader
from collector_processor.telemetry.points import Int32
from collector_processor.telemetry.series import SeriesKey

_SHARE = 8
_LOOK_EVERY = HOUR
_WHOLE_PARTS = DAY + 2 * HOUR
"""Points are dropped in parts of up to a day, once an hour."""


class Expiry:
    """When to look, and what is found then."""

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._looked = 0

    def is_due(self, times: SeriesTimes, known: int, now: int) -> bool:
        """Tell whether enough of the `known` series may have expired; once an hour at most."""
        if 0 <= now - self._looked < _LOOK_EVERY:
            return False
        silent = self._silent(times, now).size
        if not silent or _SHARE * silent < known:
            return False
        self._looked = now
        return True

    def expired(self, times: SeriesTimes, catalog: Catalog, reader: SeriesReader, now: int) -> Int32:
        """Return series without a point in the store, or anything that is open, whose siblings have none either.

        Raises:
            StoreError: if the store cannot be read.
        """
        silent = set(self._silent(times, now).tolist())
        silent.difference_update(reader.last_points().series.tolist())
        silent.difference_update(reader.events().stream.tolist())
        silent.difference_update(episode.series for episode in reader.open_episodes())
        keys = catalog.keys
        living = {_family(keys[series]) for series in catalog.made if series not in silent}
        gone = sorted(series for series in silent if _family(keys[series]) not in living)
        return np.array(gone, np.int32)

    def _silent(self, times: SeriesTimes, now: int) -> Int32:
        return times.silent(now - self._retention - _WHOLE_PARTS, now - _WHOLE_PARTS)


def _family(key: SeriesKey) -> bytes:
    """Return what series of the same data points have in common: the identity without the statistic."""
    kind, statistic = f'"{key.kind.value}"', f',"{key.statistic.value}"'
    before, _, after = key.identity.rpartition(f"{kind}{statistic},".encode())
    return before + after
