"""What an operator decides about the embedded store."""

from dataclasses import dataclass

from collector_processor.clock import DAY

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Limits of the embedded store.

    `reserve_bytes` of free disk are never used by commits, so that housekeeping still works when the disk fills:
    SQLite needs space even to delete. `accept_loss` lets a store start that has lost acknowledged commits.
    """

    retention_nano: int = 15 * DAY
    outbox_max_bytes: int = 512 * MEBIBYTE
    reserve_bytes: int = 256 * MEBIBYTE
    accept_loss: bool = False
