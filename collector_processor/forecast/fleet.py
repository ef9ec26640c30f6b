"""The forecasts of all series at once: immutable, published by swapping one reference.

A refit never changes a `FleetModel`, it makes the next one; whoever evaluates holds one that stays as it is. Prophet is
a row of the `theta` that all series of one design share, the two medians of the day are rows of `profile`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from collector_processor.forecast.design import Design
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.local_time import wall_clock
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal, neighbours
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64, Int32, Int64

_PROPHET, _SEASONAL = FORECASTS.index("prophet"), FORECASTS.index("seasonal")
_LARGEST = np.iinfo(np.int16).max


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The series whose models are of one design, each with a row of `theta` `(m, P)`."""

    design: Design
    theta: Float64


@dataclass(frozen=True, slots=True, eq=False)
class FleetModel:
    """Parameters of S series, row = dense series id; NaN (times and versions: 0) where a series has no model.

    `group` indexes `groups`, -1 where there is no Prophet, and `place` the series' row there. It holds between
    `valid_from` (the last changepoint) and `valid_until`: one training window past its end, since a trend fitted on
    half an hour says nothing about tomorrow. Days of the seasonal and the recent forecast, on the clocks of
    `zones[zone]`, are `profile_offset + profile_scale * profile` `(S, 2, 96)`: two bytes are 30 millionths of what a
    day ranges over, however far from 0 that is.
    `winner` indexes FORECASTS. `std` is the series' own standard deviation; `sigma`, `changepoint_rate` (per day) and
    `mean_delta` (value units a day) are Prophet's uncertainty, see `fitted.TrendParameters`. `unreadable` counts
    records whose parameters were no valid JSON of ours: those series keep what they had until a refit.
    """

    version: int
    groups: tuple[Group, ...]
    group: npt.NDArray[np.int16]
    place: Int32
    zones: tuple[str, ...]
    zone: npt.NDArray[np.int16]
    valid_from_unix_nano: Int64
    valid_until_unix_nano: Int64
    profile: npt.NDArray[np.int16]
    profile_offset: Float64
    profile_scale: Float64
    winner: npt.NDArray[np.uint8]
    std: Float64
    sigma: Float64
    changepoint_rate: Float64
    mean_delta: Float64
    model_version: Int64
    trained_start_unix_nano: Int64
    trained_end_unix_nano: Int64
    created_unix_nano: Int64
    unreadable: int = 0

    def __len__(self) -> int:
        return self.winner.size

    @classmethod
    def empty(cls) -> "FleetModel":
        """Return a model of no series."""
        return cls(version=0, groups=(), zones=("UTC",), **{name: row[:0] for name, row in _NO_MODEL.items()})

    @classmethod
    def from_records(cls, records: Sequence[ModelRecord]) -> "FleetModel":
        """Build the model that consists of these records."""
        return cls.empty().with_models(records)

    def with_models(self, records: Sequence[ModelRecord]) -> "FleetModel":
        """Return the next model, with these records in place of older ones of their series; `self` stays as it is."""
        size = max([len(self), *(record.series + 1 for record in records)])
        columns = {name: _grown(getattr(self, name), row, size) for name, row in _NO_MODEL.items()}
        fitted: dict[int, FittedProphet | None] = {}
        zones = {name: i for i, name in enumerate(self.zones)}
        unreadable = sum(not _put(columns, fitted, zones, record) for record in records)
        version = max([self.version, *(record.version for record in records)])
        groups = _regrouped(self.groups, columns, fitted)
        unreadable += self.unreadable
        return FleetModel(version=version, groups=groups, zones=tuple(zones), unreadable=unreadable, **columns)

    def forecasts(self, series: Int32, time_unix_nano: Int64) -> Float64:
        """Return `(n, F)`, columns FORECASTS, for series ids `(n,)` at times `(n,)`; NaN where there is none.

        The level is not of the model, its column is always NaN.
        Cheapest when few times are distinct.
        """
        known = self.versions(series) > 0
        if known.all():
            return self._of_known(series, time_unix_nano)
        result = np.full((series.size, len(FORECASTS)), np.nan)
        result[known] = self._of_known(series[known], time_unix_nano[known])
        return result

    def winners(self, series: Int32) -> npt.NDArray[np.uint8]:
        """Return the forecast to draw of series `(n,)`, as an index into FORECASTS; any id may be asked for."""
        winner = np.full(series.size, _SEASONAL, np.uint8)
        known = self.versions(series) > 0
        winner[known] = self.winner[series[known]]
        return winner

    def versions(self, series: Int32) -> Int64:
        """Return the model version of series `(n,)`, 0 where there is no model; any id may be asked for."""
        if series.size and series.min() >= 0 and series.max() < len(self):
            return self.model_version[series]
        version = np.zeros(series.size, np.int64)
        inside = (series >= 0) & (series < len(self))
        version[inside] = self.model_version[series[inside]]
        return version

    def _of_known(self, series: Int32, time: Int64) -> Float64:
        result = np.full((series.size, len(FORECASTS)), np.nan)
        if series.size:
            moments, moment = _distinct(time)
            result[:, _PROPHET] = self._prophet(series, time, moments, moment)
            result[:, _SEASONAL:LEVEL] = self._seasonal(series, moments, moment)
        return result

    def _prophet(self, series: Int32, time: Int64, moments: Int64, moment: Int64) -> Float64:
        group = self.group[series]
        if len(self.groups) == 1 and not group.any():
            yhat = self._grouped(0, series, moments, moment)
        else:
            yhat = np.full(series.size, np.nan)
            for i in range(len(self.groups)):
                members = np.flatnonzero(group == i)
                if members.size:
                    yhat[members] = self._grouped(i, series[members], moments, moment[members])
        valid = (time >= self.valid_from_unix_nano[series]) & (time < self.valid_until_unix_nano[series])
        return np.where(valid, yhat, np.nan)

    def _grouped(self, i: int, series: Int32, moments: Int64, moment: Int64) -> Float64:
        """Return yhat of series that all belong to group `i`."""
        design, theta, place = self.groups[i].design, self.groups[i].theta, self.place[series]
        x = design.evaluate(moments)
        if moments.size > 1:
            return design.combine(theta[place], x[moment])
        if len(theta) <= 2 * place.size:  # dearer to pick the rows than to evaluate all of them
            return design.combine(theta, x[0])[place]
        return design.combine(theta[place], x[0])

    def _seasonal(self, series: Int32, moments: Int64, moment: Int64) -> Float64:
        if len(self.zones) > 1:
            moment = self.zone[series].astype(np.int64) * moments.size + moment
            moments = np.concatenate([wall_clock(moments, name) for name in self.zones])
        slot, following, share = neighbours(moments)
        if moments.size == 1 and len(self) <= 2 * series.size:  # dearer to pick the rows than to evaluate all of them
            return self._day(slice(None), slot[0], following[0], share[0])[series]
        return self._day(series, slot[moment], following[moment], share[moment, np.newaxis])

    def _day(self, rows: Any, slot: Any, following: Any, share: Any) -> Float64:
        """Return `(n, 2)`, the medians of the day of these rows between two slots."""
        unit = self.profile[rows, :, slot] * (1.0 - share) + self.profile[rows, :, following] * share
        return np.asarray(self.profile_offset[rows] + self.profile_scale[rows] * unit)


