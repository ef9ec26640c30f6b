"""Known anomalies in shadow copies of live series: would they be found, and how soon?

The last day of a series, moved on by a day (and by what its forecast changes in that time), is judged by copies of what
the detector knows of it now: once as it is, and once with each anomaly in it, from an hour after its begin on.

| kind | what is added |
|---|---|
| spike | `size` for five minutes, one point at least |
| drop | -`size` for an hour |
| shift | `size` until the end of the day |
| drift | from 0 to `size`, evenly until the end of the day |
| silence | nothing comes any more, for two hours |

Sizes are in units of the larger of two: the error of the drawn forecast that the series' own days pass once in eleven,
and the deviation that its policy never flags. Found means: flagged on the right side where the day as it is is not. Not
tried: the side that a policy does not ask for, what the bounds of a series leave no room for, the silence of series
whose absence is no news, and series whose unit is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.detect.detector import Detector
from collector_processor.forecast.expectation import least_deviation
from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import Direction


class CanaryKind(StrEnum):
    """What is put into a shadow copy."""

    SPIKE = "spike"
    DROP = "drop"
    SHIFT = "shift"
    DRIFT = "drift"
    SILENCE = "silence"


SIZES = (1.5, 3.0)
ONSET = HOUR
MOST_POINTS = 360
"""A day of more points is thinned evenly."""

_LEAST_POINTS = 20
_LASTS = {CanaryKind.SPIKE: 5 * MINUTE, CanaryKind.DROP: HOUR, CanaryKind.SHIFT: DAY, CanaryKind.DRIFT: DAY}
_VARIANTS = [(kind, size) for kind in _LASTS for size in SIZES]
_STEP = MINUTE // 2
_LISTEN = 2 * HOUR

Forecasts = Callable[[Int32, Int64], Float64]


@dataclass(frozen=True, slots=True)
class Subjects:
    """A sample of live series: `shadow` knows of its series i what the detector knew of `series[i]` at `now`."""

    series: Int32
    shadow: Detector
    winner: npt.NDArray[np.uint8]
    forecasts: Forecasts
    now: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One anomaly in one series; `seconds` from its begin until it was found, NaN where it was not."""

    kind: CanaryKind
    size: float
    seconds: float


def try_values(subjects: Subjects, points: PointBatch) -> list[Trial]:
    """Try what changes values, with the last day of points of the sample, all at once."""
    days = [
        day
        for i, series in enumerate(subjects.series.tolist())
        if (day := _planned(subjects, i, _thinned(points.take(points.series == series)))) is not None
    ]
    if not days:
        return []
    anomaly = _judged(subjects, days)
    trials, first = [], 0
    for day in days:
        copies, n = day.values.shape
        trials += _trials(day, anomaly[first : first + copies * n].reshape(copies, n))
        first += copies * n
    return trials


def try_silence(subjects: Subjects, points: PointBatch) -> list[Trial]:
    """Try silence: one copy of each series goes on reporting at its usual pace, its twin does not."""
    found = dict.fromkeys(np.flatnonzero(subjects.shadow.is_watched(_ids(subjects))).tolist(), np.nan)
    pace = np.array([_pace(points.time_unix_nano[points.series == series]) for series in subjects.series])
    n = subjects.series.size
    twins = subjects.shadow.shadow(np.tile(_ids(subjects), 2))
    heard = np.full(n, subjects.now)
    for now in range(subjects.now, subjects.now + _LISTEN, _STEP):
        due = np.flatnonzero(now - heard >= pace).astype(np.int32)
        heard[due] = now
        twins.hear(PointBatch(due, heard[due], np.zeros(due.size)), now)
        for episode in twins.look_for_silence(now):
            if found.get(episode.series - n, 0.0) != 0.0:
                found[episode.series - n] = (now - subjects.now) / NANOS_PER_SECOND
            found.pop(episode.series, None)  # the twin that reports is silent, too: that proves nothing
    return [Trial(CanaryKind.SILENCE, 0.0, seconds) for seconds in found.values()]


@dataclass(frozen=True, slots=True)
class _Day:
    """What is tried in series i: `values` `(1 + v, n)` at `time` `(n,)`, the first as it is, and `variants` (v,)."""

    i: int
    time: Int64
    forecasts: Float64
    values: Float64
    variants: list[tuple[CanaryKind, float]]


