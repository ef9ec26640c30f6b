"""The fast path: what happens to a micro-batch, stage by stage.

    set apart repeats -> derive series -> close windows -> judge -> enrich -> commit -> answer

Everything a batch changes is one commit. When it fails, nothing of it happened: `reload` rebuilds the state from what
is durable. One thread uses a pipeline; `now` is an argument.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson

from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND
from collector_processor.detect.canary import Subjects
from collector_processor.detect.seed import Seed
from collector_processor.errors import StoreError
from collector_processor.expiry import Expiry
from collector_processor.feedback import FeedbackDesk
from collector_processor.forecast.fleet import FleetModel
from collector_processor.ledger import Ledger, Signal
from collector_processor.onsets import Onsets
from collector_processor.otlp.additions import STOCK_ADDITIONS, Additions
from collector_processor.otlp.decode import parse_attributes, parse_resource, parse_scope
from collector_processor.otlp.status import Answer
from collector_processor.outgoing import Outgoing
from collector_processor.overview import Overview, SeriesTimes
from collector_processor.policy import Policies
from collector_processor.policy.budget import BUDGETS_BLOB, BudgetLog
from collector_processor.receipts import Receipts, receipts_of
from collector_processor.request import Request
from collector_processor.saving import SavedBands, SaveSchedule, load_detector, names_of, saved_blobs
from collector_processor.signals.admit import TimeLimits
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.links import LinkQuota
from collector_processor.signals.logs import LogSignals
from collector_processor.signals.metrics import MetricsConsumed, MetricSignals
from collector_processor.signals.outcome import Settlement
from collector_processor.signals.pace import piece_names
from collector_processor.signals.spans import SpanSignals
from collector_processor.signals.windows import WindowSettings
from collector_processor.store.base import Commit, OutboxItem, RequestReceipt, SeriesWriter
from collector_processor.telemetry.band import BandStates, unknown_bands
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.feedback import Feedback, Said
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import EventBatch, Int32, PointBatch
from collector_processor.telemetry.proof import PROOF_BLOB, Proof
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.service_graph import GRAPH_BLOB, ServiceGraph
from collector_processor.telemetry.verdict import VerdictBatch

log = logging.getLogger(__name__)

NOTICED = ("duplicate_points", "changed_points", "overlapping_writers", "bad_exemplars", "mixed_metrics")
"""What is taken and yet odd: sent again, sent again with another value, two writers of one counter, exemplars dropped
for their ids, metrics of two kinds or units."""

_LOOK_EVERY = 10 * NANOS_PER_SECOND
_SUBJECTS_AMONG = 4_096


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Given by the composition root; durations in nanoseconds."""

    series_limit: int = 100_000
    idle_nano: int = DAY
    identity_bytes: int = 512 << 20
    span_names_per_service: int = 200
    has_span_name_templates: bool = True
    windows: WindowSettings = field(default_factory=WindowSettings)
    limits: TimeLimits = field(default_factory=TimeLimits)
    policies: Policies = field(default_factory=Policies)
    destinations: Mapping[Signal, Sequence[str]] = field(default_factory=dict)
    additions: Additions = STOCK_ADDITIONS