_NO_MODEL: dict[str, Any] = {
    "group": np.full(1, -1, np.int16),
    "place": np.zeros(1, np.int32),
    "zone": np.zeros(1, np.int16),
    "valid_from_unix_nano": np.zeros(1, np.int64),
    "valid_until_unix_nano": np.zeros(1, np.int64),
    "profile": np.zeros((1, 2, SLOTS), np.int16),
    "profile_offset": np.full((1, 2), np.nan),
    "profile_scale": np.full((1, 2), np.nan),
    "winner": np.full(1, _SEASONAL, np.uint8),
    "std": np.full(1, np.nan),
    "sigma": np.full(1, np.nan),
    "changepoint_rate": np.full(1, np.nan),
    "mean_delta": np.full(1, np.nan),
    "model_version": np.zeros(1, np.int64),
    "trained_start_unix_nano": np.zeros(1, np.int64),
    "trained_end_unix_nano": np.zeros(1, np.int64),
    "created_unix_nano": np.zeros(1, np.int64),
}
"""The row of a series without a model, for every column."""


def _distinct(time: Int64) -> tuple[Int64, Int64]:
    """Return the distinct times, and which of them each time is; a tick has one, and that is quick to see."""
    if (time == time[0]).all():
        return time[:1], np.zeros(time.size, np.int64)
    return np.unique(time, return_inverse=True)


