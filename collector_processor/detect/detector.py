"""The detector of the fast path: owns what is known about every series and turns points into verdicts and episodes.

A point is judged first, by what was known before it, and learned from afterwards. What a series does during an episode
is held back and learned as one when the episode ends: until then the band stays what it was at the onset and the series
stays flagged; from then on the 72-hour rule keeps repeats quiet. A point that is not newer than the newest one learned
of its series is judged, but neither learned from nor part of an episode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collector_processor.detect import calibrate, episodes, level, record, silence, threshold
from collector_processor.detect.calibrate import QuantileTracker
from collector_processor.detect.episodes import Episodes
from collector_processor.detect.level import Levels
from collector_processor.detect.rulebook import Maintenance, Rulebook
from collector_processor.detect.score import Scored, judge
from collector_processor.detect.seed import Seed
from collector_processor.detect.silence import Silence
from collector_processor.detect.threshold import BlockMaxima, Standing, waves
from collector_processor.telemetry.band import BAND_DTYPE, FORECASTS, LEVEL, BandStates, Reason
from collector_processor.telemetry.episode import SILENCE, Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import NO_COMPANION, Rules
from collector_processor.telemetry.verdict import VerdictBatch

DEFAULT_THRESHOLD = 1.10
COLD_START = 0.5
"""The threshold is raised by this share over the complete days of calibration."""

SAVE_VERSION = 3
SERIES_PER_BLOB = 512
"""Some 600 KB: the state of a large fleet is saved a little at a time."""

_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)  # relative: a forecast is a sum, known only to its last digits
_STATUS = np.dtype([("mark", "u1"), ("disagree", "?"), ("unjudged", "u1"), ("held_back", "<f8", (len(FORECASTS),))])
_SAVED = np.dtype(
    [
        ("maxima", threshold.DTYPE),
        ("tracker", calibrate.DTYPE),
        ("episode", episodes.DTYPE),
        ("level", level.DTYPE),
        ("status", _STATUS),
        ("silence", silence.DTYPE),
    ]
)
_WARMING, _ACTIVE, _DEGRADED = 0, 1, 2
_STATE_OF_REASON = np.full(len(Reason), _DEGRADED, np.uint8)
_STATE_OF_REASON[[Reason.NONE, Reason.MAINTENANCE, Reason.LOW_TRAFFIC, Reason.OTHER_DIRECTION]] = _ACTIVE
_STATE_OF_REASON[[Reason.NO_HISTORY, Reason.SHORT_HISTORY, Reason.NOT_MODELLED]] = _WARMING
_BLOB_PREFIX = "detector/"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts beside the points that were judged, and the episodes that changed, in order of change."""

    verdicts: VerdictBatch
    episodes: list[Episode]


