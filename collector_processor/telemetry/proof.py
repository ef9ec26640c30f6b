"""What the detector was proven to find, as the store keeps it for whoever asks."""

from dataclasses import asdict, dataclass
from typing import Any

PROOF_BLOB = "self-proof"
"""Under which name the store keeps the newest one."""


@dataclass(frozen=True, slots=True)
class Power:
    """How often one kind of anomaly of one size was found; `seconds` in the median, None where it never was.

    `size` is in units of a series' own usual largest error, 0 where the kind has none.
    """

    kind: str
    size: float
    tried: int
    found: int
    seconds: float | None

    @property
    def labels(self) -> dict[str, str]:
        """Return what tells it from the others."""
        return {"kind": self.kind, **({"size": f"{self.size:g}"} if self.size else {})}


@dataclass(frozen=True, slots=True)
class Proof:
    """All powers as of `measured_unix_nano`, 0 where nothing was tried yet."""

    measured_unix_nano: int = 0
    powers: tuple[Power, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Proof":
        """Rebuild what `fields` gave.

        Raises:
            KeyError, TypeError: if it is something else.
        """
        return cls(int(fields["measured_unix_nano"]), tuple(Power(**power) for power in fields["powers"]))