def _grown(column: Any, no_model: Any, size: int) -> Any:
    return np.concatenate([column, np.repeat(no_model, size - len(column), axis=0)])


def _put(
    columns: dict[str, Any], fitted: dict[int, FittedProphet | None], zones: dict[str, int], record: ModelRecord
) -> bool:
    """Write one record into its row; return False, and leave the row as it is, where it can't be read.

    `zones` has the number of every time zone, and gets those it has not.
    """
    try:
        parameters = orjson.loads(record.parameters)
        found = parameters["prophet"]
        prophet = FittedProphet.from_parameters(found) if found is not None else None
        row = _row(record, parameters, zones) | (_prophet_row(prophet) if prophet is not None else {})
    except (KeyError, TypeError, ValueError):
        return False
    for name, no_model in _NO_MODEL.items():
        columns[name][record.series] = row.get(name, no_model[0])
    fitted[record.series] = prophet
    return True


def _regrouped(
    groups: tuple[Group, ...], columns: dict[str, Any], fitted: dict[int, FittedProphet | None]
) -> tuple[Group, ...]:
    """Put newly fitted series into the group of their design; groups that nobody is left in are gone.

    `columns` has the group and place of series that were not fitted anew, and gets those of all.
    """
    members = {group.design: np.flatnonzero(columns["group"] == i) for i, group in enumerate(groups)}
    thetas = {group.design: group.theta[columns["place"][members[group.design]]] for group in groups}
    fresh: dict[Design, dict[int, Float64]] = {}
    for series, prophet in fitted.items():
        if prophet is not None:
            fresh.setdefault(prophet.design, {})[series] = prophet.theta()
    regrouped: list[Group] = []
    for design in [*members, *(design for design in fresh if design not in members)]:
        more = fresh.get(design, {})
        rows_of = np.concatenate([members.get(design, np.empty(0, np.int64)), np.array(list(more), np.int64)])
        if rows_of.size:
            columns["group"][rows_of], columns["place"][rows_of] = len(regrouped), np.arange(rows_of.size)
            rows = [thetas.get(design, np.empty((0, design.size))), *(row[np.newaxis] for row in more.values())]
            regrouped.append(Group(design, np.concatenate(rows)))
    return tuple(regrouped)


def _row(record: ModelRecord, parameters: Any, zones: dict[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "winner": FORECASTS.index(record.forecaster),
        "std": float(parameters["std"]),
        "model_version": record.version,
        "trained_start_unix_nano": record.trained_start_unix_nano,
        "trained_end_unix_nano": record.trained_end_unix_nano,
        "created_unix_nano": record.created_unix_nano,
    }
    if parameters["seasonal"] is not None:
        seasonal = FittedSeasonal.from_parameters(parameters["seasonal"])
        recent = parameters.get("recent", parameters["seasonal"])
        row |= _seasonal_row(seasonal, FittedSeasonal.from_parameters(recent))
        row["zone"] = zones.setdefault(seasonal.time_zone, len(zones))
    return row


def _prophet_row(fitted: FittedProphet) -> dict[str, Any]:
    trend = fitted.trend_parameters
    return {
        "valid_from_unix_nano": fitted.last_changepoint_unix_nano,
        "valid_until_unix_nano": fitted.trained_end_unix_nano + fitted.span_nano + 1,
        "sigma": trend.sigma,
        "changepoint_rate": trend.changepoint_rate,
        "mean_delta": trend.mean_delta,
    }


def _seasonal_row(*fitted: FittedSeasonal) -> dict[str, Any]:
    profile = np.stack([one.profile for one in fitted])
    low, high = profile.min(axis=1), profile.max(axis=1)
    offset, scale = (low + high) / 2, np.where(high > low, (high - low) / (2 * _LARGEST), 1.0)
    return {
        "profile": np.rint((profile - offset[:, np.newaxis]) / scale[:, np.newaxis]),
        "profile_offset": offset,
        "profile_scale": scale,
    }
