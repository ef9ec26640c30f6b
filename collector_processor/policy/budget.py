"""Alert budgets: at most so many alarms a series and week, and the factors of the threshold that keep to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.telemetry.points import Float64, Int64

BUDGETS_BLOB = "budgets"
"""Under what the log is kept in the store."""

_ENTRIES_KEPT = 100


@dataclass(frozen=True, slots=True)
class Budget:
    """What one policy allows the series it is for; its `name` is the text of what it matches."""

    name: str
    alarms: float


@dataclass(frozen=True, slots=True)
class BudgetLog:
    """Which factors were in force since when, ascending, so that scores given under different ones can be compared."""

    entries: Sequence[tuple[int, Mapping[str, float]]] = ()

    @property
    def newest(self) -> Mapping[str, float]:
        """Return the factors in force, by the name of a budget."""
        return self.entries[-1][1] if self.entries else {}

    def factors(self, name: str, time_unix_nano: Int64) -> Float64:
        """Return the factor of a budget at each of these times `(n,)`, 1 before there was one."""
        since = np.array([at for at, _ in self.entries], np.int64)
        known = np.array([1.0, *(factors.get(name, 1.0) for _, factors in self.entries)])
        return np.asarray(known[np.searchsorted(since, time_unix_nano, "right")])

    def then(self, now: int, factors: Mapping[str, float]) -> "BudgetLog":
        """Return the log with the factors in force from `now` on."""
        return BudgetLog([*self.entries, (now, dict(factors))][-_ENTRIES_KEPT:])

    def to_bytes(self) -> bytes:
        """Encode for the store."""
        return json.dumps([[at, dict(factors)] for at, factors in self.entries]).encode()

    @classmethod
    def from_bytes(cls, blob: bytes | None) -> "BudgetLog":
        """Decode what `to_bytes` wrote; nothing is a log without entries."""
        found = json.loads(blob) if blob is not None else []
        return cls([(int(at), factors) for at, factors in found])
