"""Events to windows: how many, how many errors, how long, per stream and minute of event time.

A window is [end - length, end) and is stamped with its end. It is closed, all streams of a service together, when the
service's newest event is `grace` past the end; or, once the service has shown no newer event for `grace`, when
the clock is `grace` past the end. Waiting for the service rather than for the clock alone keeps windows whole that
arrive late as a backlog. Events of closed windows are late.

A service that shows no event at all has windows too, two minutes later than its events used to come: its known streams
are silent in them, for as long as something else arrives here. Where nothing arrives at all nobody knows, nor of the
time that this process was away.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import Bool, EventBatch, Float64, Int32, Int64

_SILENT_AFTER = 2 * MINUTE

NOTHING_OPEN = 2**63 - 1
"""What `oldest_open` returns when every event may be forgotten."""

_NO_STREAM, _NO_TIME = np.empty(0, np.int32), np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Durations in nanoseconds; a stream without events for `expiry` gives no more zeros (None: it always does)."""

    length: int = MINUTE
    grace: int = 15 * NANOS_PER_SECOND
    expiry: int | None = HOUR


@dataclass(frozen=True, slots=True)
class ClosedWindows:
    """One row per stream and window, ascending by window; a row without events is a known stream that was silent.

    `duration_seconds` holds the durations of all rows one after the other, ascending within each row, which has
    `count` of them.
    """

    stream: Int32
    end_unix_nano: Int64
    count: Int64
    errors: Int64
    duration_seconds: Float64

    def __len__(self) -> int:
        return self.stream.size

    def quantile(self, q: float, at_least: int) -> Float64:
        """Return per row what `np.quantile(durations, q)` gives, NaN for rows with fewer than `at_least` events."""
        first = np.cumsum(self.count) - self.count
        enough = np.flatnonzero(self.count >= max(at_least, 1))
        place = q * (self.count[enough] - 1)
        low = np.floor(place).astype(np.int64)
        share = place - low
        a = self.duration_seconds[first[enough] + low]
        b = self.duration_seconds[first[enough] + np.minimum(low + 1, self.count[enough] - 1)]
        result = np.full(len(self), np.nan)
        # the two-sided interpolation of NumPy, for equal results to the last bit
        result[enough] = np.where(share < 0.5, a + (b - a) * share, b - (b - a) * (1 - share))
        return result


