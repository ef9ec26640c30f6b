"""One log of frames for one set of destinations: segments on the disk, and the newest frames in memory as well.

What is appended is seen by nobody until `settle`, which follows the commit that it belongs to.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector_processor.errors import StoreError
from collector_processor.store.base import OutboxItem
from collector_processor.store.segment import SUFFIX, Frame, Segment, refused

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 << 20
RECENT_BYTES = 32 << 20
"""How much of a log is kept in memory, so that a destination that keeps up never waits for the disk."""

Place = tuple[int, int]
"""The first number of a segment, and an offset in it."""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """What the database knows of a log: its committed end. `number` is that of its newest frame."""

    destinations: tuple[str, ...]
    segment: int = 0
    length: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame, where it begins, and where the next one does."""

    frame: Frame
    place: Place
    next_place: Place


class SegmentLog:
    """The frames of one log. `append` and `revert` belong to the writer's thread; the rest is guarded by its caller."""

    def __init__(self, directory: Path, log_id: int, end: LogEnd) -> None:
        self.log_id, self.end = log_id, end
        self.lost = 0  # telemetry items; where nobody can know how many, one
        self._directory = directory
        try:
            self._segments = self._found()
        except OSError as error:
            raise refused(error) from error
        self._recent: OrderedDict[Place, tuple[Entry, bytes]] = OrderedDict()
        self._recent_bytes = 0
        self._left: Segment | None = None  # begun for a commit that failed
        self._pending: tuple[Segment, list[tuple[Entry, bytes]]] | None = None

    @property
    def start(self) -> Place:
        """Return where the oldest frame kept begins."""
        return (self._segments[0].first, 0) if self._segments else (0, 0)

    def append(self, items: Sequence[OutboxItem], first: int) -> LogEnd:
        """Write items, numbered from `first` on, and wait for the disk; return the end that is to be committed.

        Raises:
            StoreError: if the disk does not take all of it; nothing is appended then.
        """
        segment = self._segment_to_write(first)
        entries, parts, at = list[tuple[Entry, bytes]](), list[bytes](), segment.end
        for number, item in enumerate(items, first):
            frame = Frame.of(number, item.signal, item.items, item.payload, joins=item.joins)
            place, at = (segment.first, at), at + frame.length
            entries.append((Entry(frame, place, (segment.first, at)), item.payload))
            parts += (frame.encode(), item.payload)
        self._pending = segment, entries
        try:
            segment.write(parts)
        except StoreError:
            self._give_back(segment)
            raise
        return LogEnd(self.end.destinations, segment.first, at, entries[-1][0].frame.number)

    def settle(self, end: LogEnd) -> None:
        """Show what was appended: it is committed."""
        assert self._pending is not None
        (segment, entries), self._pending, self.end = self._pending, None, end
        if not self._segments or self._segments[-1] is not segment:
            self._segments.append(segment)
            self._left = None
        segment.end = end.length
        for entry, payload in entries:
            self._recent[entry.place] = entry, payload
            self._recent_bytes += entry.frame.length
        while self._recent_bytes > RECENT_BYTES:
            self._forget_oldest()

    def revert(self) -> None:
        """Take back what was appended: its commit failed.

        Its bytes stay until others take their place. Where a sync failed nobody knows what the disk kept, and a start
        after a power failure may find the commit whole.
        """
        self._pending = None

    def entries(self, place: Place) -> Iterator[Entry]:
        """Yield the frames from a place on. What is damaged is told of, counted and passed over.

        Raises:
            StoreError: if the disk refuses to read.
        """
        for segment in self._segments[self._index(place) :]:
            at = place[1] if segment.first == place[0] else 0
            while at < segment.end:
                entry = self._entry(segment, at)
                if entry is None:
                    at = segment.gaps[at]
                else:
                    yield entry
                    at = entry.next_place[1]

    def payload(self, entry: Entry) -> bytes | None:
        """Return the payload of a frame, None where it is damaged.

        Raises:
            StoreError: if the disk refuses to read.
        """
        kept = self._recent.get(entry.place)
        if kept:
            return kept[1]
        segment = self._segments[self._index(entry.place)]
        try:
            found = segment.payload(entry.place[1], entry.frame)
        except OSError as error:
            raise _unreadable(segment, error) from error
        if found is None:
            begin, end = entry.place[1], entry.next_place[1]
            self._give_up(segment, begin, end, max(1, entry.frame.items))
        return found

    def place_of(self, number: int) -> Place:
        """Return the start of the segment that holds the frame of this number, or the first of larger ones."""
        firsts = [segment.first for segment in self._segments if segment.first <= number]
        return (firsts[-1], 0) if firsts else self.start

    def release(self, place: Place) -> list[Segment]:
        """Forget what every destination has passed; return the segments that may be removed."""
        while self._recent and next(iter(self._recent)) < place:
            self._forget_oldest()
        passed = sum(
            segment.first < place[0] or (segment.first, segment.end) == place for segment in self._segments[:-1]
        )
        removed, self._segments[:passed] = self._segments[:passed], []
        return removed

    def close(self) -> None:
        """Release the files."""
        for segment in [*self._segments, *([self._left] if self._left else [])]:
            segment.close()

    def _index(self, place: Place) -> int:
        """Return the index of the segment of a place, or of the next one where that is gone."""
        return sum(segment.first < place[0] for segment in self._segments)

    def _segment_to_write(self, first: int) -> Segment:
        """Return the last segment while there is room in it, else a new one."""
        last = self._segments[-1] if self._segments else None
        if (
            last is not None
            and (last.first, last.end) == (self.end.segment, self.end.length)
            and last.end < SEGMENT_BYTES
        ):
            return last
        if self._left is not None and self._left.first == first:
            return self._left
        if self._left is not None:
            self._left.remove()
        segment = Segment(self._directory, self.log_id, first)
        try:
            if last is not None:
                last.cut()
            segment.create()
        except OSError as error:
            segment.remove()
            raise refused(error) from error
        self._left = segment
        return segment

    def _entry(self, segment: Segment, at: int) -> Entry | None:
        """Return the frame that begins there, None where a gap does."""
        place = segment.first, at
        if kept := self._recent.get(place):
            return kept[0]
        if at in segment.gaps:
            return None
        try:
            frame = segment.head(at)
        except OSError as error:
            raise _unreadable(segment, error) from error
        if frame is not None:
            return Entry(frame, place, (segment.first, at + frame.length))
        known = (offset for first, offset in self._recent if first == segment.first and offset > at)
        self._give_up(segment, at, min(known, default=segment.end), 1)
        return None

    def _give_up(self, segment: Segment, begin: int, end: int, items: int) -> None:
        """Pass over damaged bytes from now on; where a head is damaged, only memory knows where the next one is."""
        segment.gaps[begin] = end
        self.lost += items
        whom = ", ".join(self.end.destinations)
        text = "the outbox is damaged (%s, bytes %d to %d): at least %d items for %s are lost"
        log.error(text, segment.path.name, begin, end, items, whom)

    def _give_back(self, segment: Segment) -> None:
        """Free the room of bytes that could not all be written."""
        try:
            segment.cut()
        except OSError as error:
            log.warning("%s keeps bytes of a failed commit for now: %s", segment.path.name, error.strerror)

    def _forget_oldest(self) -> None:
        _, (entry, _) = self._recent.popitem(last=False)
        self._recent_bytes -= entry.frame.length

    def _found(self) -> list[Segment]:
        """Return the committed segments on the disk; what is of no commit is removed."""
        found = list[Segment]()
        for path in sorted(self._directory.glob(f"{self.log_id}.*{SUFFIX}")):
            segment = Segment(self._directory, self.log_id, int(path.name.split(".")[1]), path.stat().st_size)
            if segment.first > self.end.segment:
                segment.remove()
            else:
                found.append(segment)
        if self.end.length:
            self._fit_last(found)
        return found

    def _fit_last(self, found: list[Segment]) -> None:
        """Cut the last segment at the committed end; one that is shorter than that has lost frames."""
        last = found[-1] if found and found[-1].first == self.end.segment else None
        if last is None:
            self._give_up(Segment(self._directory, self.log_id, self.end.segment), 0, self.end.length, 1)
        elif last.end < self.end.length:
            self._give_up(last, last.end, self.end.length, 1)
        else:
            last.end = self.end.length
            last.cut()


def _unreadable(segment: Segment, error: OSError) -> StoreError:
    return StoreError(f"the outbox cannot be read ({segment.path.name}): {error.strerror}", retry_after_seconds=10.0)