class Pipeline:
    """The state of all series and the stages that change it."""

    def __init__(
        self,
        writer: SeriesWriter,
        settings: PipelineSettings,
        ledger: Ledger,
        record_batch: Callable[[float, float], None] = lambda _score, _commit: None,
    ) -> None:
        self._writer = writer
        self._desk = FeedbackDesk(writer)
        self._settings = settings
        self._ledger = ledger
        self._record_batch = record_batch
        self._is_in_step = False  # memory with the store; it is not while a batch is under way
        self._takes_new_series = True
        self._quota = LinkQuota()
        self.noticed = dict.fromkeys(NOTICED, 0)
        self.forgotten = 0  # series
        self._looked = 0
        self._alive = 0
        self._schedule = SaveSchedule()
        self._next_subject = 0
        self.fleet = FleetModel.empty()
        self._bands = SavedBands(unknown_bands(0))
        self._times = SeriesTimes(np.empty(0, np.int32), np.empty(0, np.int64), PointBatch.empty())
        self._expiry = Expiry(settings.limits.retention)

    def reload(self, now: int) -> None:
        """Rebuild all state from the store.

        Raises:
            StoreError: if it cannot be read; requests are refused until a later reload succeeds.
        """
        self._is_in_step = False
        writer, settings = self._writer, self._settings
        self._catalog = Catalog(
            parse_resource,
            parse_scope,
            parse_attributes,
            settings.series_limit,
            identity_bytes=settings.identity_bytes,
        )
        self._catalog.takes_new = self._takes_new_series
        self._catalog.restore(writer.catalog())
        last = writer.last_points()
        self._metrics = MetricSignals(self._catalog, settings.limits, f"{settings.additions.metric_prefix}.")
        self._metrics.restore(last, saved_blobs(writer, piece_names(len(self._catalog))))
        self._spans = SpanSignals(
            self._catalog,
            parse_resource,
            settings.limits,
            settings.windows,
            settings.span_names_per_service,
            has_templates=settings.has_span_name_templates,
        )
        self._logs = LogSignals(self._catalog, parse_resource, settings.limits, settings.windows)
        events = writer.events()
        self._spans.restore(events, last)
        self._spans.graph.restore(ServiceGraph.from_bytes(writer.blob(GRAPH_BLOB)))
        self._logs.restore(events, last)
        self.fleet = FleetModel.from_records(writer.models())
        self._detector, self._unread = load_detector(writer, settings.policies, len(self._catalog), now)
        made, self._times = self._times.made, SeriesTimes(*writer.first_times(), last)
        self._added = self._ruled = 0
        settings.policies.forget_series()
        self._budget_log = BudgetLog.from_bytes(writer.blob(BUDGETS_BLOB))
        settings.policies.budget_factors = self._budget_log.newest
        self._take_in_new_series(now)
        self._times.remember(made)
        self._onsets = Onsets(writer.open_episodes())
        self._desk.tune(self._detector)
        self._outgoing = Outgoing(self._catalog, settings.destinations, settings.additions)
        self._bands = SavedBands(writer.bands())
        self._receipts = Receipts.of_store(writer, now)
        self._catalog.idle = self._idle(now)
        self._is_in_step = True

    def configure(self, settings: PipelineSettings, now: int) -> None:
        """Go on by other settings: all state is saved, and rebuilt by them from the store as after a restart.

        Raises:
            StoreError: if that failed; the former settings hold.
        """
        self.tick(now, is_last=True)
        former, self._settings = self._settings, settings
        try:
            self.reload(now)
        except StoreError:
            self._settings = former
            raise

    def recover(self, now: int) -> None:
        """Rebuild all state if a failed commit left something in memory that never happened.

        Raises:
            StoreError: as `reload`.
        """
        if not self._is_in_step:
            self.reload(now)

    def shortage(self) -> str:
        """Return why the store takes nothing now, empty where it does; for any thread."""
        return self._writer.shortage()

    @property
    def saved_bands(self) -> BandStates:
        """Return the band states of all series as they were saved last; not to be changed."""
        return self._bands.states

    @property
    def keys(self) -> Sequence[SeriesKey]:
        """All series keys, indexed by dense id."""
        return self._catalog.keys

    def process(self, requests: Sequence[Request], now: int) -> list[Answer]:
        """Do everything for a micro-batch; when this returns it is durable and entered in the ledger.

        Raises:
            StoreError: if nothing of it was made durable.
        """
        self._writer.require_room()
        self.recover(now)
        fresh, known = self._receipts.set_apart(requests)
        batch = self._derive(fresh, now)
        receipts = receipts_of(batch.requests, batch.settlements, now)
        self._commit(batch, receipts)
        known |= receipts
        return [self._settle(request, known[request.digest]) for request in requests]

    def tick(self, now: int, *, is_last: bool = False) -> None:
        """Close windows whose time has come; save detector state now and then, a part at a time, and all at the end."""
        self._writer.require_room()
        self.recover(now)
        self._detector.grow(len(self._catalog))
        batch = self._derive([], now, self._detector.fill(now))
        batch.episodes.extend(self._onsets.attached(self._detector.expire(now), self.fleet))
        batch.episodes.extend(self._looked_up())
        if now - self._looked >= _LOOK_EVERY:
            batch.episodes.extend(self._detector.look_for_silence(now))
            self._looked = now
        size = len(self._detector)
        if is_last or self._schedule.is_due(now):
            self._schedule.begin(size, now)
            batch.held[GRAPH_BLOB] = self._spans.graph.graph(now).to_bytes()
            self._catalog.idle = self._idle(now)
        batch.blobs = self._schedule.take_all() if is_last else self._schedule.take(size)
        if len(batch.points) or batch.episodes or batch.blobs or batch.held:
            self._commit(batch, {})
        self._is_in_step = True
        if self._expiry.is_due(self._times, len(self._catalog.made), now):
            self._forget_expired(now)

    def maintain(self, now: int, budget_seconds: float) -> bool:
        """Let the store do a slice of its housekeeping; return whether more is waiting."""
        self._receipts.forget(now)
        return self._writer.maintain(now, budget_seconds)

    def publish(self, fleet: FleetModel, records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
        """Commit models, swap the fleet model, and give seeds to series that have no calibration yet.

        `fleet` is this pipeline's with `records` in it, made by whoever has time for that. Only state that a seed or a
        first model changed is saved with them; the rest follows within a minute.
        """
        self._is_in_step = False
        seeded = np.array([series for series, _ in seeds], np.int32)
        self._detector.adopt(seeded, [seed for _, seed in seeds], fleet.winners(seeded))
        series = np.array([record.series for record in records], np.int32)
        self._detector.scale(series, fleet.fact("std", series))
        fresh = series[self.fleet.versions(series) == 0]
        blobs = self._detector.save(names_of(seeded, self._detector)) if seeded.size else {}
        bands = self._band_pieces(names_of(np.concatenate([seeded, fresh]), self._detector))
        self._writer.commit(Commit(models=records, bands=bands, blobs=blobs))
        self.fleet, self._is_in_step = fleet, True

    def keep_budgets(self, factors: Mapping[str, float], now: int) -> None:
        """Multiply the thresholds of policies with a budget from now on, by the names of their budgets."""
        self._budget_log = self._budget_log.then(now, factors)
        self._writer.commit(Commit(blobs={BUDGETS_BLOB: self._budget_log.to_bytes()}))
        self._settings.policies.budget_factors = self._budget_log.newest
        self._ruled = 0
        self._take_in_new_series(now)

    def answer(self, said: Said, now: int) -> Feedback:
        """Take a person's answer; the next point is judged by it.

        Raises:
            PermanentError: if it is about nothing that is known.
        """
        return self._desk.take(said, self._detector, now)

    def take_back(self, feedback_id: str, by: str, now: int) -> Feedback:
        """Let an answer count no more.

        Raises:
            PermanentError: if there is none of this id that counts.
        """
        return self._desk.take_back(feedback_id, by, self._detector, now)

    def save_memory(self, *, takes_new_series: bool) -> None:
        """Forget what can be found again; take new series, or none, from now on."""
        self._takes_new_series = self._catalog.takes_new = takes_new_series
        self._catalog.forget_aliases()

    def subjects(self, n: int, now: int) -> Subjects:
        """Return shadows of at most `n` series that can be flagged now, out of the next 4,096 ids."""
        size = len(self._detector)
        first = self._next_subject if self._next_subject < size else 0
        end = min(first + _SUBJECTS_AMONG, size)
        ids = np.arange(first, end, dtype=np.int32)
        ids = ids[self._detector.is_judging(first, end, now - HOUR) & (self.fleet.versions(ids) > 0)]
        self._next_subject = end if ids.size <= n else int(ids[n])
        series, fleet = ids[:n], self.fleet
        return Subjects(series, self._detector.shadow(series), fleet.winners(series), fleet.forecasts, now)

    def keep_proof(self, proof: Proof) -> None:
        """Make the newest proof durable."""
        self._writer.commit(Commit(blobs={PROOF_BLOB: orjson.dumps(proof.fields())}))

    def discarded(self) -> dict[str, int]:
        """Return how many pieces of saved state were of another version or damaged and are made anew, by kind."""
        return {
            "bands": self._writer.discarded_bands,
            "detector": self._unread,
            "models": self.fleet.unreadable,
        }

    def open_episodes(self) -> int:
        """Return how many episodes are open."""
        return self._detector.open_episodes

    def overview(self) -> Overview:
        """Return what whoever decides on fits needs to know."""
        return self._times.overview(len(self._catalog), self.saved_bands, self._detector.marks())

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8]) -> None:
        """Note why series `(n,)` are not sound, a Reason each; it is saved and shown within a minute."""
        self._detector.mark(series, reason)

    def _derive(self, requests: Sequence[Request], now: int, filled: PointBatch | None = None) -> "_Batch":
        """Take the requests of each signal through their stages, then judge and enrich all points together.

        `filled` are points in place of some that are missing.
        """
        self._alive = now if requests else self._alive
        self._is_in_step = False
        of = {signal: [r for r in requests if r.signal == signal] for signal in Signal}
        metrics = self._metrics.consume([r.metrics for r in of[Signal.METRICS]], now, self._writer.existing)
        self._spans.note(metrics.points)
        self._notice(metrics)
        spans = self._spans.consume([r.spans for r in of[Signal.TRACES]], now)
        logs = self._logs.consume([r.logs for r in of[Signal.LOGS]], now)
        flushed = PointBatch.concat([self._spans.flush(now, self._alive), self._logs.flush(now, self._alive)])
        closed = PointBatch.concat([flushed, filled or PointBatch.empty()])
        points = PointBatch.concat([metrics.points, closed])
        self._take_in_new_series(now)
        self._detector.hear(PointBatch.concat([metrics.points, flushed.take(flushed.value != 0.0)]), now)
        started = time.perf_counter()
        forecasts = self.fleet.forecasts(points.series, points.time_unix_nano)
        judgement = self._detector.judge(points, forecasts, self.fleet.winners(points.series))
        batch = _Batch(
            requests=[*of[Signal.METRICS], *of[Signal.TRACES], *of[Signal.LOGS]],
            settlements=[*metrics.settlements, *spans.settlements, *logs.settlements],
            points=points,
            verdicts=judgement.verdicts,
            episodes=self._onsets.attached(judgement.episodes, self.fleet),
            events=EventBatch.concat([spans.events, logs.events]),
            exemplars=self._quota.choose(metrics.links, _unusual(points, judgement.verdicts)),
            score_seconds=time.perf_counter() - started,
            held=self._metrics.take_held(),
        )
        batch.outbox = [
            *self._outgoing.metrics(of[Signal.METRICS], metrics.request, points, judgement.verdicts),
            *self._outgoing.traces(
                of[Signal.TRACES], spans.stream, self._spans.duration_series, self.fleet, self._detector
            ),
            *self._outgoing.logs(of[Signal.LOGS]),
        ]
        return batch

    def _notice(self, metrics: MetricsConsumed) -> None:
        """Count what is taken and yet odd."""
        self.noticed["duplicate_points"] += sum(s.duplicates for s in metrics.settlements)
        self.noticed["changed_points"] += sum(s.conflicts for s in metrics.settlements)
        self.noticed["overlapping_writers"] += metrics.overlaps
        self.noticed["bad_exemplars"] += metrics.bad_exemplars
        for text in self._catalog.take_mixed():
            self.noticed["mixed_metrics"] += 1
            log.warning("%s", text)

    def _commit(self, batch: "_Batch", receipts: Mapping[bytes, RequestReceipt]) -> None:
        """Make a batch durable and take note of it.

        Raises:
            StoreError: if nothing was written.
        """
        started = time.perf_counter()
        self._writer.commit(
            Commit(
                series=self._catalog.take_new(),
                points=batch.points,
                verdicts=batch.verdicts,
                events=batch.events,
                forget_events_before=min(self._spans.oldest_open(), self._logs.oldest_open()),
                episodes=batch.episodes,
                outbox=batch.outbox,
                exemplars=batch.exemplars,
                receipts=list(receipts.values()),
                bands=self._band_pieces(batch.blobs),
                blobs={**batch.held, **(self._detector.save(batch.blobs) if batch.blobs else {})},
            )
        )
        self._times.note(batch.points)
        self._receipts.keep(receipts)
        self._is_in_step = True
        if receipts:
            self._record_batch(batch.score_seconds, time.perf_counter() - started)

    def _take_in_new_series(self, now: int) -> None:
        """Resolve the policies of series made since the last call."""
        made, keys = self._catalog.made, self._catalog.keys
        if self._added < len(made):
            added = made[self._added :]
            self._times.add(np.array(added, np.int32), [keys[series] for series in added], now)
        if self._ruled < len(made):
            ruled = made[self._ruled :]
            rules = self._settings.policies.rules([keys[series] for series in ruled], self._catalog.find)
            self._detector.rule(np.array(ruled, np.int32), rules)
        self._added = self._ruled = len(made)

    def _idle(self, now: int) -> int:
        """Return how many series take no place."""
        long_ago = now - self._settings.idle_nano
        return self._times.silent(long_ago, long_ago).size

    def _forget_expired(self, now: int) -> None:
        """Forget series without a point in the store; their ids and all that was known by them are free again.

        Raises:
            StoreError: if nothing was forgotten.
        """
        expired = self._expiry.expired(self._times, self._catalog, self._writer, now)
        if not expired.size:
            return
        self.tick(now, is_last=True)
        self._is_in_step = False
        self._detector.forget(expired)
        self._metrics.forget(expired)
        names = names_of(expired, self._detector)
        blobs = {**self._detector.save(names), **self._metrics.take_held()}
        self._writer.commit(Commit(forgotten=expired, bands=self._band_pieces(names), blobs=blobs))
        self.forgotten += expired.size
        log.info("%d series have no point any more and are forgotten", expired.size)
        self.reload(now)

    def _looked_up(self) -> list[Episode]:
        """Return new episodes again, with what their first points were judged by."""
        writer, detector = self._writer, self._detector
        return self._onsets.look_up(writer.episode, writer.model, lambda series: detector.bands(series, series + 1))

    def _band_pieces(self, names: Sequence[str]) -> dict[int, BandStates]:
        return self._bands.pieces(names, self._detector, self._times.is_modelled(len(self._detector)))

    def _settle(self, request: Request, receipt: RequestReceipt) -> Answer:
        self._ledger.settle(request.signal, stored=receipt.stored, rejected=receipt.rejected)
        return Answer(rejected=receipt.rejected)


@dataclass(slots=True)
class _Batch:
    """What a micro-batch became; `settlements[i]` belongs to `requests[i]`."""

    requests: list[Request]
    settlements: list[Settlement]
    points: PointBatch
    verdicts: VerdictBatch
    episodes: list[Episode]
    events: EventBatch
    score_seconds: float
    outbox: list[OutboxItem] = field(default_factory=list)
    exemplars: list[TraceLink] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)  # increases without a rate yet, who calls whom
    blobs: list[str] = field(default_factory=list)  # names of the detector state to save with it


def _unusual(points: PointBatch, verdicts: VerdictBatch) -> set[int]:
    return set(points.series[verdicts.anomaly != 0].tolist())