class Windows:
    """Open windows of all streams; one thread. Streams are dense series ids, services dense numbers."""

    def __init__(self, settings: WindowSettings | None = None) -> None:
        self._settings = settings or WindowSettings()
        self._open: list[EventBatch] = []
        self._service = np.full(0, -1, np.int32)  # by stream; -1: none of ours
        self._streams: list[list[int]] = []  # by service
        self._active = np.zeros(0, np.int64)  # by stream: end of the newest closed window with events
        self._newest = np.zeros(0, np.int64)  # by service: time of the newest event
        self._progress = np.zeros(0, np.int64)  # by service: clock when that event came; 0: not known yet
        self._closed = np.zeros(0, np.int64)  # by service: end of the newest closed window
        self._since = 0  # when something arrived for the first time
        self._oldest = np.zeros(0, np.int64)  # by service: time of the oldest open event

    def register(self, stream: int, service: int) -> None:
        """Make a stream known."""
        self._service = grown(self._service, stream + 1, -1)
        self._active = grown(self._active, stream + 1, 0)
        self._newest = grown(self._newest, service + 1, 0)
        self._progress = grown(self._progress, service + 1, 0)
        self._closed = grown(self._closed, service + 1, 0)
        self._oldest = grown(self._oldest, service + 1, NOTHING_OPEN)
        self._streams.extend([] for _ in range(service + 1 - len(self._streams)))
        self._service[stream] = service
        self._streams[service].append(stream)

    def restore(self, events: EventBatch, stream: Int32, closed: Int64, active: Int64) -> None:
        """Load open events; `closed` and `active` `(n,)` are window ends of `stream`: newest, and newest with events.

        Events of other streams than ours and of closed windows are dropped. The clock closes nothing until `grace`
        after the first call that tells it, so that senders can bring again what was not acknowledged.
        """
        np.maximum.at(self._closed, self._service[stream], closed)
        self._active[stream] = active
        events = events.take(events.stream < self._service.size)
        events = events.take(self._service[events.stream] >= 0)
        self.add(events.take(~self.is_late(events)), 0)

    def is_late(self, events: EventBatch) -> Bool:
        """Tell which events belong to windows that are closed."""
        late: Bool = events.time_unix_nano < self._closed[self._service[events.stream]]
        return late

    def add(self, events: EventBatch, now: int) -> None:
        """Take events of registered streams that aren't late."""
        if not len(events):
            return
        service = self._service[events.stream]
        before = self._newest.copy()
        np.maximum.at(self._newest, service, events.time_unix_nano)
        self._progress[self._newest > before] = now
        np.minimum.at(self._oldest, service, events.time_unix_nano)
        self._open.append(events)

    def close(self, now: int, alive: int = 0) -> ClosedWindows:
        """Close what is due and return it; at `alive` something arrived from somewhere, 0: nothing ever did."""
        self._since = self._since or alive
        if not self._streams:
            return _no_windows()
        closed, silent = self._close(now), self._silent(now, alive)
        return _with_rows(closed, *silent) if silent[0].size else closed

    def _close(self, now: int) -> ClosedWindows:
        if not self._open:
            return _no_windows()
        due = self._due(now)
        if not (self._oldest < due).any():
            self._closed = np.maximum(self._closed, self._watermark(now))
            return _no_windows()
        events = EventBatch.concat(self._open)
        service = self._service[events.stream]
        is_due = events.time_unix_nano < due[service]
        self._open = [] if is_due.all() else [events.take(~is_due)]
        closed = self._with_silent(_grouped(events.take(is_due), self._settings.length))
        np.maximum.at(self._closed, self._service[closed.stream], closed.end_unix_nano)
        self._closed = np.maximum(self._closed, self._watermark(now))
        self._oldest[:] = NOTHING_OPEN
        np.minimum.at(self._oldest, service[~is_due], events.time_unix_nano[~is_due])
        return closed

    @property
    def seconds(self) -> float:
        """Return how long a window is."""
        return self._settings.length / NANOS_PER_SECOND

    def oldest_open(self) -> int:
        """Return the time of the oldest event still needed; older ones may be forgotten."""
        return int(self._oldest.min(initial=NOTHING_OPEN))

    def _watermark(self, now: int) -> Int64:
        """Return per service the end of the newest window that its own events closed.

        Senders' clocks may be ahead of ours; ours is the limit.
        """
        return _window_start(np.minimum(self._newest, now) - self._settings.grace, self._settings.length)

    def _due(self, now: int) -> Int64:
        self._progress[self._progress == 0] = now
        is_idle = now - self._progress >= self._settings.grace
        length = self._settings.length
        by_clock = (now - self._settings.grace) // length * length
        return np.where(is_idle, by_clock, self._watermark(now))

    def _with_silent(self, closed: ClosedWindows) -> ClosedWindows:
        """Add a row without events for each known stream of a service that had events in that window."""
        services = self._service[closed.stream]
        stream, end = [_NO_STREAM], [_NO_TIME]
        for at in _runs(closed.end_unix_nano, services):
            window_end = int(closed.end_unix_nano[at[0]])
            known = np.array(self._streams[services[at[0]]], np.int32)
            silent = np.setdiff1d(known[self._is_active(known, window_end)], closed.stream[at])
            stream.append(silent)
            end.append(np.full(silent.size, window_end))
            self._active[closed.stream[at]] = window_end
        return _with_rows(closed, np.concatenate(stream), np.concatenate(end))

    def _silent(self, now: int, alive: int) -> tuple[Int32, Int64]:
        """Return stream and window end of rows of services without any event; their windows are closed with that."""
        length = self._settings.length
        lag = np.maximum(self._progress - self._newest, 0)
        until = _window_start(min(now, alive) - _SILENT_AFTER - lag, length)
        is_silent = (self._newest > 0) & (self._progress > 0) & (self._closed > 0)
        is_silent &= (self._closed < until) & (self._oldest >= until)
        streams, ends = [_NO_STREAM], [_NO_TIME]
        for service in np.flatnonzero(is_silent).tolist() if alive else ():
            first = max(int(self._closed[service]), -(-self._since // length) * length)
            known = np.array(self._streams[service], np.int32)
            end = np.arange(first + length, until[service] + 1, length)
            is_known = self._is_active(known, end[:, np.newaxis])
            streams.append(np.broadcast_to(known, is_known.shape)[is_known])
            ends.append(np.broadcast_to(end[:, np.newaxis], is_known.shape)[is_known])
            self._closed[service] = until[service]
        return np.concatenate(streams), np.concatenate(ends)

    def _is_active(self, stream: Int32, window_end: Int64 | int) -> Bool:
        """Tell which streams had events within `expiry` of the end of a window."""
        active, expiry = self._active[stream], self._settings.expiry
        is_active: Bool = (active > 0) & ((active >= window_end - expiry) if expiry is not None else (window_end > 0))
        return is_active


def _window_start(time: Int64, length: int) -> Int64:
    start: Int64 = time // length * length
    return start


def _grouped(events: EventBatch, length: int) -> ClosedWindows:
    end = _window_start(events.time_unix_nano, length) + length
    order = np.lexsort((events.duration_seconds, events.stream, end))
    end, stream = end[order], events.stream[order]
    first = np.ones(end.size, np.bool_)
    first[1:] = (end[1:] != end[:-1]) | (stream[1:] != stream[:-1])
    at = np.flatnonzero(first)
    return ClosedWindows(
        stream=stream[at],
        end_unix_nano=end[at],
        count=np.diff(np.append(at, end.size)),
        errors=np.add.reduceat(events.is_error[order].astype(np.int64), at),
        duration_seconds=events.duration_seconds[order],
    )


def _runs(end: Int64, service: Int32) -> list[Int64]:
    """Return the rows of each (window, service), ascending by window."""
    order = np.lexsort((service, end))
    changes = (np.diff(end[order]) != 0) | (np.diff(service[order]) != 0)
    return np.split(order, np.flatnonzero(changes) + 1)


def _with_rows(closed: ClosedWindows, stream: Int32, end: Int64) -> ClosedWindows:
    """Append rows without events and sort by window, then stream, as `closed` itself is."""
    nothing = np.zeros(stream.size, np.int64)
    stream, end = np.concatenate([closed.stream, stream]), np.concatenate([closed.end_unix_nano, end])
    order = np.lexsort((stream, end))
    return ClosedWindows(
        stream=stream[order],
        end_unix_nano=end[order],
        count=np.concatenate([closed.count, nothing])[order],
        errors=np.concatenate([closed.errors, nothing])[order],
        duration_seconds=closed.duration_seconds,
    )


def _no_windows() -> ClosedWindows:
    nothing = np.empty(0, np.int64)
    return ClosedWindows(np.empty(0, np.int32), nothing, nothing, nothing, np.empty(0))
