"""Replay labelled series through the product's own code, without sockets, store and waiting.

Rows become the bytes of OTLP requests; decoding, admission, schedule, training, detector and episodes are the product's
own. Several series are replayed side by side, each on a clock of its own: what takes its time is calling numpy, not
computing. `front_door` does the same with a running Foreband; a test holds their episodes equal.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector_processor.clock import DAY, HOUR
from collector_processor.config.policy import PolicyConfig
from collector_processor.detect.calibrate import QuantileTracker
from collector_processor.detect.detector import DEFAULT_THRESHOLD, Detector
from collector_processor.detect.judge import Judgement
from collector_processor.evaluation.alarms import Alarms
from collector_processor.evaluation.dataset import LabelledSeries
from collector_processor.evaluation.operator import Operator
from collector_processor.evaluation.refits import Refit, refits_of
from collector_processor.evaluation.trace import Trace, blank, day_before
from collector_processor.forecast.fleet import FleetModel
from collector_processor.otlp.decode import decode_metrics, parse_attributes, parse_resource, parse_scope
from collector_processor.policy import Policies
from collector_processor.signals.admit import TimeLimits
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.metrics import MetricSignals
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import NO_COMPANION
from collector_processor.telemetry.series import SeriesKey
from collector_processor.training.schedule import TrainingSettings

METRIC = "evaluated"
_FOREVER = 2**62
_ROWS_A_REQUEST = 500


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """One configuration for all series: the shipped one unless something is to be tried.

    Where `is_answered`, a simulated operator answers alarms and reports misses.
    """

    training: TrainingSettings = field(default_factory=TrainingSettings)
    limits: TimeLimits = field(default_factory=TimeLimits)
    threshold: float = DEFAULT_THRESHOLD
    policies: tuple[PolicyConfig, ...] = ()
    is_answered: bool = False


Hear = Callable[[PointBatch, Judgement, Sequence[SeriesKey]], None]
"""Told of points as they are judged, with the keys of all series."""


def replay(series: Sequence[LabelledSeries], settings: ReplaySettings, hear: Hear | None = None) -> list[Trace]:
    """Replay series side by side; only operators look at labels, and only at those of what is over."""
    began = time.process_time()
    catalogs = [Catalog(parse_resource, parse_scope, parse_attributes, series_limit=1) for _ in series]
    taken = [_taken(s, i, settings.limits, c) for i, (s, c) in enumerate(zip(series, catalogs, strict=True))]
    policies = Policies(settings.policies, settings.threshold)
    prophets = [policies.forecast(key) for catalog in catalogs for key in catalog.keys]
    refits = [list(refits_of(points, settings.training, p)) for points, p in zip(taken, prophets, strict=True)]
    operators = [Operator(s) for s in series] if settings.is_answered else []
    room = _Room(taken, [s.step for s in series], policies, [key for c in catalogs for key in c.keys], operators, hear)
    for turn in range(max(map(len, refits), default=0) + 1):
        room.publish([known[turn - 1] for known in refits if 0 < turn <= len(known)])
        room.judge([_between(known, turn, len(points)) for known, points in zip(refits, taken, strict=True)])
        room.look_ahead([_lifetime(known, turn) for known in refits])
    share = (time.process_time() - began) / max(1, sum(map(len, taken)))
    return [
        room.trace(i, rejected=s.value.size - len(points), cpu_seconds=share * len(points))
        for i, (s, points) in enumerate(zip(series, taken, strict=True))
    ]


def request_body(time_unix_nano: Int64, value: Float64, name: str) -> bytes:
    """Encode rows of one series as an OTLP export request of a gauge."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = name
    metric = group.scope_metrics.add().metrics.add(name=METRIC)
    metric.gauge.SetInParent()
    for at, number in zip(time_unix_nano.tolist(), value.tolist(), strict=True):
        metric.gauge.data_points.add(time_unix_nano=at, as_double=number)
    return request.SerializeToString()


