"""Spans to rate, error ratio and duration per operation (service, span kind, span name).

Names are aliases of operations: `template` says of which, unless a series of that very name is there already. Spans
of a service that has span metrics of its own are taken, but make no series.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.signals.admit import TimeLimits, check_times
from collector_processor.signals.catalog import REFUSED, Catalog
from collector_processor.signals.columns import grown
from collector_processor.signals.events import PASSED, EventsConsumed, enter, first_rows, joined, nothing
from collector_processor.signals.measured import Measured
from collector_processor.signals.measured_edges import MeasuredEdges
from collector_processor.signals.outcome import Outcome, first_of, is_stored, where
from collector_processor.signals.service_graph import CURRENT, ServiceGraphSignals
from collector_processor.signals.services import Services
from collector_processor.signals.span_names import template
from collector_processor.signals.windows import ClosedWindows, Windows, WindowSettings
from collector_processor.telemetry.arrival import SpanArrivals
from collector_processor.telemetry.points import Bool, EventBatch, Int8, Int32, Int64, PointBatch
from collector_processor.telemetry.series import Attributes, Kind, SeriesKey, Statistic

CALLS, ERRORS, DURATION = "traces.span.calls", "traces.span.errors", "traces.span.duration"

KIND_NAMES = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""By OTLP SpanKind number; numbers beyond them are unspecified."""

OVERFLOW: Attributes = (("otel.metric.overflow", True), ("span.name", "other"))
"""Attributes of the operation that stands for all operations past the limits."""

QUANTILES = ((Statistic.P50, 0.50, 1), (Statistic.P95, 0.95, 20), (Statistic.P99, 0.99, 100))
"""Statistic, quantile, and how many spans a window needs for it."""

MAX_NAME_LENGTH = 1024
"""Longer span names count as `other`."""

_STATISTICS = 2 + len(QUANTILES)  # series of an operation
_MOST_ALIASES = 100_000  # about 30 MB; past it they are found anew