class Detector:
    """Everything is indexed by dense series id; used by one thread."""

    def __init__(self, *, threshold: float = DEFAULT_THRESHOLD, maintenance: Sequence[Maintenance] = ()) -> None:
        self._rulebook = Rulebook(threshold, maintenance)
        self._size = 0
        self._maxima = BlockMaxima()
        self._tracker = QuantileTracker()
        self._episodes = Episodes()
        self._levels = Levels()
        self._silence = Silence()
        self._status = record.filled(_STATUS, 0, {})

    def __len__(self) -> int:
        return self._size

    @property
    def open_episodes(self) -> int:
        """Return how many episodes are open."""
        return int(self._episodes.records["is_open"].sum() + self._silence.is_silent(0, self._size).sum())

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`; known series keep what is known."""
        self._size = max(self._size, n)
        self._rulebook.grow(n)
        self._maxima.grow(n)
        self._tracker.grow(n)
        self._episodes.grow(n)
        self._levels.grow(n)
        self._silence.grow(n)
        self._status = record.grown(self._status, n, {})

    def rule(self, series: Int32, rules: Rules) -> None:
        """Judge series by these rules `(n,)` from now on."""
        self.grow(int(series.max(initial=-1)) + 1)
        self._rulebook.put(series, rules)

    def tune(self, series: int, factor: float) -> None:
        """Multiply the threshold of one series by a factor from now on; not saved, the answers behind it are."""
        self.grow(series + 1)
        self._rulebook.tune(series, factor)

    def judge(self, points: PointBatch, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> Judgement:
        """Judge points by forecasts `(n, F)` made before them, then learn from them.

        The column of the level is filled in here: nobody else sees every point. `winner` `(n,)` indexes FORECASTS: the
        one drawn as yhat. Series that are not modelled, and rows without any forecast, get absent verdicts. Points of
        one series are taken in time order, whatever their order in the batch.
        """
        verdicts, changed = VerdictBatch.absent(len(points)), list[Episode]()
        if not len(points):
            return Judgement(verdicts, changed)
        self.grow(int(points.series.max(initial=-1)) + 1)
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
        self.grow(int(series.max(initial=-1)) + 1)
        forecasts = forecasts.copy()
        forecasts[:, LEVEL] = self._levels.now(series)
        return self._judged(series, np.full(series.size, np.nan), forecasts, winner).verdicts

    def hear(self, points: PointBatch, now: int) -> None:
        """Take note of who reports now."""
        self.grow(int(points.series.max(initial=-1)) + 1)
        self._silence.note(points, now)

    def look_for_silence(self, now: int) -> list[Episode]:
        """Return episodes of silence that opened or closed by now."""
        is_flagged = self._episodes.records["is_open"][: self._size]
        return self._silence.look(now, self._rulebook.all(self._size), is_flagged)

    def fill(self, now: int) -> PointBatch:
        """Return points in place of those that are missing, where a policy asks for them."""
        return self._silence.fill(now, self._rulebook.all(self._size))

    def shadow(self, series: Int32) -> "Detector":
        """Return a detector whose series i is what this one knows of `series[i]`; it shares nothing with this one.

        Copies of one series are of one resource and service, and nobody else is. No shadow is in maintenance or has
        too little traffic.
        """
        shadow = Detector()
        shadow.grow(series.size)
        shadow._maxima.restore(0, self._maxima.taken(series))
        for name, records in shadow._flat_parts().items():
            records[: series.size] = self._flat_parts()[name][series]
        rules = self.rules(series)
        rules["companion"], rules["maintenance"] = NO_COMPANION, 0
        rules["threshold"] = self._rulebook.threshold(series)  # answers of people included
        rules["service"] = rules["resource"] = np.unique(series, return_inverse=True)[1]
        shadow.rule(np.arange(series.size, dtype=np.int32), rules)
        return shadow

    def is_judging(self, start: int, end: int, since: int) -> Bool:
        """Tell which series ids in `[start, end)` can be flagged: calibrated, heard of after `since`, nothing open."""
        series = np.arange(start, end, dtype=np.int32)
        is_modelled = self._rulebook.is_modelled(series)
        is_calibrated = self._maxima.standing(series).complete_days >= 1
        is_open = self._episodes.is_open(series) | self._silence.is_silent(start, end)
        is_judging: Bool = is_modelled & is_calibrated & ~is_open & (self._maxima.newest(series) > since)
        return is_judging

    def is_watched(self, series: Int32) -> Bool:
        """Tell whose silence `(n,)` would be an episode."""
        return self._silence.watched(series, self.rules(series))

    def usual_error(self, series: Int32, winner: npt.NDArray[np.uint8]) -> Float64:
        """Return the largest error `(n,)` of the forecast that is drawn on nine of ten of a series' own days."""
        return self._maxima.usual(series)[np.arange(series.size), winner]

    def rules(self, series: Int32) -> Rules:
        """Return copies of the rules `(n,)` that series are judged by."""
        return self._rulebook.all(self._size)[series]

    def expire(self, now_unix_nano: int) -> list[Episode]:
        """Close episodes open for 24 hours, also of series that fell silent; return those closed."""
        return self._episodes.expire(now_unix_nano)

    def adopt(self, series: Int32, seeds: Sequence[Seed], winner: npt.NDArray[np.uint8]) -> None:
        """Take backtests' calibration where less is known live; `winner` `(n,)` indexes the forecasts drawn from now.

        Tolerances: per forecast where the seed's history is clearly longer than the live one. Offsets of the
        calibrated band: where there are none yet or another forecast was drawn. `std` and step: always. Each series
        at most once.
        """
        if not series.size:
            return
        self.grow(int(series.max()) + 1)
        std = np.array([seed.std for seed in seeds])
        maxima = np.frombuffer(b"".join(seed.maxima.tobytes() for seed in seeds), threshold.DTYPE)
        self._maxima.adopt(series, maxima, std)
        trackers = np.frombuffer(b"".join(seed.trackers.tobytes() for seed in seeds), calibrate.DTYPE)
        chosen = np.arange(series.size) * len(FORECASTS) + winner
        self._tracker.adopt(series, winner.astype(np.int32), trackers[chosen])

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8] | Reason) -> None:
        """Note what only others can know: FIT_FAILED, STALE_MODEL, NOT_MODELLED, or NONE to take it back."""
        self.grow(int(series.max(initial=-1)) + 1)
        self._status["mark"][series] = reason

    def marks(self) -> npt.NDArray[np.uint8]:
        """Return what each series is marked with, a Reason `(S,)`."""
        marks: npt.NDArray[np.uint8] = self._status["mark"][: self._size].copy()
        return marks

    def scale(self, series: Int32, std: Float64) -> None:
        """Take the standard deviations `(n,)` of the values that new models were fitted on; NaN is unknown."""
        known = np.isfinite(std)
        self.grow(int(series.max(initial=-1)) + 1)
        self._maxima.scale(series[known], std[known])

    def bands(self, start: int = 0, end: int | None = None) -> BandStates:
        """Return the band states of series ids in `[start, end)`, all by default, for the store."""
        rows = slice(start, self._size if end is None else end)
        series = np.arange(rows.start, rows.stop, dtype=np.int32)
        bands = np.zeros(series.size, BAND_DTYPE)
        tracked = self._tracker.records[rows]
        for name in ("offset_lower", "offset_upper", "inside", "scored"):
            bands[name] = tracked[name]
        standing = self._maxima.standing(series)
        bands["tolerance"] = standing.tolerance
        bands["level"] = self._levels.now(series)
        bands["level_from"] = self._levels.since(series)
        bands["threshold"] = self._onset_threshold(series, standing.complete_days)
        bands["limits"] = self._rulebook.limits(series)
        reason = _reason(standing, self._status[rows])
        bands["reason"] = np.where(self._silence.is_silent(rows.start, rows.stop), np.uint8(Reason.SILENT), reason)
        bands["state"] = _STATE_OF_REASON[bands["reason"]]
        return bands

    def save(self, names: Sequence[str] | None = None) -> dict[str, bytes]:
        """Return the state as named blobs of some thousand series each; only `names` where given.

        Each blob is consistent by itself, so they may be saved in turn.
        """
        wanted = blob_names(self._size) if names is None else names
        return {name: self._saved(first_series(name)) for name in wanted}

    def load(self, blobs: Mapping[str, bytes], open_episodes: Sequence[Episode], now: int = 0) -> list[str]:
        """Restore, into a new detector, what `save` wrote and the open episodes of the store.

        Return a sentence for each blob that could not be read: its series start without calibration.
        """
        problems = []
        for name, blob in blobs.items():
            try:
                self._restore(first_series(name), record.decode(blob, _SAVED, SAVE_VERSION))
            except ValueError as error:
                problems.append(f"{name}: {error}; its series start without calibration")
        self.grow(max((episode.series + 1 for episode in open_episodes), default=0))
        self._episodes.restore([e for e in open_episodes if e.kind != SILENCE])
        self._silence.restart(now, [e for e in open_episodes if e.kind == SILENCE])
        return problems

    def _judge_once(
        self, points: PointBatch, forecasts: Float64, winner: npt.NDArray[np.uint8], held: npt.NDArray[np.uint8]
    ) -> tuple[VerdictBatch, list[Episode]]:
        """Judge and learn points of which each series has one; those `held` for a reason are only held to a band."""
        series = points.series
        self._levels.advance(series, points.time_unix_nano)
        forecasts[:, LEVEL] = self._levels.at(series, points.time_unix_nano)
        scored, unjudged = self._as_ruled(series, self._judged(series, points.value, forecasts, winner), held)
        self._status["disagree"][series] = scored.disagree
        self._status["unjudged"][series] = unjudged
        learnable = (points.time_unix_nano > self._maxima.newest(series)) & np.isfinite(points.value)
        learnable &= held == Reason.NONE
        if learnable.all():
            changed = self._learn(points, scored)
        else:
            changed = self._learn(points.take(learnable), scored.take(learnable))
        return self._without_muted(points, scored.verdicts), changed

    def _without_muted(self, points: PointBatch, verdicts: VerdictBatch) -> VerdictBatch:
        """Take back the flags of episodes that go on unchanged for hours."""
        muted = self._episodes.is_muted(points.series, points.time_unix_nano)
        return replace(verdicts, anomaly=np.where(muted, np.int8(0), verdicts.anomaly)) if muted.any() else verdicts

    def _as_ruled(
        self, series: Int32, scored: Scored, held: npt.NDArray[np.uint8]
    ) -> tuple[Scored, npt.NDArray[np.uint8]]:
        """Take back flags, and scores, that policies do not ask for; return why, Reason.NONE where nothing was."""
        verdicts = scored.verdicts
        unwanted = self._rulebook.unwanted(series, verdicts.anomaly)
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

    def _judged(self, series: Int32, value: Float64, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> Scored:
        standing = self._maxima.standing(series)
        tolerance = standing.tolerance + _ROUNDING * np.abs(forecasts)
        is_active = (standing.complete_days >= 1) & (self._status["mark"][series] != Reason.NOT_MODELLED)
        threshold = self._onset_threshold(series, standing.complete_days)
        limits = self._rulebook.limits_around(series, value)
        return judge(value, forecasts, winner, tolerance, threshold, limits, is_active)

    def _learn(self, points: PointBatch, scored: Scored) -> list[Episode]:
        forecasts = scored.forecasts
        known = ~np.isnan(scored.verdicts.yhat)
        judged, scored = (points, scored) if known.all() else (points.take(known), scored.take(known))
        verdicts = scored.verdicts
        changed = self._episodes.update(judged.series, judged.time_unix_nano, judged.value, verdicts, scored.is_usual)
        reach = self._maxima.reach(judged.series).max(axis=1)
        residual = judged.value - verdicts.yhat
        self._tracker.learn(judged.series, residual, reach, self._episodes.is_open(judged.series))
        self._levels.learn(points.series, points.value)
        distance = np.abs(points.value[:, np.newaxis] - forecasts)
        unwanted = self._status["unjudged"][points.series] == Reason.OTHER_DIRECTION
        distance[unwanted] *= 0.0  # a fall says nothing about rises; NaN stays
        self._maxima.learn(points.series, points.time_unix_nano, self._without_episodes(points.series, distance))
        return changed

    def _without_episodes(self, series: Int32, distance: Float64) -> Float64:
        """Hold back, in `distance`, those of series in an episode; add what was held back where one has ended."""
        is_open, held_back = self._episodes.is_open(series), self._status.take(series)["held_back"]
        at = np.flatnonzero(is_open | (held_back.T != 0.0).any(axis=0))
        if not at.size:
            return distance
        is_open = is_open[at, np.newaxis]
        largest = np.fmax(held_back[at], distance[at])
        self._status["held_back"][series[at]] = np.where(is_open, np.nan_to_num(largest), 0.0)
        distance[at] = np.where(np.isnan(distance[at]), np.nan, np.where(is_open, 0.0, largest))
        return distance

    def _onset_threshold(self, series: Int32, complete_days: Int64) -> Float64:
        return self._rulebook.threshold(series) * (1.0 + COLD_START / np.maximum(complete_days, 1))

    def _saved(self, start: int) -> bytes:
        end = min(start + SERIES_PER_BLOB, self._size)
        saved = np.zeros(end - start, _SAVED)
        saved["maxima"] = self._maxima.export(start, end)
        for name, records in self._flat_parts().items():
            saved[name] = records[start:end]
        return record.encode(saved, SAVE_VERSION)

    def _restore(self, start: int, saved: record.Records) -> None:
        self.grow(start + saved.size)
        self._maxima.restore(start, saved["maxima"])
        for name, records in self._flat_parts().items():
            records[start : start + saved.size] = saved[name]

    def _flat_parts(self) -> dict[str, record.Records]:
        return {
            "tracker": self._tracker.records,
            "episode": self._episodes.records,
            "level": self._levels.records,
            "status": self._status,
            "silence": self._silence.records,
        }


def _reason(standing: Standing, status: record.Records) -> npt.NDArray[np.uint8]:
    """Return the weightiest reason why each series is not fully active."""
    mark = status["mark"]
    unknown = np.isnan(standing.tolerance).all(axis=1)
    reasons = [
        (mark == Reason.NOT_MODELLED, np.uint8(Reason.NOT_MODELLED)),
        (unknown, np.uint8(Reason.NO_HISTORY)),
        (standing.complete_days < 1, np.uint8(Reason.SHORT_HISTORY)),
        (mark != Reason.NONE, mark),
        (status["unjudged"] == Reason.MAINTENANCE, np.uint8(Reason.MAINTENANCE)),
        (status["disagree"], np.uint8(Reason.FORECASTS_DISAGREE)),
        (status["unjudged"] != Reason.NONE, status["unjudged"]),
    ]
    return np.select(
        [when for when, _ in reasons], [np.asarray(reason) for _, reason in reasons], np.uint8(Reason.NONE)
    )


def blob_names(series: int) -> list[str]:
    """Return the names under which the state of series ids below `series` is saved."""
    return [f"{_BLOB_PREFIX}{first}" for first in range(0, series, SERIES_PER_BLOB)]


def first_series(name: str) -> int:
    """Return the first series id whose state is saved under this name."""
    return int(name.removeprefix(_BLOB_PREFIX))


def _put(target: VerdictBatch, at: Int64, rows: VerdictBatch) -> None:
    """Fill rows of a batch that is still being made."""
    for name in ("yhat", "lower", "upper", "score", "anomaly"):
        getattr(target, name)[at] = getattr(rows, name)
