"""The detector of the fast path: owns what is known about every series, has points judged by it, and answers for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from collector_processor.detect import calibrate, threshold
from collector_processor.detect.judge import Judge, Judgement
from collector_processor.detect.known import Known, blob_names, is_blob_name
from collector_processor.detect.rulebook import Maintenance, Rulebook
from collector_processor.detect.seed import Seed
from collector_processor.detect.siblings import Siblings
from collector_processor.detect.status import state_of
from collector_processor.telemetry.band import BAND_DTYPE, FORECASTS, LEVEL, BandStates, Reason
from collector_processor.telemetry.episode import DRIFT, SILENCE, Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, PointBatch
from collector_processor.telemetry.rule import NO_COMPANION, Rules
from collector_processor.telemetry.verdict import VerdictBatch

DEFAULT_THRESHOLD = 1.25


class Detector:
    """Everything is indexed by dense series id; used by one thread."""

    def __init__(
        self,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        maintenance: Sequence[Maintenance] = (),
        known: Known | None = None,
    ) -> None:
        self._rulebook = Rulebook(threshold, maintenance)
        self._known = Known() if known is None else known
        self._siblings = Siblings()
        self._judge = Judge(self._known, self._rulebook, self._siblings)

    def __len__(self) -> int:
        return self._known.size

    @property
    def open_episodes(self) -> int:
        """Return how many episodes are open."""
        known = self._known
        of_points, of_days = known.episodes.records["is_open"], known.drifts.records["is_open"]
        return int(of_points.sum() + of_days.sum() + known.silence.is_silent(0, known.size).sum())

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`; known series keep what is known."""
        self._known.grow(n)
        self._rulebook.grow(n)

    def rule(self, series: Int32, rules: Rules) -> None:
        """Judge series by these rules `(n,)` from now on."""
        self.grow(int(series.max(initial=-1)) + 1)
        self._rulebook.put(series, rules)
        self._siblings.join(series, rules["family"])

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
        self.grow(int(points.series.max(initial=-1)) + 1)
        return self._judge.judge(points, forecasts, winner)

    def expected(self, series: Int32, forecasts: Float64, winner: npt.NDArray[np.uint8]) -> VerdictBatch:
        """Return yhat and the alert band `(n,)` that a point would be judged by now; nothing is learned."""
        self.grow(int(series.max(initial=-1)) + 1)
        return self._judge.expected(series, forecasts, winner)

    def hear(self, points: PointBatch, now: int) -> None:
        """Take note of who reports now."""
        self.grow(int(points.series.max(initial=-1)) + 1)
        self._known.silence.note(points, now)

    def look_for_silence(self, now: int) -> list[Episode]:
        """Return episodes of silence that opened or closed by now."""
        is_flagged = self._known.episodes.records["is_open"][: self._known.size]
        return self._known.silence.look(now, self._rulebook.all(self._known.size), is_flagged)

    def fill(self, now: int) -> PointBatch:
        """Return points in place of those that are missing, where a policy asks for them."""
        series = self._rulebook.filled_in
        return self._known.silence.fill(now, series, self.rules(series)["missing"])

    def shadow(self, series: Int32) -> "Detector":
        """Return a detector whose series i is what this one knows of `series[i]`; it shares nothing with this one.

        Copies of one series are of one resource and service, and nobody else is. No shadow is in maintenance or has
        too little traffic.
        """
        shadow = Detector(known=self._known.taken(series))
        shadow.grow(series.size)
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
        is_calibrated = self._known.maxima.standing(series).complete_days >= 1
        is_open = self._known.episodes.is_open(series) | self._known.silence.is_silent(start, end)
        is_judging: Bool = is_modelled & is_calibrated & ~is_open & (self._known.maxima.newest(series) > since)
        return is_judging

    def is_watched(self, series: Int32) -> Bool:
        """Tell whose silence `(n,)` would be an episode."""
        return self._known.silence.watched(series, self.rules(series))

    def usual_error(self, series: Int32, winner: npt.NDArray[np.uint8]) -> Float64:
        """Return the error `(n,)` of the forecast that is drawn which a series' own days pass once in eleven."""
        return self._known.maxima.usual(series)[np.arange(series.size), winner]

    def rules(self, series: Int32) -> Rules:
        """Return copies of the rules `(n,)` that series are judged by."""
        return self._rulebook.all(self._known.size)[series]

    def forget(self, series: Int32) -> None:
        """Know nothing of series any more, none of which has an open episode."""
        self.grow(int(series.max(initial=-1)) + 1)
        self._known.forget(series)

    def expire(self, now_unix_nano: int) -> list[Episode]:
        """Close episodes that are open for too long, also of series that fell silent; return those closed."""
        return [*self._known.episodes.expire(now_unix_nano), *self._known.drifts.expire(now_unix_nano)]

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
        self._known.maxima.adopt(series, maxima, std)
        trackers = np.frombuffer(b"".join(seed.trackers.tobytes() for seed in seeds), calibrate.DTYPE)
        chosen = np.arange(series.size) * len(FORECASTS) + winner
        self._known.tracker.adopt(series, winner.astype(np.int32), trackers[chosen])

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8] | Reason) -> None:
        """Note what only others can know: FIT_FAILED, STALE_MODEL, NOT_MODELLED, or NONE to take it back."""
        self.grow(int(series.max(initial=-1)) + 1)
        self._known.status.mark(series, reason)

    def marks(self) -> npt.NDArray[np.uint8]:
        """Return what each series is marked with, a Reason `(S,)`."""
        marks: npt.NDArray[np.uint8] = self._known.status.records["mark"][: self._known.size].copy()
        return marks

    def scale(self, series: Int32, std: Float64) -> None:
        """Take the standard deviations `(n,)` of the values that new models were fitted on; NaN is unknown."""
        known = np.isfinite(std)
        self.grow(int(series.max(initial=-1)) + 1)
        self._known.maxima.scale(series[known], std[known])

    def bands(self, start: int = 0, end: int | None = None) -> BandStates:
        """Return the band states of series ids in `[start, end)`, all by default, for the store."""
        rows = slice(start, self._known.size if end is None else end)
        series = np.arange(rows.start, rows.stop, dtype=np.int32)
        bands = np.zeros(series.size, BAND_DTYPE)
        tracked = self._known.tracker.records[rows]
        for name in ("offset_lower", "offset_upper", "inside", "scored"):
            bands[name] = tracked[name]
        standing = self._known.maxima.standing(series)
        bands["tolerance"] = standing.tolerance
        bands["level"] = self._judge.level(series)
        bands["level_from"] = self._known.levels.since(series)
        bands["threshold"] = self._judge.threshold(series)
        bands["limits"] = self._rulebook.limits(series)
        reason = self._known.status.reason(rows, standing)
        at = np.flatnonzero(reason == Reason.NO_HISTORY)
        if at.size:
            middle, width = self._siblings.band(self._rulebook.family(series[at]), self._known)
            bands["level"][at], bands["tolerance"][at, LEVEL] = middle, width
            reason[at[np.isfinite(width)]] = Reason.SIBLINGS
        is_silent = self._known.silence.is_silent(rows.start, rows.stop)
        bands["reason"] = np.where(is_silent, np.uint8(Reason.SILENT), reason)
        bands["state"] = state_of(bands["reason"])
        return bands

    def save(self, names: Sequence[str] | None = None) -> dict[str, bytes]:
        """Return the state as named blobs of some hundred series each; only `names` where given.

        What was returned before and has not changed since is left out where it is large: keep the newest of each name.
        What belongs to one name is consistent by itself, so they may be saved in turn.
        """
        wanted = blob_names(self._known.size) if names is None else names
        return {saved: blob for name in wanted for saved, blob in self._known.saved(name).items()}

    def load(self, blobs: Mapping[str, bytes], open_episodes: Sequence[Episode], now: int = 0) -> list[str]:
        """Restore, into a new detector, what `save` wrote and the open episodes of the store.

        Return a sentence for each blob that could not be read: its series start without calibration.
        """
        problems = []
        for name in filter(is_blob_name, blobs):
            try:
                self._known.restore(name, blobs)
            except ValueError as error:
                problems.append(f"{name}: {error}; its series start without calibration")
        self.grow(max((self._known.size, *(episode.series + 1 for episode in open_episodes))))
        self._known.episodes.restore([e for e in open_episodes if e.is_of_points])
        self._known.drifts.restore([e for e in open_episodes if e.kind == DRIFT])
        self._known.silence.restart(now, [e for e in open_episodes if e.kind == SILENCE])
        return problems
