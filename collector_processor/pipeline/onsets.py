"""What judged the first point of an episode, looked up soon after it: models are kept for hours, episodes for weeks.

Nothing of this is done while points are judged: an outage opens thousands of episodes in one batch, and each model has
to be read. New episodes wait here for the next ticks, which take a few at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.fleet import FleetModel
from collector_processor.telemetry.band import FORECASTS, LEVEL, BandStates
from collector_processor.telemetry.episode import Episode, Onset
from collector_processor.telemetry.model import ModelRecord

AT_ONCE = 100
"""Onsets looked up per tick: some 30 ms."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    episode: Episode
    model_version: int


class Onsets:
    """Those of open episodes, by series, and the episodes that wait for theirs; used by one thread."""

    def __init__(self, open_episodes: Sequence[Episode]) -> None:
        self._known = {e.series: e for e in open_episodes if e.onset is not None}
        self._waiting: dict[str, _Waiting] = {}

    def attached(self, episodes: Sequence[Episode], fleet: FleetModel) -> list[Episode]:
        """Return episodes with the onsets that are known; those without wait for `look_up`."""
        return [self._attach(episode, fleet) for episode in episodes]

    def look_up(
        self,
        stored: Callable[[str], Episode | None],
        model: Callable[[int, int], ModelRecord | None],
        bands: Callable[[int], BandStates],
    ) -> list[Episode]:
        """Return some of the waiting episodes with their onsets.

        `stored` is asked first: an episode that goes on after its end was stored with its onset. `bands` returns one
        state as it is now: what a series does in an episode does not move it.
        """
        found = []
        for episode_id in list(self._waiting)[:AT_ONCE]:
            waiting = self._waiting.pop(episode_id)
            episode, before = waiting.episode, stored(episode_id)
            onset = before.onset if before is not None else None
            record = model(episode.series, waiting.model_version) if onset is None else None
            if record is not None:
                onset = onset_of(record, episode.start_unix_nano, bands(episode.series)[0])
            if onset is not None:
                found.append(self._keep(replace(episode, onset=onset)))
        return found

    def _attach(self, episode: Episode, fleet: FleetModel) -> Episode:
        if not episode.is_of_points:
            return episode
        known = self._known.get(episode.series)
        if known is not None and known.episode_id == episode.episode_id:
            return self._keep(replace(episode, onset=known.onset))
        version = int(fleet.versions(np.array([episode.series], np.int32))[0])
        before = self._waiting.get(episode.episode_id)
        version = version if before is None else before.model_version
        self._waiting[episode.episode_id] = _Waiting(episode, version)
        return episode

    def _keep(self, episode: Episode) -> Episode:
        if episode.is_open:
            self._known[episode.series] = episode
        else:
            self._known.pop(episode.series, None)
        return episode


def onset_of(record: ModelRecord, time_unix_nano: int, band: np.void) -> Onset:
    """Describe what a point at a time was judged by: a model, and a band state."""
    alone = FleetModel.from_records([replace(record, series=0)])
    expected = alone.forecasts(np.zeros(1, np.int32), np.array([time_unix_nano]))[0]
    expected[LEVEL] = band["level"]
    forecasts = {name: value for name, value in zip(FORECASTS, expected.tolist(), strict=True) if np.isfinite(value)}
    tolerance = dict(zip(FORECASTS, band["tolerance"].tolist(), strict=True))
    return Onset(
        model_version=record.version,
        forecaster=record.forecaster,
        reason=record.reason,
        forecasts=forecasts,
        tolerance={name: tolerance[name] for name in forecasts if np.isfinite(tolerance[name])},
        threshold=float(band["threshold"]),
        parts=_parts(record, time_unix_nano),
    )


def _parts(record: ModelRecord, time_unix_nano: int) -> dict[str, float]:
    """Return what Prophet's forecast of a time is the sum of; nothing where there is no Prophet that can be read."""
    try:
        parameters: Any = orjson.loads(record.parameters)["prophet"]
        if parameters is None:
            return {}
        components = FittedProphet.from_parameters(parameters).components(np.array([time_unix_nano]))
    except (KeyError, TypeError, ValueError):
        return {}
    return {name: float(values[0]) for name, values in components.items()}
