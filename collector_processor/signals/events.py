"""What spans and log records have in common: they are checked, enter a window, and are settled per request."""

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass

import numpy as np

from collector_processor.signals.catalog import MALFORMED, REFUSED
from collector_processor.signals.outcome import Outcome, Settlement, first_of, is_stored, settle, where
from collector_processor.signals.windows import Windows
from collector_processor.telemetry.points import Bool, EventBatch, Int8, Int32, Int64

PASSED = -3
"""Stream of an event that is taken but makes no series: others have measured it already."""


@dataclass(frozen=True, slots=True)
class EventsConsumed:
    """What requests gave: rows of all arrivals one after the other, in order.

    `stream` (one per row received) is the id of the row's RATE series, negative where the row was rejected; `first` is
    where the rows of each arrivals begin, and the total at the end. `events` are the accepted rows.
    """

    events: EventBatch
    stream: Int32
    first: Int64
    settlements: tuple[Settlement, ...]


def nothing() -> EventsConsumed:
    """Return what no requests give."""
    return EventsConsumed(EventBatch.empty(), np.empty(0, np.int32), np.zeros(1, np.int64), ())


def joined(columns: Iterable[Int64]) -> Int64:
    """Join columns, of which there may be none."""
    return np.concatenate([np.empty(0, np.int64), *columns])


def first_rows(arrivals: Sequence[Sized]) -> Int64:
    """Return where the rows of each arrivals begin, and the total at the end."""
    return np.concatenate([[0], np.cumsum([len(a) for a in arrivals])]).astype(np.int64)


def enter(windows: Windows, events: EventBatch, outcome: Int8, first: Int64, now: int) -> EventsConsumed:
    """Put events into their windows, unless `outcome` or their stream speaks against it, or they are late."""
    outcome = first_of(
        outcome,
        where(events.stream == MALFORMED, Outcome.BAD_ATTRIBUTES),
        where(events.stream == REFUSED, Outcome.SERIES_LIMIT),
    )
    entering = is_stored(outcome) & (events.stream != PASSED)
    late = windows.is_late(_chosen(events, entering))
    outcome[entering] = where(late, Outcome.LATE)
    accepted = is_stored(outcome) & entering
    entered = _chosen(events, accepted)
    windows.add(entered, now)
    requests = first.size - 1
    return EventsConsumed(
        events=entered,
        stream=np.where(accepted, events.stream, np.int32(REFUSED)),
        first=first,
        settlements=settle(
            outcome, np.repeat(np.arange(requests, dtype=np.int32), np.diff(first)), [{} for _ in range(requests)]
        ),
    )


def _chosen(events: EventBatch, mask: Bool) -> EventBatch:
    """Select rows; nearly always it is all of them."""
    return events if mask.all() else events.take(mask)
