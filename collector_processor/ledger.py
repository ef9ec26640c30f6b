"""Count what came in and what became of it: received = stored + rejected + refused.

*stored*: durable before it was acknowledged (a repeated item counts as stored: it is there).
*rejected*: this item will never be taken (partial success or a permanent error), with a reason.
*refused*: not now; the sender keeps it and tries again, with a reason.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock


class Signal(StrEnum):
    """The three OTLP signals."""

    METRICS = "metrics"
    TRACES = "traces"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Totals of one signal since the process started; items are data points, spans or log records."""

    received: int = 0
    stored: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def is_balanced(self) -> bool:
        """Whether every received item has exactly one outcome."""
        return self.received == self.stored + sum(self.rejected.values()) + sum(self.refused.values())


class Ledger:
    """Thread-safe totals per signal; one call settles a whole request."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received: Counter[Signal] = Counter()
        self._stored: Counter[Signal] = Counter()
        self._rejected: Counter[tuple[Signal, str]] = Counter()
        self._refused: Counter[tuple[Signal, str]] = Counter()

    def settle(self, signal: Signal, *, stored: int = 0, rejected: dict[str, int] | None = None) -> None:
        """Enter one request whose items were stored or rejected (by reason)."""
        rejected = rejected or {}
        with self._lock:
            self._received[signal] += stored + sum(rejected.values())
            self._stored[signal] += stored
            for reason, count in rejected.items():
                self._rejected[signal, reason] += count

    def refuse(self, signal: Signal, count: int, reason: str) -> None:
        """Enter one request that was turned away whole and may come again."""
        with self._lock:
            self._received[signal] += count
            self._refused[signal, reason] += count

    def row(self, signal: Signal) -> LedgerRow:
        """Return a consistent copy of one signal's totals."""
        with self._lock:
            return LedgerRow(
                received=self._received[signal],
                stored=self._stored[signal],
                rejected={r: n for (s, r), n in self._rejected.items() if s == signal},
                refused={r: n for (s, r), n in self._refused.items() if s == signal},
            )
