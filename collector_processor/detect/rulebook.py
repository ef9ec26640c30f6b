"""What policies ask of each series while it is judged: a column each, resolved once per series."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collector_processor.detect import record
from collector_processor.detect.score import Scored
from collector_processor.detect.traffic import Traffic
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import NO_COMPANION, NO_LIMITS, RULE_DTYPE, Direction, Missing, Rules


class Maintenance(Protocol):
    """Windows in which nothing is judged."""

    def covers(self, time_unix_nano: Int64) -> Bool:
        """Tell which times `(n,)` lie in a window."""
        ...


class Rulebook:
    """The rules of all series; `series` arguments are dense ids. Not saved: made anew from the policies."""

    def __init__(self, threshold: float, maintenance: Sequence[Maintenance] = ()) -> None:
        self._maintenance = maintenance
        self._initial = {"threshold": threshold, "companion": NO_COMPANION, "is_modelled": True}
        self._rules = record.filled(RULE_DTYPE, 0, self._initial)
        self._factor = np.ones(0)
        self._traffic = Traffic()
        self._has_direction = False
        self.filled_in = np.empty(0, np.int32)
        """Series in whose place points are put while theirs are missing, ascending."""

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`; what has no rule of its own has no limits."""
        known = self._rules.size
        if n <= known:
            return
        self._rules = record.grown(self._rules, n, self._initial)
        self._rules["limits"][known:] = np.array(NO_LIMITS, self._rules["limits"].dtype)
        self._factor = np.append(self._factor, np.ones(self._rules.size - self._factor.size))
        self._traffic.grow(n)

    def put(self, series: Int32, rules: Rules) -> None:
        """Take the rules `(n,)` of series."""
        self._rules[series] = rules
        gated = (rules["companion"] >= 0) & (rules["least_events"] > 0)
        self._traffic.count(np.asarray(rules["companion"][gated], np.int32))
        self._has_direction |= bool(rules["direction"].any())
        is_filled_in = np.isin(rules["missing"], (Missing.ZERO, Missing.LAST))
        if is_filled_in.any() or self.filled_in.size:
            self.filled_in = np.union1d(np.setdiff1d(self.filled_in, series), series[is_filled_in])

    def all(self, n: int) -> Rules:
        """Return the rules of series ids below `n`; not to be changed."""
        return self._rules[:n]

    def factors(self) -> Float64:
        """Return what people's answers multiply the thresholds of all series by; not to be changed."""
        return self._factor

    def tune(self, series: int, factor: float) -> None:
        """Multiply the threshold of a series by what people's answers come to."""
        self._factor[series] = factor

    def threshold(self, series: Int32) -> Float64:
        """Return the threshold `(n,)` before any cold-start factor, answers of people included."""
        threshold: Float64 = self._rules["threshold"][series] * self._factor[series]
        return threshold

    def is_modelled(self, series: Int32) -> Bool:
        """Tell which series `(n,)` are judged at all."""
        is_modelled: Bool = self._rules["is_modelled"][series]
        return is_modelled

    def family(self, series: Int32) -> Int32:
        """Return the numbers `(n,)` of the families of series; 0 for one that is not judged."""
        rules = self._rules.take(series)
        return np.where(rules["is_modelled"], rules["family"], np.int32(0))

    def limits(self, series: Int32) -> npt.NDArray[np.void]:
        """Return what the bands have to respect, LIMITS_DTYPE `(n,)`."""
        limits: npt.NDArray[np.void] = self._rules["limits"][series]
        return limits

    def limits_around(self, series: Int32, value: Float64) -> npt.NDArray[np.void]:
        """Return `limits` for judging values `(n,)`: bounds that nobody set give way to a value that is beyond them."""
        rules = self._rules.take(series)
        limits = rules["limits"]
        gives_way = ~rules["has_bounds"]
        limits["low"] = np.where(gives_way, np.fmin(limits["low"], value), limits["low"])
        limits["high"] = np.where(gives_way, np.fmax(limits["high"], value), limits["high"])
        return limits

    def unwanted(self, series: Int32, anomaly: Int8) -> Bool:
        """Tell which anomalies `(n,)` are on a side that nobody asked for."""
        if not self._has_direction:
            return np.zeros(anomaly.size, np.bool_)
        unwanted: Bool = anomaly * self._rules["direction"][series] < int(Direction.BOTH)
        return unwanted

    def applied(
        self, series: Int32, scored: Scored, held: npt.NDArray[np.uint8]
    ) -> tuple[Scored, npt.NDArray[np.uint8]]:
        """Take back flags, and scores, that policies do not ask for; return why, Reason.NONE where nothing was."""
        verdicts = scored.verdicts
        unwanted = self.unwanted(series, verdicts.anomaly)
        is_held = held != Reason.NONE
        taken_back = unwanted | is_held
        if not taken_back.any():
            return scored, held
        ruled = replace(
            verdicts,
            score=np.where(is_held, np.nan, verdicts.score),
            anomaly=np.where(taken_back, 0, verdicts.anomaly).astype(np.int8),
        )
        unjudged = np.where(unwanted & ~is_held, np.uint8(Reason.OTHER_DIRECTION), held)
        return replace(scored, verdicts=ruled), unjudged

    def held(self, points: PointBatch) -> npt.NDArray[np.uint8]:
        """Return why points `(n,)` are not to be judged, Reason.NONE where they are."""
        if not self._traffic.counts_any and not self._maintenance:
            return np.zeros(len(points), np.uint8)
        rules = self._rules.take(points.series)
        requests = self._traffic.requests(points, rules["companion"])
        reason = np.where(requests < rules["least_events"], np.uint8(Reason.LOW_TRAFFIC), np.uint8(Reason.NONE))
        number = rules["maintenance"]
        for i in np.unique(number[number > 0]).tolist() if self._maintenance else ():
            rows = np.flatnonzero(number == i)
            covered = self._maintenance[i - 1].covers(points.time_unix_nano[rows])
            reason[rows[covered]] = Reason.MAINTENANCE
        return reason
