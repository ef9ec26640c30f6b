"""The thread that keeps models fresh: takes what is due, feeds the pool, hands over what comes back.

Models and seeds go to `publish`, which makes them durable and known; while it fails they are kept and nothing new is
begun. Series are fitted in chunks; one that fails as a whole is tried again in halves, until the series to blame is
alone. Nothing is begun while fits have used up their share of the CPU. The thread never ends on its own: an unexpected
error is logged and the next round tried.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY, NANOS_PER_SECOND, Clock
from collector_processor.detect.seed import Seed
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.store.base import models_in_turn
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32
from collector_processor.training.allowance import CpuAllowance
from collector_processor.training.drawn import Drawn, DrawnForecasts
from collector_processor.training.pool import FitPool, PoolSettings
from collector_processor.training.request import Chunk, ChunkOutcome, FitOutcome, FitRequest, FitStatus
from collector_processor.training.retries import Retries
from collector_processor.training.schedule import Schedule, SeriesOverview, TrainingSettings

log = logging.getLogger(__name__)

Publish = Callable[[Sequence[ModelRecord], Sequence[tuple[int, Seed]]], None]
Mark = Callable[[Int32, npt.NDArray[np.uint8]], None]

_ROUND_SECONDS = 0.2
_AFTER_ERROR_SECONDS = 1.0
_LOOK_AGAIN = 5 * NANOS_PER_SECOND
_LOOK_FOR_MORE = NANOS_PER_SECOND
_JOIN_SECONDS = 5.0
_CHUNK = 256  # two rollups of the store
_CHUNK_SPREAD = DAY  # of the newest points: they share one grid
_LOOK_AHEAD = 2_000  # of the queue, for series that go together
_DEFAULTS = ProphetSettings()


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """How the slow path is doing.

    `backlog_seconds` is how long the most overdue series has been due, `outcomes` counts fits by FitStatus since the
    start, `forecasters` the series by the forecast that is drawn, `declined` the fits that the batched solver left to
    the library, by reason, `cpu_seconds` what all fits together have used.
    """

    due: int = 0
    backlog_seconds: float = 0.0
    paused: int = 0
    unpublished: int = 0
    processes_started: int = 0
    cpu_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    forecasters: dict[str, int] = field(default_factory=dict)
    declined: dict[str, int] = field(default_factory=dict)


class Trainer:
    """`start` once, `stop` once; `status` may be read by any thread. While `is_paused` no fit is begun."""

    def __init__(
        self,
        settings: TrainingSettings,
        directory: Path,
        overview: Callable[[], SeriesOverview],
        publish: Publish,
        mark: Mark,
        clock: Clock,
        pool: FitPool | None = None,
        settings_of: Callable[[int], ProphetSettings] = lambda _: _DEFAULTS,
    ) -> None:
        self.status = TrainingStatus()
        self._settings = settings
        self._directory = directory
        self._overview = overview
        self._publish = publish
        self._settings_of = settings_of
        self._mark = mark
        self._clock = clock
        self._pool = pool or FitPool(PoolSettings(settings.workers, settings.fit_timeout), clock)
        self._schedule = Schedule(settings.refit_interval)
        self._allowance = CpuAllowance(settings.max_cpu, clock.monotonic_nano())
        self._is_restored = False
        self.is_paused = False
        self._version = 0
        self._drawn = DrawnForecasts()
        self._queue: deque[int] = deque()
        self._again = Retries()
        self._seen: SeriesOverview | None = None
        self._looked_at = 0
        self._look_for_more = 0
        self._waiting: list[tuple[ModelRecord, FitOutcome]] = []
        self._outcomes: Counter[str] = Counter()
        self._declined: Counter[str] = Counter()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="trainer", daemon=True)

    def start(self) -> None:
        """Begin in the background; the first fit process starts when the first series is due."""
        self._thread.start()

    def stop(self) -> None:
        """Stop within two seconds; fits in progress are abandoned and will be due again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        else:
            self._pool.close()

    def run_round(self, timeout_seconds: float) -> None:
        """Hand out what is due, wait for outcomes at most so long, publish.

        Raises:
            StoreError: if the stored models can't be read, or nothing could be published; the next round tries again.
        """
        if not self._is_restored:
            self._restore()
        if not self._waiting:
            self._submit_due()
        for finished in self._pool.collect(timeout_seconds):
            self._settle_chunk(finished)
        try:
            self._publish_waiting()
        finally:
            self.status = self._current_status()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._run_round_safely()
        finally:
            self._pool.close()

    def _run_round_safely(self) -> None:
        try:
            self.run_round(_ROUND_SECONDS)
        except Exception:
            log.exception("a round of training failed; the next one follows in a second")
            self._stop.wait(_AFTER_ERROR_SECONDS)
        if not self._pool.busy:
            self._stop.wait(_ROUND_SECONDS)

    def _restore(self) -> None:
        with closing(open_reader(self._directory)) as reader:
            for records in models_in_turn(reader):
                for record in records:
                    self._take_up(record)
        self._is_restored = True

    def _take_up(self, record: ModelRecord) -> None:
        self._version = max(self._version, record.version)
        drawn = Drawn.of(record)
        if drawn is None:  # it is fitted anew, as if it had never been
            return
        self._drawn.put(record.series, drawn)
        self._schedule.restore(
            record.series,
            record.created_unix_nano,
            record.trained_end_unix_nano,
            backtest["end_unix_nano"] if (backtest := drawn.backtest) else 0,
        )
        if drawn.fingerprint != self._settings_of(record.series).fingerprint:
            self._schedule.renew(record.series, self._clock.now_unix_nano())

    def _submit_due(self) -> None:
        if self.is_paused:
            return
        now, monotonic = self._clock.now_unix_nano(), self._clock.monotonic_nano()
        overview = self._look(now, monotonic)
        while (self._again or self._queue) and self._pool.free > 0 and self._allowance.has_any(monotonic):
            self._pool.submit(self._again.take() if self._again else self._next_chunk(overview, now))

    def _look(self, now: int, monotonic: int) -> SeriesOverview:
        """Return what is known of the series; ask anew, and for what is due, every few seconds."""
        if self._seen is None or monotonic - self._looked_at >= (_LOOK_AGAIN if self._queue else self._look_for_more):
            self._seen, self._looked_at, self._look_for_more = self._overview(), monotonic, _LOOK_FOR_MORE
            for series in self._drawn.drop(self._seen.last_time == 0):
                self._schedule.forget(series)
            self._queue = deque(self._schedule.due(self._seen, now).tolist())
            self._update_marks(self._seen)
        return self._seen

    def _update_marks(self, overview: SeriesOverview) -> None:
        """Mark series whose fit failed or is overdue, and take it back where that is over."""
        marks = self._schedule.marks()
        changed = np.flatnonzero(marks != overview.mark).astype(np.int32)
        if changed.size:
            self._mark(changed, marks[changed])

    def _next_chunk(self, overview: SeriesOverview, now: int) -> Chunk:
        """Take the first series of the queue and those near it that go with it; what failed or is slow goes alone."""
        first = self._request(self._queue.popleft(), overview, now)
        chunk, passed = [first], list[int]()
        is_slow = bool(first.settings.declined) and not first.is_first
        most = 1 if is_slow or self._schedule.has_failed(first.series) else _CHUNK
        while self._queue and len(chunk) < most and len(passed) < _LOOK_AHEAD:
            request = self._request(self._queue.popleft(), overview, now)
            if self._schedule.has_failed(request.series) or not _go_together(first, request):
                passed.append(request.series)
            else:
                chunk.append(request)
        self._queue.extendleft(reversed(passed))
        for request in chunk:
            self._schedule.begin(request.series)
        return tuple(chunk)

    def _request(self, series: int, overview: SeriesOverview, now: int) -> FitRequest:
        first, last = int(overview.first_time[series]), int(overview.last_time[series])
        drawn = self._drawn.get(series)
        needs_backtest = self._schedule.wants_backtest(series, last - first, now)
        return FitRequest(
            directory=self._directory,
            series=series,
            start_unix_nano=(last + 1 - self._settings.window) // DAY * DAY,  # as the store keeps it
            end_unix_nano=last + 1,
            step=self._settings.step,
            is_first=series not in self._drawn,
            needs_backtest=needs_backtest,
            needs_seed=needs_backtest and not drawn.said,
            forecaster=drawn.forecaster,
            backtest=drawn.backtest,
            settings=self._settings_of(series),
        )

    def _settle_chunk(self, finished: ChunkOutcome) -> None:
        chunk = finished.chunk
        self._allowance.use(finished.cpu_seconds)
        if not finished.status.is_failure:
            for outcome in finished.outcomes:
                self._settle(outcome)
        elif len(chunk) == 1:
            self._settle(FitOutcome(chunk[0], finished.status, finished.reason))
        else:
            self._again.halve(finished)

    def _settle(self, outcome: FitOutcome) -> None:
        request, status = outcome.request, outcome.status
        self._outcomes[status] += 1
        self._look_for_more = 0  # it may be due again at once, for its first backtest
        if outcome.declined:
            self._declined[outcome.declined] += 1
        self._schedule.end(
            request.series,
            status,
            self._clock.now_unix_nano(),
            fitted_until=outcome.trained_end_unix_nano,
            was_backtest=request.needs_backtest,
        )
        if status is FitStatus.FITTED:
            self._version += 1
            self._waiting.append((outcome.record(self._version, self._clock.now_unix_nano()), outcome))
            self._drawn.put(request.series, Drawn.by(outcome.forecaster, outcome.backtest))
        if told := self._again.settle(outcome):
            log.warning("%s", told)

    def _publish_waiting(self) -> None:
        if not self._waiting:
            return
        seeds = [(o.request.series, o.seed) for _, o in self._waiting if o.seed is not None]
        self._publish([record for record, _ in self._waiting], seeds)
        self._waiting = []

    def _current_status(self) -> TrainingStatus:
        return TrainingStatus(
            due=len(self._queue),
            backlog_seconds=self._schedule.backlog_seconds,
            paused=self._schedule.paused(self._clock.now_unix_nano()),
            unpublished=len(self._waiting),
            processes_started=self._pool.started,
            cpu_seconds=self._allowance.used_seconds,
            outcomes=dict(self._outcomes),
            forecasters=self._drawn.counts(),
            declined=dict(self._declined),
        )


def _go_together(one: FitRequest, other: FitRequest) -> bool:
    is_alike = one.is_first == other.is_first and one.settings == other.settings
    return is_alike and abs(one.end_unix_nano - other.end_unix_nano) <= _CHUNK_SPREAD