def _planned(subjects: Subjects, i: int, own: PointBatch) -> _Day | None:
    """Plan the next day of a series, None where nothing can be tried."""
    if len(own) < _LEAST_POINTS:
        return None
    one, time = np.array([i], np.int32), own.time_unix_nano + DAY
    forecasts, base = _next_day(subjects, i, own)
    rule = subjects.shadow.rules(one)
    usual = subjects.shadow.usual_error(one, subjects.winner[one])
    unit = float(max(usual[0], least_deviation(np.median(base, keepdims=True), rule["limits"])[0]))
    variants = _variants(time, base, unit, rule[0]) if unit > 0.0 else []
    if not variants:
        return None
    values = np.stack([base, *(value for _, _, value in variants)])
    return _Day(i, time, forecasts, values, [(kind, size) for kind, size, _ in variants])


def _judged(subjects: Subjects, days: list[_Day]) -> Int8:
    """Judge all values of all days; return the anomalies, day by day."""
    copies = [day.values.shape[0] for day in days]
    origin = np.repeat(np.array([day.i for day in days], np.int32), copies)
    copy = np.repeat(np.arange(origin.size, dtype=np.int32), np.repeat([day.time.size for day in days], copies))
    points = PointBatch(
        copy,
        np.concatenate([np.tile(day.time, len(day.values)) for day in days]),
        np.concatenate([day.values.ravel() for day in days]),
    )
    forecasts = np.concatenate([np.tile(day.forecasts, (len(day.values), 1)) for day in days])
    judging = subjects.shadow.shadow(origin)
    return judging.judge(points, forecasts, subjects.winner[origin][copy]).verdicts.anomaly


def _trials(day: _Day, anomaly: Int8) -> list[Trial]:
    trials = []
    for (kind, size), value, flagged in zip(day.variants, day.values[1:], anomaly[1:], strict=True):
        added = np.sign(value - day.values[0])
        hits = np.flatnonzero((added != 0.0) & (flagged == added) & (anomaly[0] != added))
        seconds = (day.time[hits[0]] - _onset(day.time)) / NANOS_PER_SECOND if hits.size else np.nan
        trials.append(Trial(kind, size, float(seconds)))
    return trials


def _next_day(subjects: Subjects, i: int, own: PointBatch) -> tuple[Float64, Float64]:
    """Return forecasts `(n, F)` a day on, and the values `(n,)` then if the drawn one misses as it did."""
    forecasts = subjects.forecasts(own.series, own.time_unix_nano + DAY)
    then = subjects.forecasts(own.series, own.time_unix_nano)
    change = forecasts[:, subjects.winner[i]] - then[:, subjects.winner[i]]
    return forecasts, own.value + np.nan_to_num(change)


def _variants(time: Int64, base: Float64, unit: float, rule: np.void) -> list[tuple[CanaryKind, float, Float64]]:
    """Return kind, size and values `(n,)` of everything that is tried."""
    variants = []
    for kind, size in _VARIANTS:
        sign = _sign(kind, rule["direction"])
        shape = _shape(kind, time)
        wanted = base + sign * size * unit * shape
        value = np.clip(wanted, np.minimum(rule["limits"]["low"], base), np.maximum(rule["limits"]["high"], base))
        if sign and bool((value == wanted).all()):
            variants.append((kind, size, value))
    return variants


def _sign(kind: CanaryKind, direction: int) -> int:
    """Return to which side an anomaly goes, 0 where nobody asked for that side."""
    if kind in {CanaryKind.SHIFT, CanaryKind.DRIFT}:
        return direction or Direction.UP
    sign = Direction.DOWN if kind is CanaryKind.DROP else Direction.UP
    return 0 if direction == -sign else sign


def _shape(kind: CanaryKind, time: Int64) -> Float64:
    """Return how much of its size an anomaly has at each time."""
    since, onset = time - _onset(time), _onset(time)
    is_in: Bool = (since >= 0) & (since < _LASTS[kind])
    if kind is CanaryKind.DRIFT:
        return np.where(is_in, since / max(int(time[-1]) - onset, 1), 0.0)
    return is_in.astype(np.float64)


def _onset(time: Int64) -> int:
    """Return when an anomaly begins: with the first point an hour after the first one."""
    return int(time[np.searchsorted(time, time[0] + ONSET)])


def _thinned(own: PointBatch) -> PointBatch:
    return own.take(np.arange(len(own)) % max(1, -(-len(own) // MOST_POINTS)) == 0)


def _pace(time: Int64) -> int:
    return int(np.median(np.diff(time))) if time.size > 1 else MINUTE


def _ids(subjects: Subjects) -> Int32:
    return np.arange(subjects.series.size, dtype=np.int32)
