"""What the store says about every series right now: names, newest models, band states, last points.

One immutable `Outlook` is shared by all requests and replaced when it is older than a second, or than twenty times what
the last refresh took; reading it costs nothing, refreshing it reads only series and models that are new.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND, Clock
from collector_processor.forecast.fleet import FleetModel
from collector_processor.store.base import Renewals, SeriesReader
from collector_processor.telemetry.band import BandStates, unknown_bands
from collector_processor.telemetry.points import Float64, Int64
from grafana_datasource.directory import Directory

_REST = 20
"""How many times longer an outlook serves than the last refresh took."""

_LONGEST_REST = 10 * NANOS_PER_SECOND


KnownFleet = Callable[[], FleetModel]
"""Returns the committed models of all series, as the process that writes has them."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Arrays are indexed by dense series id and as long as the highest id + 1; `last_time` 0 = no point yet."""

    directory: Directory
    fleet: FleetModel
    bands: BandStates
    last_time: Int64
    last_value: Float64
    refreshed_nano: int = 0
    renewals: Renewals = field(default_factory=Renewals)
    begun_nano: int = 0


class Outlooks:
    """Holds the current outlook; one thread at a time refreshes it while the others go on with the one there is.

    Refreshing takes about a twentieth of the time at most: where it is dear, it is done less often. A fleet that is
    `known` here need not be read and held a second time.
    """

    def __init__(self, clock: Clock, refresh_seconds: float, known: KnownFleet | None = None) -> None:
        self._clock = clock
        self._known = known
        self._max_age = self._least_age = int(refresh_seconds * NANOS_PER_SECOND)
        self._lock = Lock()
        self._current: Outlook | None = None

    def current(self, reader: SeriesReader) -> Outlook:
        """Return the outlook, refreshed from `reader` where it is too old."""
        while not self._lock.acquire(blocking=self._current is None):
            if self._current is not None:
                return self._current
        try:
            now = self._clock.monotonic_nano()
            if self._current is None:
                self._current = _refreshed(_empty(), reader, self._known, now)
            elif now - self._current.refreshed_nano >= self._max_age:
                self._current = _refreshed(self._current, reader, self._known, now)
                rest = min(_REST * (self._clock.monotonic_nano() - now), _LONGEST_REST)
                self._max_age = max(self._least_age, rest)
            return self._current
        finally:
            self._lock.release()


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Look for no garbage meanwhile: names of a whole fleet are made, and looking through them takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _empty() -> Outlook:
    return Outlook(Directory(), FleetModel.empty(), unknown_bands(0), np.zeros(0, np.int64), np.zeros(0))


def _refreshed(old: Outlook, reader: SeriesReader, known_fleet: KnownFleet | None, now: int) -> Outlook:
    renewals = reader.renewals()
    if _is_void(old, renewals, now):
        old = replace(_empty(), renewals=renewals, begun_nano=now)
    with _nothing_collected():
        directory = old.directory.with_series(reader.catalog(from_series=old.directory.next_series))
    fleet = _grown(old.fleet, reader) if known_fleet is None else known_fleet()
    size, last = directory.next_series, reader.last_points()
    known = last.series < size
    last_time, last_value = np.zeros(size, np.int64), np.full(size, np.nan)
    last_time[last.series[known]] = last.time_unix_nano[known]
    last_value[last.series[known]] = last.value[known]
    return Outlook(
        directory,
        fleet,
        _padded(reader.bands(), size),
        last_time,
        last_value,
        now,
        old.renewals,
        old.begun_nano,
    )


def _grown(fleet: FleetModel, reader: SeriesReader) -> FleetModel:
    """Return the fleet with the models that are newer than it."""
    records = reader.models(after_version=fleet.version)
    return fleet.with_models(records) if records else fleet


def _is_void(old: Outlook, renewals: Renewals, now: int) -> bool:
    """Tell whether all has to be read anew: series are gone, or, once a minute, new ones have the ids of such."""
    if renewals.forgotten != old.renewals.forgotten:
        return True
    return renewals.replaced != old.renewals.replaced and now - old.begun_nano >= MINUTE


def _padded(bands: BandStates, size: int) -> BandStates:
    """Give series without a saved state the state of a series nothing is known about."""
    padded = unknown_bands(size)
    common = min(size, bands.size)
    padded[:common] = bands[:common]
    return padded
