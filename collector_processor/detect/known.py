"""All that is known about every series, part by part: grown, copied, saved and restored together."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from collector_processor.detect import (
    calibrate,
    days,
    drift,
    episodes,
    holding,
    level,
    record,
    silence,
    status,
    threshold,
)
from collector_processor.detect.calibrate import QuantileTracker
from collector_processor.detect.days import Days
from collector_processor.detect.drift import Drifts
from collector_processor.detect.episodes import Episodes
from collector_processor.detect.holding import Holding
from collector_processor.detect.level import Levels
from collector_processor.detect.silence import Silence
from collector_processor.detect.status import Status
from collector_processor.detect.threshold import BlockMaxima
from collector_processor.telemetry.points import Int32

SAVE_VERSION = 5
SERIES_PER_BLOB = 512
"""Some 560 KB: the state of a large fleet is saved a little at a time.

Beside it lie the rings of the daily and hourly maxima, 930 KB. They change once an hour and are written when they did,
with the state they belong to.
"""

_BLOB_PREFIX, _RINGS_PREFIX = "detector/", "rings/"
_SAVED = np.dtype(
    [
        ("maxima", threshold.CURRENT),
        ("tracker", calibrate.DTYPE),
        ("episode", episodes.DTYPE),
        ("holding", holding.DTYPE),
        ("level", level.DTYPE),
        ("status", status.DTYPE),
        ("silence", silence.DTYPE),
        ("days", days.DTYPE),
        ("drift", drift.DTYPE),
    ]
)


class _Part(Protocol):
    """One record per series."""

    records: record.Records

    def grow(self, n: int) -> None: ...


class Known:
    """The parts of a detector's state; everything is indexed by dense series id."""

    def __init__(self) -> None:
        self.size = 0
        self.maxima = BlockMaxima()
        self.tracker = QuantileTracker()
        self.episodes = Episodes()
        self.holding = Holding()
        self.levels = Levels()
        self.status = Status()
        self.silence = Silence()
        self.days = Days()
        self.drifts = Drifts()

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`; known series keep what is known."""
        if n <= self.size:
            return
        self.size = n
        self.maxima.grow(n)
        for part in self._flat_parts().values():
            part.grow(n)

    def taken(self, series: Int32) -> "Known":
        """Return a copy whose series i is what this one knows of `series[i]`."""
        copy = Known()
        copy.grow(series.size)
        copy.maxima.restore(0, self.maxima.taken(series))
        for name, part in copy._flat_parts().items():
            part.records[: series.size] = self._flat_parts()[name].records[series]
        return copy

    def forget(self, series: Int32) -> None:
        """Know nothing of these any more."""
        new = Known()
        new.grow(1)
        maxima = new.maxima.export(0, 1)
        for each in series.tolist():
            self.maxima.restore(each, maxima)
        for name, part in self._flat_parts().items():
            part.records[series] = new._flat_parts()[name].records[0]

    def saved(self, name: str) -> dict[str, bytes]:
        """Return what is known of the series that are saved under this name, and their rings if they turned."""
        start = first_series(name)
        end = min(start + SERIES_PER_BLOB, self.size)
        saved = np.zeros(end - start, _SAVED)
        saved["maxima"] = self.maxima.current(start, end)
        for field, part in self._flat_parts().items():
            saved[field] = part.records[start:end]
        rings = self.maxima.take_turned(start, end)
        blobs = {name: record.encode(saved, SAVE_VERSION)}
        return blobs if rings is None else blobs | {_rings_of(name): record.encode(rings, SAVE_VERSION)}

    def restore(self, name: str, blobs: Mapping[str, bytes]) -> None:
        """Put back what `saved` gave; `blobs` are the newest of each name.

        Raises:
            ValueError: if it is something else, of another version or cut off; nothing is changed then.
        """
        start, saved = first_series(name), record.decode(blobs[name], _SAVED, SAVE_VERSION)
        rings = record.decode(blobs.get(_rings_of(name), b""), threshold.RINGS, SAVE_VERSION)
        if rings.size != saved.size:
            raise ValueError(f"rings of {rings.size} series beside the state of {saved.size}")
        self.grow(start + saved.size)
        maxima = np.zeros(saved.size, threshold.DTYPE)
        maxima["current"], maxima["rings"] = saved["maxima"], rings
        self.maxima.restore(start, maxima)
        for field, part in self._flat_parts().items():
            part.records[start : start + saved.size] = saved[field]

    def _flat_parts(self) -> dict[str, "_Part"]:
        return {
            "tracker": self.tracker,
            "episode": self.episodes,
            "holding": self.holding,
            "level": self.levels,
            "status": self.status,
            "silence": self.silence,
            "days": self.days,
            "drift": self.drifts,
        }


def blob_names(series: int) -> list[str]:
    """Return the names under which the state of series ids below `series` is saved."""
    return [f"{_BLOB_PREFIX}{first}" for first in range(0, series, SERIES_PER_BLOB)]


def is_blob_name(name: str) -> bool:
    """Tell whether state is saved under this name, not what lies beside it."""
    return name.startswith(_BLOB_PREFIX)


def stored_names(series: int) -> list[str]:
    """Return the names of all blobs that there may be of series ids below `series`."""
    names = blob_names(series)
    return names + [_rings_of(name) for name in names]


def first_series(name: str) -> int:
    """Return the first series id whose state is saved under this name."""
    return int(name.removeprefix(_BLOB_PREFIX))


def _rings_of(name: str) -> str:
    return f"{_RINGS_PREFIX}{first_series(name)}"
