"""From points to verdicts and episodes, by what is known of their series and what their rules say.

A point is judged first, by what was known before it, and learned from afterwards. What a series does during an episode
is held back and learned as one when the episode ends: until then the band stays what it was at the onset and the series
stays flagged; from then on the 72-hour rule keeps repeats quiet. A point that is not newer than the newest one learned
of its series is judged, but neither learned from nor part of an episode.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.detect import calm
from collector_processor.detect.holding import Held, Now, look
from collector_processor.detect.known import Known
from collector_processor.detect.rulebook import Rulebook
from collector_processor.detect.score import Scored, judge
from collector_processor.detect.siblings import Siblings
from collector_processor.detect.threshold import Standing
from collector_processor.detect.waves import is_one_wave, waves
from collector_processor.telemetry.band import FORECASTS, LEVEL, Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

SECOND_SHARE = 0.77
"""Of the threshold that holds after a point that was more than half way: noise has its largest values alone."""

ROUNDING = 8.0 * float(np.finfo(np.float64).eps)  # relative: a forecast is a sum, known only to its last digits


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
        if not len(points):
            return Judgement(VerdictBatch.absent(0), [])
        held = self._rulebook.held(points)
        forecasts = np.asfortranarray(forecasts)  # arithmetic over few neighbours is many times slower than over n
        is_modelled = self._rulebook.is_modelled(points.series)
        if is_modelled.all() and is_one_wave(points.series):
            return Judgement(*self._judge_once(points, forecasts, winner, held))
        verdicts, changed = VerdictBatch.absent(len(points)), list[Episode]()
        rows = np.flatnonzero(is_modelled)
        for wave in waves(points.series[rows], points.time_unix_nano[rows]):
            at = rows[wave]
            judged, episodes_of_wave = self._judge_once(
                points.take(at), np.asfortranarray(forecasts[at]), winner[at], held[at]
            )
            verdicts.put(at, judged)
            changed.extend(episodes_of_wave)
        return Judgement(verdicts, changed)

    def expected(self, series: Int32, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> VerdictBatch:
        """Return yhat and the alert band `(n,)` that a point would be judged by now; nothing is learned."""
        forecasts = forecasts.copy()
        forecasts[:, LEVEL] = self.level(series)
        standing = self._known.maxima.standing(series)
        return self._scored(series, np.full(series.size, np.nan), forecasts, winner, standing).verdicts

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
        kernel = calm.KERNEL.loaded_for(len(points))
        if kernel is None:
            drifts = self._turn(points)
            verdicts, changed = self._judge_any(points, forecasts, winner, held)
        else:
            plain, parts = calm.points_of(points, forecasts, winner, held), calm.parts_of(self._known, self._rulebook)
            drifts = self._turn(points) if kernel.is_due(plain, parts) else []
            verdicts, left = calm.judged(kernel, plain, parts)
            changed = []
            if left.size:
                rest = np.asfortranarray(forecasts[left])
                judged, changed = self._judge_any(points.take(left), rest, winner[left], held[left])
                verdicts.put(left, judged)
        self._put_borrowed(points, verdicts)
        return verdicts, [*drifts, *changed]

    def _judge_any(
        self, points: PointBatch, forecasts: Float64, winner: npt.NDArray[np.uint8], held: npt.NDArray[np.uint8]
    ) -> tuple[VerdictBatch, list[Episode]]:
        """Judge and learn points whose series' levels are of now, whatever they do."""
        series, known = points.series, self._known
        forecasts[:, LEVEL] = known.levels.at(series, points.time_unix_nano)
        was_open = known.episodes.is_open(series)
        at = np.flatnonzero(was_open)
        if at.size:
            forecasts[at, LEVEL] = known.holding.level(series[at], forecasts[at])
        standing = known.maxima.standing(series)
        scored = self._scored(series, points.value, forecasts, winner, standing)
        scored, unjudged = self._rulebook.applied(series, scored, held)
        known.status.note(series, scored.disagree, unjudged)
        learnable = (points.time_unix_nano > standing.newest) & np.isfinite(points.value) & (held == Reason.NONE)
        changed = self._learn(_Judged(points, scored, standing, was_open).where(learnable))
        return self._without_muted(points, scored.verdicts), changed

    def _put_borrowed(self, points: PointBatch, verdicts: VerdictBatch) -> None:
        """Fill in what points of unknown series are by the bands of those like them, if any."""
        at = np.flatnonzero(np.isnan(verdicts.yhat))
        at = at[self._known.maxima.is_unknown(points.series[at])]
        if not at.size:
            return
        series, value = points.series[at], points.value[at]
        middle, width = self._siblings.band(self._rulebook.family(series), self._known)
        lent = np.flatnonzero(~np.isnan(middle))
        if lent.size:
            verdicts.put(at[lent], self._borrowed(series[lent], value[lent], middle[lent], width[lent]))

    def _borrowed(self, series: Int32, value: Float64, middle: Float64, width: Float64) -> VerdictBatch:
        forecasts, tolerance = np.full((2, series.size, len(FORECASTS)), np.nan)
        forecasts[:, LEVEL], tolerance[:, LEVEL] = middle, width
        winner, flags_nothing = np.full(series.size, LEVEL, np.uint8), np.zeros(series.size, np.bool_)
        limits = self._rulebook.limits_around(series, value)
        threshold = self.threshold(series)
        return judge(value, forecasts, winner, tolerance, threshold, limits, flags_nothing).verdicts

    def _turn(self, points: PointBatch) -> list[Episode]:
        """Complete the slots and days that ended before these points; return the episodes of drift that changed."""
        known, time = self._known, points.time_unix_nano
        known.levels.advance(points.series, time)
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
        at = np.flatnonzero(verdicts.anomaly)
        at = at[self._known.episodes.is_muted(points.series[at], points.time_unix_nano[at])]
        if at.size:
            verdicts.anomaly[at] = 0
        return verdicts

    def _scored(
        self, series: Int32, value: Float64, forecasts: Float64, winner: npt.NDArray[np.uint8], standing: Standing
    ) -> Scored:
        tolerance = standing.tolerance + ROUNDING * np.abs(forecasts)
        is_active = (standing.complete_days >= 1) & ~self._known.status.is_marked(series, Reason.NOT_MODELLED)
        threshold = self.threshold(series)
        limits = self._rulebook.limits_around(series, value)
        return judge(value, forecasts, winner, tolerance, threshold, limits, is_active)

    def _learn(self, judged: "_Judged") -> list[Episode]:
        points, known = judged.points, self._known
        known.status.strain(points.series, judged.scored.verdicts.score)
        changed = self._learn_known(judged.where(~np.isnan(judged.scored.verdicts.yhat)))
        known.levels.learn(points.series, points.value)
        distance = np.abs(points.value[:, np.newaxis] - judged.scored.forecasts)
        unwanted = np.flatnonzero(known.status.is_unjudged(points.series, Reason.OTHER_DIRECTION))
        if unwanted.size:
            distance[unwanted] *= 0.0  # a fall says nothing about rises; NaN stays
        distance = known.status.hold_back(points.series, known.episodes.is_open(points.series), distance)
        known.maxima.learn(points.series, points.time_unix_nano, distance)
        return changed

    def _learn_known(self, judged: "_Judged") -> list[Episode]:
        """Learn from points that something was expected of; return the episodes that changed."""
        points, scored, known = judged.points, judged.scored, self._known
        verdicts, held = scored.verdicts, self._held(judged, np.flatnonzero(judged.was_open))
        changed = known.episodes.update(points.series, points.time_unix_nano, points.value, verdicts, held)
        is_open = known.episodes.is_open(points.series) if changed else judged.was_open
        opened = np.flatnonzero(is_open & ~judged.was_open)
        if opened.size:
            known.holding.begin(points.series[opened], scored.forecasts[opened])
        known.tracker.learn(points.series, points.value - verdicts.yhat, judged.standing.reach, is_open)
        return changed

    def _held(self, judged: "_Judged", at: Int64) -> Held:
        """Hold points `at` which an episode is open against what was expected at its onset."""
        points, scored = judged.points, judged.scored
        held = Held.none(len(points))
        if at.size:
            series, forecasts = points.series[at], scored.forecasts[at]
            tolerance = judged.standing.tolerance[at] + ROUNDING * np.abs(forecasts)
            median, limits = self._known.levels.now(series), self._rulebook.limits(series)
            held.put(at, look(Now(points.value[at], scored.verdicts.yhat[at], median, forecasts, tolerance, limits)))
        return held


@dataclass(frozen=True, slots=True)
class _Judged:
    """Points `(n,)` with what they were judged by, and which of their series had an episode open before."""

    points: PointBatch
    scored: Scored
    standing: Standing
    was_open: Bool

    def where(self, chosen: Bool) -> "_Judged":
        """Select rows by mask; nearly always it is all of them."""
        if chosen.all():
            return self
        return _Judged(
            self.points.take(chosen), self.scored.take(chosen), self.standing.take(chosen), self.was_open[chosen]
        )
