"""The queues of requests waiting to be forwarded: a cursor per destination over logs that they share.

A request for several destinations is written once, to the log of that set of destinations, and is durable before the
commit it belongs to. How far a destination has come is put on record without waiting for the disk: after a crash it is
sent again what was on its way, after a power failure at most what its segments still hold. Each queue is bounded
in bytes: the oldest make room.
"""

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from collector_processor.errors import StoreError
from collector_processor.store.base import DEFAULT_DESTINATION, OutboxItem, StoredOutboxItem
from collector_processor.store.files import NumberFile
from collector_processor.store.segment import SUFFIX, Segment
from collector_processor.store.segment_log import Entry, LogEnd, Place, SegmentLog
from collector_processor.store.settings import StoreSettings

log = logging.getLogger(__name__)

_PAGE_BYTES = 4 << 20
_ROOM = 16
"""A full queue is emptied by one part in so many, so that not every commit has to."""


@dataclass(slots=True)
class _Queue:
    """One destination's: all numbers up to `sent` are done; `places` are by log."""

    limit: int
    mark: NumberFile
    sent: int
    places: dict[int, Place] = field(default_factory=dict)
    count: int = 0
    size: int = 0


class Outbox:
    """Safe to read and to empty from any thread; `appended` belongs to the writer's."""

    def __init__(self, directory: Path, ends: Mapping[int, LogEnd], settings: StoreSettings) -> None:
        self._directory, self._settings = directory, settings
        self._lock = Lock()
        self._dropped: Counter[str] = Counter()
        self._damaged: Counter[str] = Counter()
        self._listeners: list[Callable[[], None]] = []
        self._queues: dict[str, _Queue] = {}
        self._logs = {log_id: SegmentLog(directory, log_id, end) for log_id, end in ends.items()}
        self._ids = {end.destinations: log_id for log_id, end in ends.items()}
        self._strays = self._found_strays()
        for log_id, end in ends.items():
            self._join(log_id, end.destinations)
        numbers = [*(end.number for end in ends.values()), *(queue.sent for queue in self._queues.values())]
        self._next = max(numbers, default=0) + 1

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return, by destination, how many telemetry items a full queue has dropped since opening."""
        with self._lock:
            return Counter(self._dropped)

    @property
    def damaged(self) -> Mapping[str, int]:
        """Return, by destination, how many telemetry items were lost to damage since opening, at least."""
        with self._lock:
            return Counter(self._damaged)

    def listen(self, told: Callable[[], None]) -> None:
        """Call `told` whenever something new waits; it should return at once."""
        self._listeners.append(told)

    @contextmanager
    def appended(self, items: Sequence[OutboxItem]) -> Iterator[Mapping[int, LogEnd]]:
        """Put items on the disk for the block, which commits the ends of their logs; then they wait to be sent.

        Where the block raises, none of them was ever there.

        Raises:
            StoreError: if they cannot be written.
        """
        ends: dict[int, LogEnd] = {}
        number = self._next
        try:
            for destinations, group in _by_destinations(items).items():
                log_id = self._log_of(destinations)
                ends[log_id] = self._logs[log_id].append(group, number)
                number += len(group)
            yield ends
        except BaseException:
            for log_ in self._logs.values():
                log_.revert()
            raise
        self._next = number
        self._settle(ends, items)

    def waiting(self, *, after: int, limit: int, destination: str = DEFAULT_DESTINATION) -> list[StoredOutboxItem]:
        """Return the oldest items that wait for a destination with id > `after`, ascending: up to `limit`, some MiB.

        There are more where the last of them would be parted from one that joins it.

        Raises:
            StoreError: if they cannot be read now.
        """
        found: list[StoredOutboxItem] = []
        size = 0
        with self._lock, self._counting_losses():
            for log_, entry in self._entries(destination):
                frame = entry.frame
                if frame.number <= after:
                    continue
                if (len(found) >= limit or size >= _PAGE_BYTES) and not frame.joins:
                    break
                payload = log_.payload(entry)
                if payload is not None:
                    item = OutboxItem(frame.signal, frame.items, payload, log_.end.destinations, frame.joins)
                    found.append(StoredOutboxItem(frame.number, item))
                    size += frame.size
        return found

    def done(self, destination: str, item_id: int) -> None:
        """Take note that this item and all before it were sent, or given up.

        Raises:
            StoreError: if they cannot be passed now.
        """
        with self._lock, self._counting_losses():
            passed = self._pass(destination, item_id)
        for segment in passed:
            segment.remove()

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return, by destination, the number of waiting items and their payload bytes."""
        with self._lock:
            return {name: (queue.count, queue.size) for name, queue in self._queues.items() if queue.count}

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            for log_ in self._logs.values():
                log_.close()
            for queue in self._queues.values():
                queue.mark.close()

    def _settle(self, ends: Mapping[int, LogEnd], items: Sequence[OutboxItem]) -> None:
        """Show what is committed, and make room where it is too much."""
        passed: list[Segment] = []
        with self._lock:
            for log_id, end in ends.items():
                self._logs[log_id].settle(end)
            for item in items:
                for name in item.destinations:
                    self._queues[name].count += 1
                    self._queues[name].size += len(item.payload)
            for name in {name for item in items for name in item.destinations}:
                with suppress(StoreError), self._counting_losses():  # the commit stands; the next one tries again
                    passed += self._make_room(name)
        for segment in passed:
            segment.remove()
        if items:
            for told in self._listeners:
                told()

    def _make_room(self, name: str) -> list[Segment]:
        """Drop the oldest items of a full queue."""
        queue = self._queues[name]
        if queue.size <= queue.limit:
            return []
        excess = queue.size - queue.limit + queue.limit // _ROOM
        number, dropped = queue.sent, 0
        for _, entry in self._entries(name):
            if excess <= 0:
                break
            number, dropped, excess = entry.frame.number, dropped + entry.frame.items, excess - entry.frame.size
        passed = self._pass(name, number)
        self._dropped[name] += dropped
        return passed

    def _entries(self, name: str) -> Iterator[tuple[SegmentLog, Entry]]:
        """Yield what waits for a destination, in order of number."""
        queue = self._queues.get(name)
        if queue is None:
            return iter(())
        streams = [_of(self._logs[log_id], place) for log_id, place in queue.places.items()]
        return streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda found: found[1].frame.number)

    def _pass(self, name: str, number: int) -> list[Segment]:
        """Move a cursor behind this number; return segments that every destination has passed."""
        queue, passed = self._queues[name], list[Segment]()
        for log_id, place in queue.places.items():
            for entry in self._logs[log_id].entries(place):
                if entry.frame.number > number:
                    break
                queue.places[log_id] = entry.next_place
                queue.count -= 1
                queue.size -= entry.frame.size
            passed += self._logs[log_id].release(self._slowest(log_id))
        if number > queue.sent:
            queue.sent = number
            with suppress(OSError):  # then a crash sends more of them again
                queue.mark.write(number)
        return passed

    def _slowest(self, log_id: int) -> Place:
        return min(self._queues[name].places[log_id] for name in self._logs[log_id].end.destinations)

    @contextmanager
    def _counting_losses(self) -> Iterator[None]:
        """Put right what queues hold where the block finds damage."""
        before = {log_id: log_.lost for log_id, log_ in self._logs.items()}
        try:
            yield
        finally:
            for log_id, log_ in self._logs.items():
                if log_.lost > before[log_id]:
                    for name in log_.end.destinations:
                        self._damaged[name] += log_.lost - before[log_id]
                        self._count(self._queues[name])

    def _count(self, queue: _Queue) -> None:
        found = [entry for log_id, place in queue.places.items() for entry in self._logs[log_id].entries(place)]
        queue.count, queue.size = len(found), sum(entry.frame.size for entry in found)

    def _log_of(self, destinations: tuple[str, ...]) -> int:
        """Return the log of a set of destinations; a new one is on record from its first commit."""
        if destinations not in self._ids:
            log_id = max([*self._logs, *self._strays], default=0) + 1
            with self._lock:
                self._logs[log_id] = SegmentLog(self._directory, log_id, LogEnd(destinations))
                self._join(log_id, destinations)
            self._ids[destinations] = log_id
        return self._ids[destinations]

    def _join(self, log_id: int, destinations: Sequence[str]) -> None:
        """Give the queues of a log their cursors in it."""
        log_ = self._logs[log_id]
        for name in destinations:
            queue = self._queues.get(name) or self._opened(name)
            place = log_.place_of(queue.sent)
            for entry in log_.entries(place):
                if entry.frame.number > queue.sent:
                    queue.count += 1
                    queue.size += entry.frame.size
                else:
                    place = entry.next_place
            queue.places[log_id] = place
            if log_.lost:
                self._damaged[name] += log_.lost

    def _opened(self, name: str) -> _Queue:
        mark = NumberFile(self._directory, f"{name}.sent")
        queue = self._queues[name] = _Queue(self._settings.outbox_limit(name), mark, mark.read())
        return queue

    def _found_strays(self) -> list[int]:
        """Return the logs that no commit knows and that have files; those are left alone, and their numbers too."""
        strays = {path: int(path.name.split(".")[0]) for path in self._directory.glob(f"*{SUFFIX}")}
        unknown = {path: log_id for path, log_id in strays.items() if log_id not in self._logs}
        for path in sorted(unknown):
            log.warning("%s in the store's directory is of no commit; it is left alone", path.name)
        return list(unknown.values())


def _of(log_: SegmentLog, place: Place) -> Iterator[tuple[SegmentLog, Entry]]:
    return ((log_, entry) for entry in log_.entries(place))


def _by_destinations(items: Sequence[OutboxItem]) -> dict[tuple[str, ...], list[OutboxItem]]:
    groups: dict[tuple[str, ...], list[OutboxItem]] = {}
    for item in items:
        groups.setdefault(item.destinations, []).append(item)
    return groups
