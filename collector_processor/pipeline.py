"""The fast path: what happens to a micro-batch, stage by stage.

    set apart repeats -> derive series -> close windows -> judge -> enrich -> commit -> answer

Everything a batch changes is one commit. When it fails, nothing of it happened: `reload` rebuilds the state from what
is durable. One thread uses a pipeline; `now` is an argument.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import orjson
from xxhash import xxh3_128_digest

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.detect.canary import Subjects
from collector_processor.detect.detector import Detector
from collector_processor.detect.known import SERIES_PER_BLOB, blob_names, first_series
from collector_processor.detect.seed import Seed
from collector_processor.enrichment import Enricher, expected_durations
from collector_processor.feedback import FeedbackDesk
from collector_processor.forecast.fleet import FleetModel
from collector_processor.ledger import Ledger, Signal
from collector_processor.onsets import Onsets
from collector_processor.otlp.decode import (
    ParsedTraces,
    decode_logs,
    decode_metrics,
    decode_traces,
    parse_attributes,
    parse_resource,
    parse_scope,
)
from collector_processor.otlp.patch import STOCK_ADDITIONS, Additions, Which
from collector_processor.otlp.status import Answer
from collector_processor.overview import Overview, SeriesTimes
from collector_processor.policy import Policies
from collector_processor.policy.budget import BUDGETS_BLOB, BudgetLog
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
from collector_processor.telemetry.arrival import LogArrivals, MetricArrivals, SpanArrivals
from collector_processor.telemetry.band import BandStates, Reason, unknown_bands
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.feedback import Feedback, Said
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import EventBatch, Int32, Int64, PointBatch
from collector_processor.telemetry.proof import PROOF_BLOB, Proof
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.verdict import VerdictBatch

log = logging.getLogger(__name__)

_RECEIPT_KEPT = HOUR
_SEEDS = {signal: seed for seed, signal in enumerate(Signal)}

NOTICED = ("duplicate_points", "changed_points", "overlapping_writers", "bad_exemplars", "mixed_metrics")
"""What is taken and yet odd: sent again, sent again with another value, two writers of one counter, exemplars dropped
for their ids, metrics of two kinds or units."""

_MOST_RECEIPTS = 100_000  # about 30 MB
_SAVE_EVERY = MINUTE
_LOOK_EVERY = 10 * NANOS_PER_SECOND
_SUBJECTS_AMONG = 4_096
_SAVE_TICKS = 45  # over which the state of all series is saved, out of sixty


@dataclass(frozen=True, slots=True)
class Request:
    """One decoded export request; `parsed` only for traces.

    `digest` names it among those of the last hour; it is computed once, by the thread that decodes. It is no
    cryptographic one, which would cost a fifth of all work on spans: whoever wants to have another's request taken for
    a repeat must know all bytes of it beforehand, times in nanoseconds included.
    """

    signal: Signal
    body: bytes
    arrivals: MetricArrivals | SpanArrivals | LogArrivals
    parsed: ParsedTraces | None = None
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", xxh3_128_digest(self.body, _SEEDS[self.signal]))

    @classmethod
    def decode(cls, signal: Signal, body: bytes) -> "Request":
        """Decode the body of an export request.

        Raises:
            MalformedRequestError, TooLargeError: never retry.
        """
        if signal is Signal.METRICS:
            return cls(signal, body, decode_metrics(body))
        if signal is Signal.LOGS:
            return cls(signal, body, decode_logs(body))
        return cls(signal, body, *decode_traces(body))

    @property
    def items(self) -> int:
        """Return how many data points, spans or log records it holds."""
        return self.arrivals.received if isinstance(self.arrivals, MetricArrivals) else len(self.arrivals)


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
        self._last_saved = 0
        self._looked = 0
        self._alive = 0
        self._unsaved: deque[str] = deque()
        self._next_subject = 0
        self.fleet = FleetModel.empty()
        self.saved_bands: BandStates = unknown_bands(0)

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
        self._metrics.restore(last, self._saved_blobs(piece_names(len(self._catalog))))
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
        self._logs.restore(events, last)
        self.fleet = FleetModel.from_records(writer.models())
        self._detector, self._ruled = self._load_detector(now), 0
        self._budget_log = BudgetLog.from_bytes(writer.blob(BUDGETS_BLOB))
        settings.policies.budget_factors = self._budget_log.newest
        self._rule_new_series()
        self._onsets = Onsets(writer.open_episodes())
        self._desk.tune(self._detector)
        self._enricher = Enricher(self._catalog, settings.additions)
        self.saved_bands = writer.bands()
        self._receipts = {r.digest: r for r in writer.receipts(now - _RECEIPT_KEPT)}
        self._times = SeriesTimes(*writer.first_times(), last)
        self._catalog.idle = self._times.silent_since(now - settings.idle_nano)
        self._is_in_step = True

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
        fresh, receipts = self._set_apart_repeats(requests)
        batch = self._derive(fresh, now)
        self._commit(batch, [_receipt(r, s, now) for r, s in zip(batch.requests, batch.settlements, strict=True)])
        receipts |= {r.digest: self._receipts[r.digest] for r in fresh}
        return [self._settle(request, receipts[request.digest]) for request in requests]

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
        names = blob_names(len(self._detector))
        if is_last or not 0 <= now - self._last_saved < _SAVE_EVERY:
            self._unsaved, self._last_saved = deque(names), now
            self._catalog.idle = self._times.silent_since(now - self._settings.idle_nano)
        parts = len(self._unsaved) if is_last else min(len(self._unsaved), -(-len(names) // _SAVE_TICKS))
        batch.blobs = [self._unsaved.popleft() for _ in range(parts)]
        if len(batch.points) or batch.episodes or batch.blobs:
            self._commit(batch, [])
        self._is_in_step = True

    def maintain(self, now: int, budget_seconds: float) -> None:
        """Let the store do a slice of its housekeeping."""
        self._writer.maintain(now, budget_seconds)
        self._forget_receipts(now)

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
        blobs = self._detector.save(self._names_of(seeded)) if seeded.size else {}
        bands = self._bands(self._names_of(np.concatenate([seeded, fresh])))
        self._writer.commit(Commit(models=records, bands=bands, blobs=blobs))
        self.fleet, self._is_in_step = fleet, True

    def keep_budgets(self, factors: Mapping[str, float], now: int) -> None:
        """Multiply the thresholds of policies with a budget from now on, by the names of their budgets."""
        self._budget_log = self._budget_log.then(now, factors)
        self._writer.commit(Commit(blobs={BUDGETS_BLOB: self._budget_log.to_bytes()}))
        self._settings.policies.budget_factors = self._budget_log.newest
        self._ruled = 0
        self._rule_new_series()

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

    def open_episodes(self) -> int:
        """Return how many episodes are open."""
        return self._detector.open_episodes

    def overview(self) -> Overview:
        """Return what whoever decides on fits needs to know."""
        return self._times.overview(self._catalog.keys, self.saved_bands, self._detector.marks())

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8]) -> None:
        """Note why series `(n,)` are not sound, a Reason each; it is saved and shown within a minute."""
        self._detector.mark(series, reason)

    def _forget_receipts(self, now: int) -> None:
        """Keep the receipts of the last hour, and no more than there is room for."""
        oldest = next(iter(self._receipts.values()), None)
        if oldest is None:
            return
        if oldest.received_unix_nano < now - _RECEIPT_KEPT or len(self._receipts) > 1.1 * _MOST_RECEIPTS:
            newest = list(self._receipts.items())[-_MOST_RECEIPTS:]
            self._receipts = {d: r for d, r in newest if r.received_unix_nano >= now - _RECEIPT_KEPT}

    def _set_apart_repeats(self, requests: Sequence[Request]) -> tuple[list[Request], dict[bytes, RequestReceipt]]:
        fresh: dict[bytes, Request] = {}
        known: dict[bytes, RequestReceipt] = {}
        for request in requests:
            receipt = self._receipts.get(request.digest)
            if receipt is not None:
                known[request.digest] = receipt
            else:
                fresh.setdefault(request.digest, request)
        return list(fresh.values()), known

    def _derive(self, requests: Sequence[Request], now: int, filled: PointBatch | None = None) -> "_Batch":
        """Take the requests of each signal through their stages, then judge and enrich all points together.

        `filled` are points in place of some that are missing.
        """
        self._alive = now if requests else self._alive
        self._is_in_step = False
        of = {signal: [r for r in requests if r.signal == signal] for signal in Signal}
        metrics = self._metrics.consume([_metrics(r) for r in of[Signal.METRICS]], now, self._writer.existing)
        self._spans.note(metrics.points)
        self._notice(metrics)
        spans = self._spans.consume([_spans(r) for r in of[Signal.TRACES]], now)
        logs = self._logs.consume([_logs(r) for r in of[Signal.LOGS]], now)
        flushed = PointBatch.concat([self._spans.flush(now, self._alive), self._logs.flush(now, self._alive)])
        closed = PointBatch.concat([flushed, filled or PointBatch.empty()])
        points = PointBatch.concat([metrics.points, closed])
        self._rule_new_series()
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
        if self._leads_anywhere(Signal.METRICS):
            origin = np.concatenate([metrics.request, np.full(len(closed), len(of[Signal.METRICS]), np.int32)])
            self._put(batch, self._metric_items(of[Signal.METRICS], batch, origin))
        if self._leads_anywhere(Signal.TRACES):
            self._put(batch, self._trace_items(of[Signal.TRACES], spans.stream, spans.first))
        self._put(batch, [OutboxItem(Signal.LOGS, len(_logs(r)), r.body) for r in of[Signal.LOGS]])
        return batch

    def _leads_anywhere(self, signal: Signal) -> bool:
        return bool(self._settings.destinations.get(signal))

    def _put(self, batch: "_Batch", items: Sequence[OutboxItem]) -> None:
        """Queue items for all destinations of their signal."""
        for item in items:
            if destinations := self._settings.destinations.get(Signal(item.signal)):
                batch.outbox.append(replace(item, destinations=tuple(destinations)))

    def _notice(self, metrics: MetricsConsumed) -> None:
        """Count what is taken and yet odd."""
        self.noticed["duplicate_points"] += sum(s.duplicates for s in metrics.settlements)
        self.noticed["changed_points"] += sum(s.conflicts for s in metrics.settlements)
        self.noticed["overlapping_writers"] += metrics.overlaps
        self.noticed["bad_exemplars"] += metrics.bad_exemplars
        for text in self._catalog.take_mixed():
            self.noticed["mixed_metrics"] += 1
            log.warning("%s", text)

    def _metric_items(self, requests: Sequence[Request], batch: "_Batch", origin: Int32) -> list[OutboxItem]:
        """Append to each request's bytes the bands of its points; bands of closed windows leave by themselves."""
        bodies = [r.body for r in requests]
        extras = self._enricher.band_metrics(batch.points, batch.verdicts, origin, len(bodies) + 1)
        items = [
            OutboxItem(Signal.METRICS, _metrics(request).received, request.body + extra)
            for request, extra in zip(requests, extras, strict=False)
        ]
        return [*items, OutboxItem(Signal.METRICS, 0, extras[-1])] if extras[-1] else items

    def _trace_items(self, requests: Sequence[Request], stream: Int32, first: Int64) -> list[OutboxItem]:
        items = []
        for request, begin, end in zip(requests, first[:-1].tolist(), first[1:].tolist(), strict=True):
            assert request.parsed is not None
            if self._settings.additions.spans is Which.NONE:
                items.append(OutboxItem(Signal.TRACES, end - begin, request.body))
                continue
            series = self._spans.duration_series(stream[begin:end])
            expected = expected_durations(series, _spans(request), self.fleet, self._detector)
            body = self._enricher.enrich_spans(request.parsed, _spans(request), expected)
            items.append(OutboxItem(Signal.TRACES, end - begin, body))
        return items

    def _commit(self, batch: "_Batch", receipts: Sequence[RequestReceipt]) -> None:
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
                receipts=receipts,
                bands=self._bands(batch.blobs),
                blobs={**batch.held, **(self._detector.save(batch.blobs) if batch.blobs else {})},
            )
        )
        self._times.note(batch.points)
        self._receipts |= {r.digest: r for r in receipts}
        self._is_in_step = True
        if receipts:
            self._record_batch(batch.score_seconds, time.perf_counter() - started)

    def _rule_new_series(self) -> None:
        """Resolve the policies of series made since the last call."""
        first, self._ruled = self._ruled, len(self._catalog)
        if first < self._ruled:
            rules = self._settings.policies.rules(self._catalog.keys[first:], self._catalog.find)
            self._detector.rule(np.arange(first, self._ruled, dtype=np.int32), rules)

    def _looked_up(self) -> list[Episode]:
        """Return new episodes again, with what their first points were judged by."""
        writer, detector = self._writer, self._detector
        return self._onsets.look_up(writer.episode, writer.model, lambda series: detector.bands(series, series + 1))

    def _load_detector(self, now: int) -> Detector:
        detector = Detector(maintenance=self._settings.policies.maintenance)
        detector.grow(len(self._catalog))
        saved = self._saved_blobs(blob_names(len(self._catalog)))
        for problem in detector.load(saved, self._writer.open_episodes(), now):
            log.warning("%s", problem)
        return detector

    def _saved_blobs(self, names: Sequence[str]) -> dict[str, bytes]:
        blobs = {name: self._writer.blob(name) for name in names}
        return {name: blob for name, blob in blobs.items() if blob is not None}

    def _names_of(self, series: Int32) -> list[str]:
        """Return under which names the state of these series is saved."""
        self._detector.grow(int(series.max(initial=-1)) + 1)
        names = blob_names(len(self._detector))
        return [names[place] for place in np.unique(series // SERIES_PER_BLOB).tolist()]

    def _bands(self, names: Sequence[str]) -> dict[int, BandStates]:
        """Return the band states that are to be saved with these blobs, by first series."""
        if not names:
            return {}
        size = len(self._detector)
        if size > self.saved_bands.size:
            self.saved_bands = np.append(self.saved_bands, unknown_bands(size - self.saved_bands.size))
        unmodelled = ~self._times.is_modelled(self._catalog.keys)
        pieces: dict[int, BandStates] = {}
        for first in map(first_series, names):
            bands = self._detector.bands(first, min(first + SERIES_PER_BLOB, size))
            bands["reason"][unmodelled[first : first + bands.size]] = Reason.NOT_MODELLED
            self.saved_bands[first : first + bands.size] = pieces[first] = bands
        return pieces

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
    held: dict[str, bytes] = field(default_factory=dict)  # increases without a rate yet
    blobs: list[str] = field(default_factory=list)  # names of the detector state to save with it


def _receipt(request: Request, settlement: Settlement, now: int) -> RequestReceipt:
    return RequestReceipt(request.digest, now, settlement.stored, dict(settlement.rejected))


def _unusual(points: PointBatch, verdicts: VerdictBatch) -> set[int]:
    return set(points.series[verdicts.anomaly != 0].tolist())


def _metrics(request: Request) -> MetricArrivals:
    assert isinstance(request.arrivals, MetricArrivals)
    return request.arrivals


def _spans(request: Request) -> SpanArrivals:
    assert isinstance(request.arrivals, SpanArrivals)
    return request.arrivals


def _logs(request: Request) -> LogArrivals:
    assert isinstance(request.arrivals, LogArrivals)
    return request.arrivals
