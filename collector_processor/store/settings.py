"""What an operator decides about the embedded store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector_processor.clock import DAY, MINUTE

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Limits of the embedded store.

    `outbox_limits` are the bytes each destination's queue may hold, `outbox_max_bytes` those of any other.
    Commits stop while less than `reserve_bytes`, or less than `reserve_share` of the disk, is free (`reserve.py`).
    `accept_loss` lets a store start that has lost acknowledged commits.
    Means over `rollup_step` are kept beside the points, unless parts of two hours can't be divided by it.
    """

    retention_nano: int = 15 * DAY
    outbox_max_bytes: int = 512 * MEBIBYTE
    outbox_limits: Mapping[str, int] = field(default_factory=dict)
    reserve_bytes: int = 256 * MEBIBYTE
    reserve_share: float = 0.05
    rollup_step: int = 5 * MINUTE
    accept_loss: bool = False

    def outbox_limit(self, destination: str) -> int:
        """Return how many bytes may wait for a destination."""
        return self.outbox_limits.get(destination, self.outbox_max_bytes)
