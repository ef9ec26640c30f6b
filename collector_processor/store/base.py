"""What every store must promise; `tests/store/store_checks.py` holds each of them to it.

- A `Commit` is one transaction: when `commit` returns, all of it survives `kill -9` and power loss; when it
  raises, none of it happened.
- Points are idempotent on (series, time): the last value written wins, reading never shows two.
- Reads never create anything. Ranges are `[start, end)` in Unix nanoseconds. A reader in another process sees a
  commit as soon as it returned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from collector_processor.telemetry.band import BandStates
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.feedback import Feedback
from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool, EventBatch, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.verdict import VerdictBatch

DEFAULT_DESTINATION = "default"
"""The queue of items whose destination has no name."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One OTLP export request waiting to be forwarded: raw protobuf bytes of one signal's request message.

    `signal` has at most seven letters. One that `joins` is sent as one request with the item before it.
    """

    signal: str
    items: int
    payload: bytes
    destinations: tuple[str, ...] = (DEFAULT_DESTINATION,)
    joins: bool = False


@dataclass(frozen=True, slots=True)
class StoredOutboxItem:
    """An outbox item with its place in the queue; `item_id` ascends in order of commit."""

    item_id: int
    item: OutboxItem


@dataclass(frozen=True, slots=True)
class RequestReceipt:
    """That a request was taken, so that a resend of the same bytes changes nothing and gets the same answer."""

    digest: bytes
    received_unix_nano: int
    stored: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class Renewals:
    """How often series were forgotten, and how often others took the place of such: what is known by id may be old."""

    forgotten: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one micro-batch changes, in one transaction.

    `events` are kept until `forget_events_before`: event rows whose newest event is older are deleted. `episodes`
    replace the row with the same `episode_id`, and so do `incidents` and `feedback`. `models` are appended.
    `bands`, by the id of their first series, replace what was saved under that id; pieces do not overlap. `blobs` are
    named byte strings. `forgotten` are ids of series without a point: all that the store knows of them is deleted, and
    a later commit may give the ids to others.
    """

    series: Sequence[tuple[int, SeriesKey]] = ()
    points: PointBatch = field(default_factory=PointBatch.empty)
    verdicts: VerdictBatch | None = None
    events: EventBatch = field(default_factory=EventBatch.empty)
    forget_events_before: int | None = None
    episodes: Sequence[Episode] = ()
    outbox: Sequence[OutboxItem] = ()
    receipts: Sequence[RequestReceipt] = ()
    models: Sequence[ModelRecord] = ()
    bands: Mapping[int, BandStates] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    exemplars: Sequence[TraceLink] = ()
    feedback: Sequence[Feedback] = ()
    incidents: Sequence[Incident] = ()
    forgotten: Int32 = field(default_factory=lambda: np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """Stored points with their verdicts, sorted by (series, time), one row per (series, time)."""

    points: PointBatch
    verdicts: VerdictBatch


class SeriesReader(Protocol):
    """Read access; cheap to open, safe beside the writer in another thread or process, one thread each."""

    def catalog(self, *, from_series: int = 0) -> list[tuple[int, SeriesKey]]:
        """Return series with id >= `from_series`, ascending; ids of forgotten series are left out."""
        ...

    def renewals(self) -> Renewals:
        """Return how often ids came to stand for something else."""
        ...

    def read_points(self, series: Int32, start: int, end: int) -> PointBatch:
        """Return points in `[start, end)` sorted by (series, time). Unknown ids have none."""
        ...

    def read_means(self, series: Int32, start: int, end: int, step: int) -> StepMeans:
        """Return means over `step` nanoseconds of the points in `[start, end)`, a row for each distinct id.

        A mean may be off by a 200,000th of the standard deviation of the two hours, or the day, around it.
        """
        ...

    def read_judged(self, series: Int32, start: int, end: int) -> JudgedBatch:
        """Return points in `[start, end)` with verdicts (absent ones NaN / 0), sorted by (series, time)."""
        ...

    def last_points(self) -> PointBatch:
        """Return the newest point of every series that has one, ascending by series."""
        ...

    def first_times(self) -> tuple[Int32, Int64]:
        """Return series ids, ascending, and the time of the oldest point kept of each."""
        ...

    def existing(self, points: PointBatch) -> tuple[Bool, Float64]:
        """Tell per row whether a point of that (series, time) is stored, and its value (NaN where not)."""
        ...

    def events(self) -> EventBatch:
        """Return all events not forgotten yet, in order of commit."""
        ...

    def episodes(self, start: int, end: int, series: Int32 | None = None) -> list[Episode]:
        """Return episodes that overlap `[start, end)` (open ones last until now), ascending by start."""
        ...

    def episode(self, episode_id: str) -> Episode | None:
        """Return the episode of that id, None where there is none (any more)."""
        ...

    def incidents(self, start: int, end: int) -> list[Incident]:
        """Return incidents that overlap `[start, end)` (open ones last until now), ascending by start."""
        ...

    def incident(self, incident_id: str) -> Incident | None:
        """Return the incident of that id, None where there is none (any more)."""
        ...

    def feedback(self, series: int | None = None) -> list[Feedback]:
        """Return what people answered, about one series or all, ascending by the time it was given."""
        ...

    def open_episodes(self) -> list[Episode]:
        """Return all open episodes."""
        ...

    def exemplars(self, start: int, end: int, series: Int32 | None = None) -> list[TraceLink]:
        """Return links to traces in `[start, end)`, of some series or of all, ascending by time."""
        ...

    def models(self, *, after_version: int = 0, from_series: int = 0, most: int | None = None) -> list[ModelRecord]:
        """Return the newest record of each series among those with version > `after_version`, ascending by series.

        Only series with id >= `from_series`, and at most so many.
        """
        ...

    def model(self, series: int, version: int) -> ModelRecord | None:
        """Return one version of a series' model, None where it is not kept (any more)."""
        ...

    def model_versions(self, series: int) -> list[ModelRecord]:
        """Return the versions kept of a series' model, the newest first."""
        ...

    def bands(self) -> BandStates:
        """Return the band states as last saved, indexed by series id (length: highest saved id + 1)."""
        ...

    def blob(self, name: str) -> bytes | None:
        """Return a named byte string as last saved."""
        ...

    def receipts(self, since_unix_nano: int) -> list[RequestReceipt]:
        """Return receipts of requests taken since then."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class OutboxQueues(Protocol):
    """What waits to be forwarded, by destination; safe from any thread."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return, by destination, how many telemetry items a full queue has dropped since opening."""
        ...

    @property
    def damaged(self) -> Mapping[str, int]:
        """Return, by destination, how many telemetry items were lost to damage since opening, at least."""
        ...

    def waiting(self, *, after: int, limit: int, destination: str = DEFAULT_DESTINATION) -> list[StoredOutboxItem]:
        """Return the oldest items that wait for a destination with id > `after`, ascending: up to `limit`, some MiB."""
        ...

    def done(self, destination: str, item_id: int) -> None:
        """Take note that this item and all before it were sent, or given up."""
        ...

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return, by destination, the number of waiting items and their total payload bytes."""
        ...

    def listen(self, told: Callable[[], None]) -> None:
        """Call `told` whenever something new waits; it should return at once."""
        ...


class SeriesWriter(SeriesReader, Protocol):
    """The one writer of a store; it also reads. Used by one thread only, but for the outbox."""

    @property
    def discarded_bands(self) -> int:
        """Return how many pieces of band states of another version were deleted when the store was opened."""
        ...

    @property
    def outbox(self) -> OutboxQueues:
        """Return what the outbox of commits became."""
        ...

    def commit(self, commit: Commit) -> None:
        """Make a whole commit durable.

        Raises:
            StoreError: if nothing of it was written; the same commit may succeed later.
        """
        ...

    def shortage(self) -> str:
        """Return why commits are refused before they are tried, empty where they are not; for any thread."""
        ...

    def require_room(self) -> None:
        """Do nothing where a commit would be tried.

        Raises:
            StoreError: with the shortage.
        """
        ...

    def maintain(self, now_unix_nano: int, budget_seconds: float) -> bool:
        """Do a slice of housekeeping (compaction, retention); return whether more is waiting."""
        ...


_MODELS_AT_ONCE = 4_096


def models_in_turn(reader: SeriesReader) -> Iterator[Sequence[ModelRecord]]:
    """Yield the newest models of all series, some thousand at a time: all at once take more memory than what they make.

    Raises:
        StoreError: if they cannot be read.
    """
    next_series = 0
    while records := reader.models(from_series=next_series, most=_MODELS_AT_ONCE):
        yield records
        next_series = records[-1].series + 1
