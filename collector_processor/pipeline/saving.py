"""When the state of series is saved, and what is saved of it: a part at a time, so that nobody waits for all of it."""

import logging
from collections import deque
from collections.abc import Sequence

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.detect.detector import Detector
from collector_processor.detect.known import SERIES_PER_BLOB, blob_names, first_series, stored_names
from collector_processor.policy import Policies
from collector_processor.store.base import SeriesReader
from collector_processor.telemetry.band import BandStates, Reason, unknown_bands
from collector_processor.telemetry.points import Bool, Int32

log = logging.getLogger(__name__)

_SAVE_EVERY = MINUTE
TURNS_PER_SECOND = 5
_TURNS = 45 * TURNS_PER_SECOND  # over which the state of all series is saved, out of a minute


class SaveSchedule:
    """Whose turn it is to be saved; all state in a minute."""

    def __init__(self) -> None:
        self._last = 0
        self._unsaved: deque[str] = deque()

    def is_due(self, now: int) -> bool:
        """Tell whether another round begins; a clock that was put back begins one, too."""
        return not 0 <= now - self._last < _SAVE_EVERY

    def begin(self, series: int, now: int) -> None:
        """Begin another round, over series ids below `series`."""
        self._unsaved, self._last = deque(blob_names(series)), now

    def take(self, series: int) -> list[str]:
        """Return the names of the blobs to save in this turn."""
        parts = min(len(self._unsaved), -(-len(blob_names(series)) // _TURNS))
        return [self._unsaved.popleft() for _ in range(parts)]

    def take_all(self) -> list[str]:
        """Return the names of all blobs of this round that are still to be saved."""
        names = list(self._unsaved)
        self._unsaved.clear()
        return names


class SavedBands:
    """The band states as they were saved last."""

    def __init__(self, states: BandStates) -> None:
        self.states = states

    def pieces(self, names: Sequence[str], detector: Detector, is_modelled: Bool) -> dict[int, BandStates]:
        """Return the band states that are to be saved with these blobs, by first series; they count as saved."""
        size = len(detector)
        if names and size > self.states.size:
            self.states = np.append(self.states, unknown_bands(size - self.states.size))
        pieces: dict[int, BandStates] = {}
        for first in map(first_series, names):
            bands = detector.bands(first, min(first + SERIES_PER_BLOB, size))
            bands["reason"][~is_modelled[first : first + bands.size]] = Reason.NOT_MODELLED
            self.states[first : first + bands.size] = pieces[first] = bands
        return pieces


def load_detector(reader: SeriesReader, policies: Policies, series: int, now: int) -> tuple[Detector, int]:
    """Return a detector of series ids below `series` as it was saved, and how many blobs could not be read."""
    detector = Detector(maintenance=policies.maintenance)
    detector.grow(series)
    problems = detector.load(saved_blobs(reader, stored_names(series)), reader.open_episodes(), now)
    for problem in problems:
        log.warning("%s", problem)
    return detector, len(problems)


def saved_blobs(reader: SeriesReader, names: Sequence[str]) -> dict[str, bytes]:
    """Return the blobs that there are of these."""
    blobs = {name: reader.blob(name) for name in names}
    return {name: blob for name, blob in blobs.items() if blob is not None}


def names_of(series: Int32, detector: Detector) -> list[str]:
    """Return under which names the state of these series is saved."""
    detector.grow(int(series.max(initial=-1)) + 1)
    names = blob_names(len(detector))
    return [names[place] for place in np.unique(series // SERIES_PER_BLOB).tolist()]
