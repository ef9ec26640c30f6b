"""From points to verdicts and episodes, by what is known of their series and what their rules say.

A point is judged first, by what was known before it, and learned from afterwards. What a series does during an episode
is held back and learned as one when the episode ends: until then the band stays what it was at the onset and the series
stays flagged; from then on the 72-hour rule keeps repeats quiet. A point that is not newer than the newest one learned
of its series is judged, but neither learned from nor part of an episode.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collector_processor.detect.holding import Held, Now, look
from collector_processor.detect.known import Known
from collector_processor.detect.rulebook import Rulebook
from collector_processor.detect.score import Scored, judge
from collector_processor.detect.siblings import Siblings
from collector_processor.detect.waves import waves
from collector_processor.telemetry.band import FORECASTS, LEVEL, Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

SECOND_SHARE = 0.77
"""Of the threshold that holds after a point that was more than half way: noise has its largest values alone."""

_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)  # relative: a forecast is a sum, known only to its last digits


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts beside the points that were judged, and the episodes that changed, in order of change."""

    verdicts: VerdictBatch
    episodes: list[Episode]


class Judge:
    """Judges and learns; what it works on is the detector's."""

    def __init__(self, known: Known, rulebook: Rulebook, siblings: Siblings) -> None:
        self._known = known
        self._rulebook = rulebook
        self._siblings = siblings

    def judge(self, points: PointBatch, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> Judgement:
        """Judge points and learn from them, as `Detector.judge` says."""
        verdicts, changed = VerdictBatch.absent(len(points)), list[Episode]()
        if not len(points):
            return Judgement(verdicts, changed)
        held = self._rulebook.held(points)
        forecasts = np.asfortranarray(forecasts)  # arithmetic over few neighbours is many times slower than over n
        rows = np.flatnonzero(self._rulebook.is_modelled(points.series))
        for wave in waves(points.series[rows], points.time_unix_nano[rows]):
            at = rows[wave]
            judged, episodes_of_wave = self._judge_once(
                points.take(at), np.asfortranarray(forecasts[at]), winner[at], held[at]
            )
            _put(verdicts, at, judged)
            changed.extend(episodes_of_wave)
        return Judgement(verdicts, changed)

    def expected(self, series: Int32, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> VerdictBatch:
        """Return yhat and the alert band `(n,)` that a point would be judged by now; nothing is learned."""
        forecasts = forecasts.copy()
        forecasts[:, LEVEL] = self.level(series)
        return self._judged(series, np.full(series.size, np.nan), forecasts, winner).verdicts

    def level(self, series: Int32) -> Float64:
        """Return the level `(n,)` that series are judged by now."""
        known = self._known
        return np.where(known.episodes.is_open(series), known.holding.records["now"][series], known.levels.now(series))

    def threshold(self, series: Int32) -> Float64:
        """Return the score in tolerances `(n,)` from which on series are flagged now."""
        threshold = self._rulebook.threshold(series)
        threshold[self._known.status.is_strained(series)] *= SECOND_SHARE
        return threshold

    def _judge_once(
        self, points: PointBatch, forecasts: Float64, winner: npt.NDArray[np.uint8], held: npt.NDArray[np.uint8]
    ) -> tuple[VerdictBatch, list[Episode]]:
        """Judge and learn points of which each series has one; those `held` for a reason are only held to a band."""
        series = points.series
        self._known.levels.advance(series, points.time_unix_nano)
        drifts = self._look_for_drift(points)
        forecasts[:, LEVEL] = self._known.levels.at(series, points.time_unix_nano)
        at = np.flatnonzero(self._known.episodes.is_open(series))
        forecasts[at, LEVEL] = self._known.holding.level(series[at], forecasts[at])
        scored, unjudged = self._rulebook.applied(series, self._judged(series, points.value, forecasts, winner), held)
        self._known.status.note(series, scored.disagree, unjudged)
        learnable = (points.time_unix_nano > self._known.maxima.newest(series)) & np.isfinite(points.value)
        learnable &= held == Reason.NONE
        if learnable.all():
            changed = self._learn(points, scored)
        else:
            changed = self._learn(points.take(learnable), scored.take(learnable))
        verdicts = self._without_muted(points, scored.verdicts)
        at = np.flatnonzero(np.isnan(verdicts.yhat))
        at = at[self._known.maxima.is_unknown(series[at])]
        if at.size:
            _put(verdicts, at, self._borrowed(series[at], points.value[at]))
        return verdicts, [*drifts, *changed]

    def _borrowed(self, series: Int32, value: Float64) -> VerdictBatch:
        """Return what values `(n,)` of series that nothing is known about are by the bands of those like them."""
        forecasts, tolerance = np.full((2, series.size, len(FORECASTS)), np.nan)
        forecasts[:, LEVEL], tolerance[:, LEVEL] = self._siblings.band(self._rulebook.family(series), self._known)
        winner, flags_nothing = np.full(series.size, LEVEL, np.uint8), np.zeros(series.size, np.bool_)
        limits = self._rulebook.limits_around(series, value)
        threshold = self.threshold(series)
        return judge(value, forecasts, winner, tolerance, threshold, limits, flags_nothing).verdicts

    def _look_for_drift(self, points: PointBatch) -> list[Episode]:
        """Return episodes of drift that changed with days that ended before these points."""
        known, time = self._known, points.time_unix_nano
        ended = known.days.take(points.series, time, known.levels.now(points.series))
        if not ended.size:
            return []
        series, time = points.series[ended], time[ended]
        day, weekly = known.days.newest(series, time), known.days.weekly_changes(series, time)
        return known.drifts.look(
            series, time, day, weekly, self._rulebook.all(known.size)[series], known.episodes.is_open(series)
        )

    def _without_muted(self, points: PointBatch, verdicts: VerdictBatch) -> VerdictBatch:
        """Take back the flags of episodes that go on unchanged for hours."""
        muted = self._known.episodes.is_muted(points.series, points.time_unix_nano)
        return replace(verdicts, anomaly=np.where(muted, np.int8(0), verdicts.anomaly)) if muted.any() else verdicts

    def _judged(self, series: Int32, value: Float64, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> Scored:
        standing = self._known.maxima.standing(series)
        tolerance = standing.tolerance + _ROUNDING * np.abs(forecasts)
        is_active = (standing.complete_days >= 1) & ~self._known.status.is_marked(series, Reason.NOT_MODELLED)
        threshold = self.threshold(series)
        limits = self._rulebook.limits_around(series, value)
        return judge(value, forecasts, winner, tolerance, threshold, limits, is_active)

    def _learn(self, points: PointBatch, scored: Scored) -> list[Episode]:
        forecasts = scored.forecasts
        self._known.status.strain(points.series, scored.verdicts.score)
        known = ~np.isnan(scored.verdicts.yhat)
        judged, scored = (points, scored) if known.all() else (points.take(known), scored.take(known))
        verdicts = scored.verdicts
        was_open = self._known.episodes.is_open(judged.series)
        held = self._held(judged, scored, np.flatnonzero(was_open))
        changed = self._known.episodes.update(judged.series, judged.time_unix_nano, judged.value, verdicts, held)
        opened = np.flatnonzero(self._known.episodes.is_open(judged.series) & ~was_open)
        self._known.holding.begin(judged.series[opened], scored.forecasts[opened])
        reach = self._known.maxima.reach(judged.series).max(axis=1)
        residual = judged.value - verdicts.yhat
        self._known.tracker.learn(judged.series, residual, reach, self._known.episodes.is_open(judged.series))
        self._known.levels.learn(points.series, points.value)
        distance = np.abs(points.value[:, np.newaxis] - forecasts)
        unwanted = self._known.status.is_unjudged(points.series, Reason.OTHER_DIRECTION)
        distance[unwanted] *= 0.0  # a fall says nothing about rises; NaN stays
        is_open = self._known.episodes.is_open(points.series)
        distance = self._known.status.hold_back(points.series, is_open, distance)
        self._known.maxima.learn(points.series, points.time_unix_nano, distance)
        return changed

    def _held(self, points: PointBatch, scored: Scored, at: Int64) -> Held:
        """Hold points `at` which an episode is open against what was expected at its onset."""
        held = Held.none(len(points))
        if at.size:
            series, forecasts = points.series[at], scored.forecasts[at]
            tolerance = self._known.maxima.standing(series).tolerance + _ROUNDING * np.abs(forecasts)
            median, limits = self._known.levels.now(series), self._rulebook.limits(series)
            held.put(at, look(Now(points.value[at], scored.verdicts.yhat[at], median, forecasts, tolerance, limits)))
        return held


def _put(target: VerdictBatch, at: Int64, rows: VerdictBatch) -> None:
    """Fill rows of a batch that is still being made."""
    for name in ("yhat", "lower", "upper", "score", "anomaly"):
        getattr(target, name)[at] = getattr(rows, name)
