"""What a micro-batch is between two stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from collector_processor.ledger import Signal
from collector_processor.pipeline.request import Request
from collector_processor.signals.events import EventsConsumed
from collector_processor.signals.metrics import MetricsConsumed
from collector_processor.signals.outcome import Settlement
from collector_processor.store.base import OutboxItem
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.points import EventBatch, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch


@dataclass(frozen=True, slots=True)
class Derived:
    """What the requests `of` each signal came to, and the points of the windows that were `closed` with them."""

    of: Mapping[Signal, Sequence[Request]]
    metrics: MetricsConsumed
    spans: EventsConsumed
    logs: EventsConsumed
    closed: PointBatch

    def with_filled(self, filled: PointBatch) -> "Derived":
        """Return it with points in place of some that are missing."""
        return replace(self, closed=PointBatch.concat([self.closed, filled]))

    @property
    def requests(self) -> list[Request]:
        """All requests; `settlements[i]` belongs to `requests[i]`."""
        return [*self.of[Signal.METRICS], *self.of[Signal.TRACES], *self.of[Signal.LOGS]]

    @property
    def settlements(self) -> list[Settlement]:
        """What became of the items of each request."""
        return [*self.metrics.settlements, *self.spans.settlements, *self.logs.settlements]

    @property
    def points(self) -> PointBatch:
        """All points; those of metrics come first."""
        return PointBatch.concat([self.metrics.points, self.closed])

    @property
    def events(self) -> EventBatch:
        """All spans and log records that wait for their windows to close."""
        return EventBatch.concat([self.spans.events, self.logs.events])


@dataclass(slots=True)
class Batch:
    """What is made durable in one commit."""

    points: PointBatch
    verdicts: VerdictBatch
    episodes: list[Episode]
    events: EventBatch
    exemplars: list[TraceLink]
    held: dict[str, bytes]  # increases without a rate yet, who calls whom
    score_seconds: float
    outbox: list[OutboxItem] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)  # names of the detector state to save with it

    @property
    def changes_anything(self) -> bool:
        """Tell whether a batch without requests is worth a commit."""
        return bool(len(self.points) or self.episodes or self.blobs or self.held)
