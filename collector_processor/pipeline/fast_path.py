"""The fast path: what happens to a micro-batch, stage by stage.

    set apart repeats -> derive series -> close windows -> judge -> enrich -> commit -> answer

Everything a batch changes is one commit. When it fails, nothing of it happened: the state is rebuilt from what is
durable.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.ledger import Ledger, Signal
from collector_processor.otlp.status import Answer
from collector_processor.pipeline.batch import Batch, Derived
from collector_processor.pipeline.expiry import Expiry
from collector_processor.pipeline.history import are_newest
from collector_processor.pipeline.receipts import receipts_of
from collector_processor.pipeline.request import Request
from collector_processor.pipeline.saving import SaveSchedule
from collector_processor.pipeline.settings import PipelineSettings
from collector_processor.pipeline.state import PipelineState
from collector_processor.signals.links import LinkQuota
from collector_processor.signals.metrics import MetricsConsumed
from collector_processor.store.base import Commit, OutboxItem, RequestReceipt
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.service_graph import GRAPH_BLOB

log = logging.getLogger(__name__)

_LOOK_EVERY = 10 * NANOS_PER_SECOND


class Pipeline:
    """The stages, and what has to be done when nothing arrives."""

    def __init__(
        self,
        state: PipelineState,
        ledger: Ledger,
        record_batch: Callable[[float, float], None] = lambda _score, _commit: None,
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._record_batch = record_batch
        self._quota = LinkQuota()
        self._schedule = SaveSchedule()
        self._expiry = Expiry(state.settings.limits.retention)
        self._looked = 0
        self._alive = 0

    def process(self, requests: Sequence[Request], now: int) -> list[Answer]:
        """Do everything for a micro-batch; when this returns it is durable and entered in the ledger.

        Raises:
            StoreError: if nothing of it was made durable.
        """
        self._require_state(now)
        fresh, known = self._state.receipts.set_apart(requests)
        derived = self._derive(fresh, now)
        batch = self._judge(derived)
        batch.outbox = self._enrich(derived, batch)
        receipts = receipts_of(derived.requests, derived.settlements, now)
        with self._state.setback.noted(now):
            self._commit(batch, receipts)
        known |= receipts
        return [self._settle(request, known[request.digest]) for request in requests]

    def tick(self, now: int, *, is_last: bool = False) -> None:
        """Close windows whose time has come; begin to save state once a minute, and save all of it at the end."""
        self._require_state(now)
        state = self._state
        state.detector.grow(len(state.catalog))
        filled = state.detector.fill(now)
        derived = self._derive([], now).with_filled(filled)
        batch = self._judge(derived)
        batch.outbox = self._enrich(derived, batch)
        batch.episodes.extend(self._found_by_the_clock(now))
        self._begin_to_save(batch, now, is_last=is_last)
        if batch.changes_anything:
            with state.setback.noted(now):
                self._commit(batch, {})
        state.is_in_step = True
        if self._expiry.is_due(state.times, len(state.catalog.made), now):
            self._forget_expired(now)

    def save(self, now: int) -> None:
        """Save a part of the state of series, if one is still to be saved: whoever waits then waits for one part.

        Raises:
            StoreError: if nothing was written.
        """
        self._require_state(now)
        if names := self._schedule.take(len(self._state.detector)):
            with self._state.setback.noted(now):
                self._state.save(names)

    def maintain(self, now: int, budget_seconds: float) -> bool:
        """Let the store do a slice of its housekeeping; return whether more is waiting."""
        self._state.receipts.forget(now)
        return self._state.writer.maintain(now, budget_seconds)

    def recover(self, now: int) -> None:
        """Rebuild all state if a failed commit left something in memory that never happened.

        Raises:
            StoreError: if it cannot be read; requests are refused until a later attempt succeeds.
        """
        self._state.recover(now)

    def configure(self, settings: PipelineSettings, now: int) -> None:
        """Go on by other settings: all state is saved, and rebuilt by them from the store as after a restart.

        Raises:
            StoreError: if that failed; the former settings hold.
        """
        self.tick(now, is_last=True)
        self._state.configure(settings, now)

    def _require_state(self, now: int) -> None:
        """Raise StoreError if nothing can be stored now, or the state isn't what the store says and can't be."""
        state = self._state
        state.writer.require_room()
        state.setback.require_over(state.writer, now)
        state.recover(now)

    def _derive(self, requests: Sequence[Request], now: int) -> Derived:
        """Take the requests of each signal to points of series, and close the windows whose time has come."""
        state = self._state
        self._alive = now if requests else self._alive
        state.is_in_step = False
        of = {signal: [r for r in requests if r.signal == signal] for signal in Signal}
        metrics = state.metrics.consume([r.metrics for r in of[Signal.METRICS]], now, state.writer.existing)
        state.spans.note(metrics.points)
        self._notice(metrics)
        spans = state.spans.consume([r.spans for r in of[Signal.TRACES]], now)
        logs = state.logs.consume([r.logs for r in of[Signal.LOGS]], now)
        closed = PointBatch.concat([state.spans.flush(now, self._alive), state.logs.flush(now, self._alive)])
        state.take_in_new_series(now)
        state.detector.hear(PointBatch.concat([metrics.points, closed.take(closed.value != 0.0)]), now)
        return Derived(of, metrics, spans, logs, closed)

    def _notice(self, metrics: MetricsConsumed) -> None:
        """Count what is taken and yet odd."""
        noticed = self._state.noticed
        noticed["duplicate_points"] += sum(s.duplicates for s in metrics.settlements)
        noticed["changed_points"] += sum(s.conflicts for s in metrics.settlements)
        noticed["overlapping_writers"] += metrics.overlaps
        noticed["bad_exemplars"] += metrics.bad_exemplars
        if metrics.bare and not noticed["bare_histograms"]:
            most = self._state.settings.buckets.most
            log.warning("series.buckets (%d) is reached: further histograms are kept without their buckets", most)
        noticed["bare_histograms"] += metrics.bare
        for text in self._state.catalog.take_mixed():
            noticed["mixed_metrics"] += 1
            log.warning("%s", text)

    def _judge(self, derived: Derived) -> Batch:
        """Judge all points together, by models that have not seen them; not what is history."""
        state = self._state
        started = time.perf_counter()
        points = recent = derived.points
        is_recent = are_newest(points)
        if is_recent is not None:
            recent = points.take(is_recent)
            state.noticed["unjudged_points"] += len(points) - len(recent)
        forecasts = state.fleet.forecasts(recent.series, recent.time_unix_nano)
        judgement = state.detector.judge(recent, forecasts, state.fleet.winners(recent.series))
        unusual = set(recent.series[judgement.verdicts.anomaly != 0].tolist())
        return Batch(
            points=points,
            verdicts=judgement.verdicts if is_recent is None else judgement.verdicts.spread(is_recent),
            episodes=state.onsets.attached(judgement.episodes, state.fleet),
            events=derived.events,
            exemplars=self._quota.choose(derived.metrics.links, unusual),
            held=state.metrics.take_held(),
            score_seconds=time.perf_counter() - started,
        )

    def _enrich(self, derived: Derived, batch: Batch) -> list[OutboxItem]:
        """Return what leaves: the requests as they came, with the verdicts on what they hold."""
        state, of = self._state, derived.of
        return [
            *state.outgoing.metrics(of[Signal.METRICS], derived.metrics.request, batch.points, batch.verdicts),
            *state.outgoing.traces(
                of[Signal.TRACES], derived.spans.stream, state.spans.duration_series, state.fleet, state.detector
            ),
            *state.outgoing.logs(of[Signal.LOGS]),
        ]

    def _found_by_the_clock(self, now: int) -> list[Episode]:
        """Return episodes that time alone ended, new ones with what judged their first points, and silences."""
        state = self._state
        writer, detector, onsets = state.writer, state.detector, state.onsets
        found = onsets.attached(detector.expire(now), state.fleet)
        found += onsets.look_up(writer.episode, writer.model, lambda series: detector.bands(series, series + 1))
        if now - self._looked >= _LOOK_EVERY:
            found += detector.look_for_silence(now)
            self._looked = now
        return found

    def _begin_to_save(self, batch: Batch, now: int, *, is_last: bool) -> None:
        """Begin another round of saving, if it is time, and save all of it with this batch if it is the last."""
        state, size = self._state, len(self._state.detector)
        if is_last or self._schedule.is_due(now):
            self._schedule.begin(size, now)
            batch.held[GRAPH_BLOB] = state.spans.graph.graph(now).to_bytes()
            state.count_idle(now)
        batch.blobs = self._schedule.take_all() if is_last else []

    def _commit(self, batch: Batch, receipts: Mapping[bytes, RequestReceipt]) -> None:
        """Make a batch durable and take note of it.

        Raises:
            StoreError: if nothing was written.
        """
        state = self._state
        started = time.perf_counter()
        state.writer.commit(
            Commit(
                series=state.catalog.take_new(),
                points=batch.points,
                verdicts=batch.verdicts,
                events=batch.events,
                forget_events_before=min(state.spans.oldest_open(), state.logs.oldest_open()),
                episodes=batch.episodes,
                outbox=batch.outbox,
                exemplars=batch.exemplars,
                receipts=list(receipts.values()),
                bands=state.band_pieces(batch.blobs),
                blobs={**batch.held, **(state.detector.save(batch.blobs) if batch.blobs else {})},
            )
        )
        state.times.note(batch.points)
        state.reports.leave(batch.episodes, batch.points, batch.verdicts, state.catalog.keys)
        state.receipts.keep(receipts)
        state.is_in_step = True
        if receipts:
            self._record_batch(batch.score_seconds, time.perf_counter() - started)

    def _forget_expired(self, now: int) -> None:
        """Forget series without a point in the store, once the state of all is saved.

        Raises:
            StoreError: if nothing was forgotten.
        """
        state = self._state
        expired = self._expiry.expired(state.times, state.catalog, state.writer, now)
        if expired.size:
            self.tick(now, is_last=True)
            state.forget(expired, now)
            log.info("%d series have no point any more and are forgotten", expired.size)

    def _settle(self, request: Request, receipt: RequestReceipt) -> Answer:
        self._ledger.settle(request.signal, stored=receipt.stored, rejected=receipt.rejected)
        return Answer(rejected=receipt.rejected)