class _Room:
    """The state of the fast path, and the columns of the traces as they fill.

    The series' id is its place; the points of all series lie behind each other, so a row stands for a point.
    """

    def __init__(
        self,
        taken: Sequence[PointBatch],
        steps: Sequence[int],
        policies: Policies,
        keys: Sequence[SeriesKey],
        operators: Sequence[Operator],
        hear: Hear | None,
    ) -> None:
        self._hear, self._keys = hear, keys
        self._points = PointBatch.concat(taken)
        self._operators = operators
        self._size = np.full(len(self._points), np.nan)
        self._first = np.concatenate([[0], np.cumsum([len(points) for points in taken])])
        naive = [day_before(p.time_unix_nano, p.value, 3 * step // 2) for p, step in zip(taken, steps, strict=True)]
        self._columns = blank(len(self._points)) | {"day_before": np.concatenate([np.empty(0), *naive])}
        self._fleet = FleetModel.empty()
        self._detector = Detector(maintenance=policies.maintenance)
        self._detector.rule(np.arange(len(keys), dtype=np.int32), policies.rules(keys, lambda _: NO_COMPANION))
        self._naive = QuantileTracker()
        self._naive.grow(len(taken))
        self._episodes: dict[str, Episode] = {}
        self._alarms: dict[str, Alarms] = {}

    def publish(self, refits: Sequence[Refit]) -> None:
        """Make new models known, as the pipeline does."""
        fleet = self._fleet.with_models([refit.record for refit in refits])
        seeds = {refit.record.series: refit.seed for refit in refits if refit.seed is not None}
        seeded = np.array(list(seeds), np.int32)
        self._detector.adopt(seeded, list(seeds.values()), fleet.winners(seeded))
        fresh = np.array([refit.record.series for refit in refits], np.int32)
        self._detector.scale(fresh, fleet.fact("std", fresh))
        self._fleet = fleet

    def judge(self, arriving: Sequence[range]) -> None:
        """Judge these points of each series by the models there are; one point of every series at a time."""
        row = self._rows(arriving)
        turn = np.concatenate([np.arange(len(r)) for r in arriving])
        points = self._points.take(row)
        forecasts = self._fleet.forecasts(points.series, points.time_unix_nano)
        winner = self._fleet.winners(points.series)
        for k in range(max(map(len, arriving))):
            at = np.flatnonzero(turn == k)
            self._note_bands(row[at])
            judgement = self._detector.judge(points.take(at), forecasts[at], winner[at])
            for name in ("yhat", "lower", "upper"):
                self._columns[name][row[at]] = getattr(judgement.verdicts, name)
            if self._hear is not None:
                self._hear(points.take(at), judgement, self._keys)
            for episode in judgement.episodes:
                self._episodes[episode.episode_id] = episode
                self._alarms.setdefault(episode.episode_id, Alarms()).take(episode)
            if self._operators:
                self._ask(row[at], judgement)

    def _ask(self, row: Int64, judgement: Judgement) -> None:
        """Let the operators of these points' series answer, and judge what follows by what they said."""
        before = {int(series): self._operators[series].factor for series in self._points.series[row]}
        self._size[row] = np.abs(judgement.verdicts.score) * np.array(list(before.values()))
        for episode in judgement.episodes:
            self._operators[episode.series].hear(episode)
        for at, (series, factor) in zip(row.tolist(), before.items(), strict=True):
            operator, first = self._operators[series], self._first[series]
            if operator.waits_until < self._points.time_unix_nano[at]:
                operator.look_back(self._points.time_unix_nano[first : at + 1], self._size[first : at + 1])
            if operator.factor != factor:
                self._detector.tune(series, operator.factor)

    def look_ahead(self, lifetimes: Sequence[tuple[int, int]]) -> None:
        """Note what is drawn from now on for an hour and a day ahead, until the next models."""
        for name, ahead in (("hour_ahead", HOUR), ("day_ahead", DAY)):
            row = self._rows(
                [self._within(s, since + ahead, until + ahead) for s, (since, until) in enumerate(lifetimes)]
            )
            points = self._points.take(row)
            self._columns[name][row] = drawn(self._fleet, points.series, points.time_unix_nano)

    def trace(self, series: int, *, rejected: int, cpu_seconds: float) -> Trace:
        """Return what became of one series."""
        mine = slice(self._first[series], self._first[series + 1])
        found = [episode for episode in self._episodes.values() if episode.series == series]
        found.sort(key=lambda e: (e.start_unix_nano, e.end_unix_nano or e.last_unix_nano))
        spans = [(e.start_unix_nano, e.end_unix_nano or e.last_unix_nano) for e in found]
        alarms = sorted(span for e in found for span in self._alarms[e.episode_id].spans)
        return Trace(
            time_unix_nano=self._points.time_unix_nano[mine],
            value=self._points.value[mine],
            episode=np.array(spans, np.int64).reshape(-1, 2),
            kind=np.array([e.kind for e in found], np.str_),
            alarm=np.array(alarms, np.int64).reshape(-1, 2),
            rejected=rejected,
            cpu_seconds=cpu_seconds,
            **{name: column[mine] for name, column in self._columns.items()},
        )

    def _rows(self, chosen: Sequence[range]) -> Int64:
        """Return the rows of some points of each series."""
        first = self._first.tolist()
        return np.concatenate([np.arange(f + r.start, f + r.stop) for f, r in zip(first, chosen, strict=False)])

    def _within(self, series: int, since: int, until: int) -> range:
        mine = self._points.time_unix_nano[self._first[series] : self._first[series + 1]]
        return range(*np.searchsorted(mine, (since, until)).tolist())

    def _note_bands(self, row: Int64) -> None:
        """Note the calibrated bands as they are before the points are known; then let the naive one learn."""
        series = self._points.series[row]
        for prefix, bands in (("offset", self._detector.bands()), ("day_before", self._naive.records)):
            for side in ("lower", "upper"):
                self._columns[f"{prefix}_{side}"][row] = bands[f"offset_{side}"][series]
        residual = self._points.value[row] - self._columns["day_before"][row]
        known: Bool = np.isfinite(residual)
        residual = residual[known]
        self._naive.learn(series[known], residual, np.abs(residual), np.zeros(residual.size, np.bool_))


def drawn(fleet: FleetModel, series: Int32, time_unix_nano: Int64) -> Float64:
    """Return what is drawn as yhat ahead of now `(n,)`: the forecast that won, or the first that exists."""
    forecasts = fleet.forecasts(series, time_unix_nano)
    chosen = forecasts[np.arange(series.size), fleet.winners(series)]
    present = np.isfinite(forecasts)
    first = forecasts[np.arange(series.size), present.argmax(axis=1)]
    return np.where(np.isnan(chosen), first, chosen)


def _taken(series: LabelledSeries, number: int, limits: TimeLimits, catalog: Catalog) -> PointBatch:
    """Return the points that decoding and admission let through, under id `number`.

    Of those only the ones newer than all before: the others are stored, but neither learned from nor alerted on.
    """
    signals = MetricSignals(catalog, limits)
    known: dict[int, float] = {}

    def existing(points: PointBatch) -> tuple[Bool, Float64]:
        at = points.time_unix_nano.tolist()
        return np.array([t in known for t in at], np.bool_), np.array([known.get(t, np.nan) for t in at])

    batches, newest = [PointBatch.empty()], 0
    for time_unix_nano, value in _ascending_parts(series, limits.retention):
        arrivals = decode_metrics(request_body(time_unix_nano, value, series.name))
        points = signals.consume([arrivals], int(time_unix_nano[-1]), existing).points
        known |= dict(zip(points.time_unix_nano.tolist(), points.value.tolist(), strict=True))
        batches.append(points.take(points.time_unix_nano > newest))
        newest = max(newest, int(time_unix_nano[-1]))
    points = PointBatch.concat(batches)
    return PointBatch(np.full(len(points), number, np.int32), points.time_unix_nano, points.value)


def _ascending_parts(series: LabelledSeries, longest: int) -> Iterator[tuple[Int64, Float64]]:
    """Split rows, as one request each, where time does not ascend, or a request would get too old or too large."""
    time_unix_nano, first = series.time_unix_nano, 0
    for i in range(1, time_unix_nano.size + 1):
        is_end = i == time_unix_nano.size or i - first >= _ROWS_A_REQUEST
        if is_end or time_unix_nano[i] <= time_unix_nano[i - 1] or time_unix_nano[i] - time_unix_nano[first] >= longest:
            yield time_unix_nano[first:i], series.value[first:i]
            first = i


def _between(refits: Sequence[Refit], turn: int, n: int) -> range:
    """Return the rows that arrive between a refit and the next; nothing once all refits are over."""
    if turn > len(refits):
        return range(n, n)
    return range(refits[turn - 1].after if turn else 0, refits[turn].after if turn < len(refits) else n)


def _lifetime(refits: Sequence[Refit], turn: int) -> tuple[int, int]:
    """Return since when, exclusive of that very moment, and until when a model is the newest."""
    if not 0 < turn <= len(refits):
        return _FOREVER, _FOREVER
    until = refits[turn].time_unix_nano + 1 if turn < len(refits) else _FOREVER
    return refits[turn - 1].time_unix_nano + 1, until