class SpanSignals:
    """Operations and their open windows; one thread. After a failed commit, make a new one and restore it."""

    def __init__(
        self,
        catalog: Catalog,
        parse_resource: Callable[[bytes], Attributes],
        limits: TimeLimits | None = None,
        windows: WindowSettings | None = None,
        names_per_service: int = 200,
        *,
        has_templates: bool = True,
    ) -> None:
        self._catalog = catalog
        self._operation_of: Callable[[str], str] = template if has_templates else str
        self._limits = limits or TimeLimits()
        self._names_per_service = names_per_service
        self._services = Services(parse_resource, limit=catalog.series_limit // _STATISTICS)
        self._windows = Windows(windows)
        self._measured = Measured(catalog, (windows or WindowSettings()).length)
        self._measured_edges = MeasuredEdges(catalog)
        self.graph = ServiceGraphSignals(self._services.name, self._measured_edges)
        self._aliases: dict[int, dict[str, int]] = {}  # service and kind (see `_groups`) -> span name -> stream
        self._alias_count = 0
        self._operations: dict[tuple[int, str, str], int] = {}  # (service, kind, operation) -> stream
        self._overflow: dict[int, int] = {}  # service -> stream
        self._operation_count: dict[int, int] = {}
        self._members = np.full((0, 5), REFUSED, np.int32)  # by stream: calls, errors, P50, P95, P99

    def restore(self, events: EventBatch, last_points: PointBatch) -> None:
        """Load the operations the catalog knows, their windows closed so far, and the events of open ones."""
        for series, key in enumerate(list(self._catalog.keys)):
            if key.kind is Kind.SPAN and key.metric == CALLS:
                self._recall(series, key)
        newest = np.zeros(len(self._catalog) + 1, np.int64)
        newest[last_points.series] = last_points.time_unix_nano
        stream = np.array([*self._operations.values(), *self._overflow.values()], np.int32)
        # an error ratio is written for every window with spans, and for no other
        self._windows.restore(events, stream, newest[stream], newest[self._members[stream, 1]])
        self._measured.note(last_points)

    def note(self, points: PointBatch) -> None:
        """Take in points of any series, before spans that came with them: a service may have span metrics."""
        self._measured.note(points)
        self._measured_edges.note(points)

    def consume(self, arrivals: Sequence[SpanArrivals], now: int) -> EventsConsumed:
        """Turn the requests of one micro-batch into events and say what became of each span."""
        if not arrivals:
            return nothing()
        first = first_rows(arrivals)
        start = joined(a.start_unix_nano for a in arrivals)
        end = joined(a.end_unix_nano for a in arrivals)
        outcome = self._check_times(start, end, now)
        wanted = is_stored(outcome)
        services = [self._service_numbers(a) for a in arrivals]
        streams = [
            self._streams(a, numbers, end[r], wanted[r])
            for a, numbers, r in zip(arrivals, services, _slices(first), strict=True)
        ]
        events = EventBatch(
            stream=np.concatenate([np.empty(0, np.int32), *streams]),
            time_unix_nano=end,
            duration_seconds=(end - start) / NANOS_PER_SECOND,
            is_error=np.concatenate([np.empty(0, np.bool_), *(a.is_error for a in arrivals)]),
        )
        self._note_calls(arrivals, services, events, wanted, now)
        return enter(self._windows, events, outcome, first, now)

    def flush(self, now: int, alive: int = 0) -> PointBatch:
        """Close the windows that are due and return their points; something arrived at `alive`, whatever it was."""
        self.graph.tend(now)
        closed = self._windows.close(now, alive)
        return self._points(closed) if len(closed) else PointBatch.empty()

    def oldest_open(self) -> int:
        """Return the time of the oldest event still needed; older ones may be forgotten."""
        return self._windows.oldest_open()

    def duration_series(self, stream: Int32) -> Int32:
        """Return ids `(n, 3)` of the P50, P95 and P99 duration series of streams; negative for negative streams."""
        known = np.where(stream >= 0, stream, 0)
        if not len(self._members):
            return np.full((stream.size, 3), REFUSED, np.int32)
        return np.where((stream >= 0)[:, None], self._members[known, 2:], np.int32(REFUSED))

    def _check_times(self, start: Int64, end: Int64, now: int) -> Int8:
        if (start > 0).all() and (start <= end).all():  # nearly always
            return check_times(end, now, self._limits)
        return first_of(
            where((start == 0) | (end == 0) | ((end > 0) & (start > end)), Outcome.BAD_SPAN_TIMES),
            where(start < 0, Outcome.TIME_OUT_OF_RANGE),
            check_times(end, now, self._limits),
        )

    def _service_numbers(self, arrivals: SpanArrivals) -> Int64:
        """Return the service of each resource."""
        return np.array([self._services.of_bytes(resource) for resource in arrivals.resources], np.int64)

    def _note_calls(
        self, arrivals: Sequence[SpanArrivals], services: Sequence[Int64], events: EventBatch, wanted: Bool, now: int
    ) -> None:
        """Let the service graph see the spans of a micro-batch that are taken and are no past that somebody brings."""
        is_seen = wanted & (events.time_unix_nano > now - CURRENT)
        self.graph.note(
            np.concatenate([numbers[a.resource] for a, numbers in zip(arrivals, services, strict=True)]),
            np.concatenate([a.kind for a in arrivals]),
            np.where(is_seen, np.concatenate([a.link for a in arrivals]), 0),
            events.is_error,
            events.duration_seconds,
            [peer for a in arrivals for peer in a.peers],
            now,
        )

    def _streams(self, arrivals: SpanArrivals, services: Int64, end: Int64, wanted: Bool) -> Int32:
        """Return the stream of each span; spans not `wanted` make no new one."""
        service = services[arrivals.resource]
        groups = _groups(service, arrivals.kind)
        streams = self._known(groups, arrivals)
        passed = self._is_measured(services, arrivals.resource, end) & wanted & (service >= 0)
        for i in np.flatnonzero((streams < 0) & wanted & ~passed).tolist():
            streams[i] = self._recognise(int(groups[i]), arrivals.names[arrivals.name[i]])
        streams[passed] = PASSED
        return streams

    def _is_measured(self, services: Int64, resource: Int32, end: Int64) -> Bool:
        """Tell which spans end while their service has span metrics of its own."""
        periods = [self._measured.period(self._services.resource(s)) if s >= 0 else (0, 0) for s in services.tolist()]
        if not any(until for _, until in periods):
            return np.zeros(end.size, np.bool_)
        since, until = np.array(periods, np.int64)[resource].T
        measured: Bool = (end >= since) & (end < until)
        return measured

    def _known(self, groups: Int64, arrivals: SpanArrivals) -> Int32:
        """Return the stream of each span whose name was seen before, `REFUSED` for the others."""
        names = max(len(arrivals.names), 1)
        pairs, pair_of = np.unique(groups * names + arrivals.name, return_inverse=True)
        streams = [
            self._aliases.get(group, {}).get(arrivals.names[name], REFUSED)
            for group, name in zip((pairs // names).tolist(), (pairs % names).tolist(), strict=True)
        ]
        return np.array(streams, np.int32)[pair_of]

    def _recognise(self, group: int, name: str) -> int:
        """Return the stream of a span name never seen, or forgotten."""
        service, number = divmod(group, len(KIND_NAMES))
        if service < 0:
            return service
        stream = self._aliases.get(group, {}).get(name)  # an earlier row of this very batch may have brought it
        if stream is None:
            kind = KIND_NAMES[number]
            is_whole = (service, kind, name) in self._operations
            stream = self._learn(service, kind, name if is_whole else self._operation_of(name))
            if stream >= 0 and len(name) <= MAX_NAME_LENGTH and stream != self._overflow.get(service):
                self._remember(group, name, stream)
        return stream

    def _remember(self, group: int, name: str, stream: int) -> None:
        if self._alias_count >= _MOST_ALIASES:
            self._aliases, self._alias_count = {}, 0
        self._aliases.setdefault(group, {})[name] = stream
        self._alias_count += 1

    def _learn(self, service: int, kind: str, name: str) -> int:
        """Return the stream of an operation: its own, or past a limit the overflow of its service."""
        stream = self._operations.get((service, kind, name))
        if stream is not None:
            return stream
        has_room = self._operation_count.get(service, 0) < self._names_per_service and self._catalog.room >= _STATISTICS
        if has_room and len(name) <= MAX_NAME_LENGTH:
            members = self._catalog.intern(self._keys(service, (("span.kind", kind), ("span.name", name))))
            return self._register(service, (kind, name), members)
        return self._overflow_of(service)

    def _overflow_of(self, service: int) -> int:
        """Return the overflow stream; only a service that has an operation gets one beyond the series limit."""
        stream = self._overflow.get(service)
        if stream is not None:
            return stream
        if service not in self._operation_count and self._catalog.room < _STATISTICS:
            return REFUSED
        return self._register(service, None, self._catalog.intern(self._keys(service, OVERFLOW), beyond_limit=True))

    def _recall(self, series: int, key: SeriesKey) -> None:
        service = self._services.of(key.resource)
        members = self._catalog.intern(self._keys(service, key.attributes), beyond_limit=True)
        attributes = dict(key.attributes)
        is_overflow = key.attributes == OVERFLOW
        operation = None if is_overflow else (str(attributes["span.kind"]), str(attributes["span.name"]))
        assert members[0] == series
        self._register(service, operation, members)

    def _register(self, service: int, operation: tuple[str, str] | None, members: Int32) -> int:
        stream = int(members[0])
        self._members = grown(self._members, stream + 1, REFUSED)
        self._members[stream] = members
        self._windows.register(stream, service)
        if operation is None:
            self._overflow[service] = stream
        else:
            self._operations[service, *operation] = stream
            self._operation_count[service] = self._operation_count.get(service, 0) + 1
        return stream

    def _keys(self, service: int, attributes: Attributes) -> list[SeriesKey]:
        kinds = [(CALLS, "{span}/s", Statistic.RATE), (ERRORS, "1", Statistic.ERROR_RATIO)]
        kinds += [(DURATION, "s", statistic) for statistic, _, _ in QUANTILES]
        return [self._services.key(service, Kind.SPAN, m, unit, s, attributes) for m, unit, s in kinds]

    def _points(self, closed: ClosedWindows) -> PointBatch:
        rate = closed.count / self._windows.seconds
        ratio = closed.errors / np.where(closed.count > 0, closed.count, np.nan)
        columns = [rate, ratio, *(closed.quantile(q, at_least) for _, q, at_least in QUANTILES)]
        batches = []
        for column, value in enumerate(columns):
            have = ~np.isnan(value)
            series = self._members[closed.stream[have], column]
            batches.append(PointBatch(series, closed.end_unix_nano[have], value[have]))
        return PointBatch.concat(batches)


def _groups(service: Int64, kind: Int8) -> Int64:
    """Return one number for service and kind of each span; that of a service that is none is negative, too."""
    return service * len(KIND_NAMES) + np.where((kind >= 0) & (kind < len(KIND_NAMES)), kind, 0)


def _slices(first: Int64) -> list[slice]:
    """Return the rows of each arrivals."""
    return [slice(begin, end) for begin, end in pairwise(first.tolist())]
