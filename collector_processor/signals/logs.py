"""Log records to a rate per service and severity."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from collector_processor.signals.admit import TimeLimits, check_times
from collector_processor.signals.catalog import REFUSED, Catalog
from collector_processor.signals.events import EventsConsumed, enter, first_rows, joined, nothing
from collector_processor.signals.outcome import is_stored
from collector_processor.signals.services import Services
from collector_processor.signals.windows import Windows, WindowSettings
from collector_processor.telemetry.arrival import LogArrivals
from collector_processor.telemetry.points import Bool, EventBatch, Int32, PointBatch
from collector_processor.telemetry.series import Attributes, Kind, SeriesKey, Statistic

RECORDS = "logs.records"

SEVERITIES = ("UNSPECIFIED", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""Names of the OTLP severity ranges 1-4, 5-8, ... 21-24; every other number is unspecified."""

_SEVERITY_OF = np.zeros(256, np.int8)
_SEVERITY_OF[1:25] = np.repeat(np.arange(1, len(SEVERITIES)), 4)


class LogSignals:
    """Log streams and their open windows; one thread. After a failed commit, make a new one and restore it.

    A severity that a service once used stays known for good, so that its silence is a rate of 0.
    """

    def __init__(
        self,
        catalog: Catalog,
        parse_resource: Callable[[bytes], Attributes],
        limits: TimeLimits | None = None,
        windows: WindowSettings | None = None,
    ) -> None:
        self._catalog = catalog
        self._limits = limits or TimeLimits()
        self._services = Services(parse_resource, limit=catalog.series_limit)
        self._windows = Windows(replace(windows or WindowSettings(), expiry=None))
        self._streams: dict[int, int] = {}  # service * len(SEVERITIES) + severity -> stream

    def restore(self, events: EventBatch, last_points: PointBatch) -> None:
        """Load the streams the catalog knows, their windows closed so far, and the events of open ones."""
        for series, key in enumerate(self._catalog.keys):
            if key.kind is Kind.LOG and key.metric == RECORDS:
                severity = SEVERITIES.index(str(dict(key.attributes)["severity"]))
                self._register(self._services.of(key.resource), severity, series)
        newest = np.zeros(len(self._catalog) + 1, np.int64)
        newest[last_points.series] = last_points.time_unix_nano
        stream = np.array(list(self._streams.values()), np.int32)
        self._windows.restore(events, stream, newest[stream], newest[stream])

    def consume(self, arrivals: Sequence[LogArrivals], now: int) -> EventsConsumed:
        """Turn the requests of one micro-batch into events and say what became of each record."""
        if not arrivals:
            return nothing()
        first = first_rows(arrivals)
        time = joined(a.time_unix_nano for a in arrivals)
        outcome = check_times(time, now, self._limits)
        wanted = is_stored(outcome)
        streams = [self._stream(a, wanted[first[i] : first[i + 1]]) for i, a in enumerate(arrivals)]
        stream = np.concatenate([np.empty(0, np.int32), *streams])
        events = EventBatch(stream, time, np.full(time.size, np.nan), np.zeros(time.size, np.bool_))
        return enter(self._windows, events, outcome, first, now)

    def flush(self, now: int, alive: int = 0) -> PointBatch:
        """Close the windows that are due and return their points; something arrived at `alive`, whatever it was."""
        closed = self._windows.close(now, alive)
        return PointBatch(closed.stream, closed.end_unix_nano, closed.count / self._windows.seconds)

    def oldest_open(self) -> int:
        """Return the time of the oldest event still needed; older ones may be forgotten."""
        return self._windows.oldest_open()

    def _stream(self, arrivals: LogArrivals, wanted: Bool) -> Int32:
        """Return the stream of each record; records not `wanted` make no new one."""
        service = np.array([self._services.of_bytes(r) for r in arrivals.resources], np.int64)
        severity = _SEVERITY_OF[arrivals.severity_number.astype(np.uint8)]
        code = service[arrivals.resource] * len(SEVERITIES) + severity
        stream = np.full(code.size, REFUSED, np.int32)
        for c in np.unique(code[wanted]).tolist():
            stream[code == c] = self._find(*divmod(c, len(SEVERITIES)))
        return stream

    def _find(self, service: int, severity: int) -> int:
        if service < 0:
            return service
        stream = self._streams.get(service * len(SEVERITIES) + severity)
        if stream is not None:
            return stream
        series = int(self._catalog.intern([self._key(service, severity)])[0])
        return series if series == REFUSED else self._register(service, severity, series)

    def _register(self, service: int, severity: int, stream: int) -> int:
        self._streams[service * len(SEVERITIES) + severity] = stream
        self._windows.register(stream, service)
        return stream

    def _key(self, service: int, severity: int) -> SeriesKey:
        attributes: Attributes = (("severity", SEVERITIES[severity]),)
        return self._services.key(service, Kind.LOG, RECORDS, "{record}/s", Statistic.RATE, attributes)
