"""What became of each received item, and the sum per request.

Every row that enters a `consume` leaves it with exactly one `Outcome`, so received = stored + rejected by construction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from collector_processor.telemetry.points import Bool, Int8, Int32


class Outcome(IntEnum):
    """Up to `CONFLICT` the item counts as stored; everything after it is a reason for rejection."""

    STORED = 0
    DUPLICATE = 1  # the same value was there already: nothing to write
    CONFLICT = 2  # another value was there: the newer arrival wins
    BAD_ATTRIBUTES = 3
    SERIES_LIMIT = 4
    TIME_MISSING = 5
    TIME_OUT_OF_RANGE = 6
    TIME_IN_FUTURE = 7
    TOO_OLD = 8
    OUT_OF_ORDER = 9
    START_AFTER_TIME = 10
    NOT_FINITE = 11
    NEGATIVE_DELTA = 12
    NEGATIVE_TOTAL = 13
    BAD_HISTOGRAM = 14
    BAD_SPAN_TIMES = 15
    LATE = 16

    @property
    def reason(self) -> str:
        """Return the reason as the ledger and partial success spell it."""
        return self.name.lower()


_STORED = int(Outcome.STORED)  # NumPy compares with a plain number many times faster
_FIRST_REASON = int(Outcome.CONFLICT) + 1
_REASONS = tuple(outcome.reason for outcome in Outcome)[_FIRST_REASON:]


@dataclass(frozen=True, slots=True)
class Settlement:
    """One request's items: received = stored + rejected. Duplicates and conflicts are among the stored."""

    stored: int
    rejected: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    conflicts: int = 0


def first_of(*outcomes: Int8) -> Int8:
    """Return per row the first outcome that isn't `STORED`."""
    first = outcomes[0].copy()
    for outcome in outcomes[1:]:
        np.copyto(first, outcome, where=first == _STORED)
    return first


def where(condition: Bool, outcome: Outcome) -> Int8:
    """Return `outcome` where the condition holds and `STORED`, which is 0, elsewhere."""
    return condition * np.int8(outcome)


def is_stored(outcome: Int8) -> Bool:
    """Tell which rows of `(n,)` have no reason for rejection yet."""
    stored: Bool = outcome == _STORED
    return stored


def settle(outcome: Int8, request: Int32, rejected_before: Sequence[Mapping[str, int]]) -> tuple[Settlement, ...]:
    """Sum outcomes per request; `rejected_before` holds, one per request, what the decoder rejected."""
    kinds = len(Outcome)
    cells = np.bincount(request * kinds + outcome, minlength=len(rejected_before) * kinds).reshape(-1, kinds)
    return tuple(_settlement(row, before) for row, before in zip(cells.tolist(), rejected_before, strict=True))


def _settlement(counts: list[int], before: Mapping[str, int]) -> Settlement:
    rejected = dict(before)
    if any(counts[_FIRST_REASON:]):
        for reason, count in zip(_REASONS, counts[_FIRST_REASON:], strict=True):
            if count:
                rejected[reason] = rejected.get(reason, 0) + count
    return Settlement(
        stored=sum(counts[:_FIRST_REASON]),
        rejected=rejected,
        duplicates=counts[Outcome.DUPLICATE],
        conflicts=counts[Outcome.CONFLICT],
    )
