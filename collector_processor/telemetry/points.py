"""Points as columns: never one Python object per point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_STALE_BITS = 0x7FF0_0000_0000_0002
_QUIET_BIT = 0x0008_0000_0000_0000

STALE = float(np.array(_STALE_BITS, np.int64).view(np.float64))
"""The NaN by which Prometheus says that a series ended here; OTLP says it by the flag "no recorded value"."""


def is_stale(value: Float64) -> Bool:
    """Tell that mark from a value that is NaN; a number of it, as arithmetic makes, counts too."""
    bits = np.ascontiguousarray(value, np.float64).view(np.int64)
    found: Bool = (bits | _QUIET_BIT) == (_STALE_BITS | _QUIET_BIT)
    return found


@dataclass(frozen=True, slots=True)
class PointBatch:
    """`n` points in order of arrival; `series` are dense ids of the catalog. NaN is a stored value, and so is STALE."""

    series: Int32
    time_unix_nano: Int64
    value: Float64

    def __post_init__(self) -> None:
        if not self.series.shape == self.time_unix_nano.shape == self.value.shape:
            raise ValueError(
                f"columns differ in length: {self.series.shape}, {self.time_unix_nano.shape}, {self.value.shape}"
            )

    def __len__(self) -> int:
        return self.series.size

    def take(self, index: Int64 | Bool) -> "PointBatch":
        """Select rows by index or mask."""
        return PointBatch(self.series[index], self.time_unix_nano[index], self.value[index])

    @classmethod
    def empty(cls) -> "PointBatch":
        """Return a batch of no points."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))

    @classmethod
    def concat(cls, batches: "Sequence[PointBatch]") -> "PointBatch":
        """Join batches in order; where only one has points, it is that one itself."""
        filled = [b for b in batches if len(b)]
        if len(filled) < 2:
            return filled[0] if filled else cls.empty()
        return cls(
            np.concatenate([b.series for b in filled]),
            np.concatenate([b.time_unix_nano for b in filled]),
            np.concatenate([b.value for b in filled]),
        )


@dataclass(frozen=True, slots=True)
class EventBatch:
    """`n` spans or log records on their way to a rate; kept durable until their window is closed.

    `stream` is the dense id of the RATE series of the operation or log stream. `duration_seconds` is NaN for logs.
    """

    stream: Int32
    time_unix_nano: Int64
    duration_seconds: Float64
    is_error: Bool

    def __len__(self) -> int:
        return self.stream.size

    def take(self, index: Int64 | Bool) -> "EventBatch":
        """Select rows by index or mask."""
        return EventBatch(
            self.stream[index], self.time_unix_nano[index], self.duration_seconds[index], self.is_error[index]
        )

    @classmethod
    def empty(cls) -> "EventBatch":
        """Return a batch of no events."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.bool_))

    @classmethod
    def concat(cls, batches: "Sequence[EventBatch]") -> "EventBatch":
        """Join batches in order; where only one has events, it is that one itself."""
        filled = [b for b in batches if len(b)]
        if len(filled) < 2:
            return filled[0] if filled else cls.empty()
        return cls(
            np.concatenate([b.stream for b in filled]),
            np.concatenate([b.time_unix_nano for b in filled]),
            np.concatenate([b.duration_seconds for b in filled]),
            np.concatenate([b.is_error for b in filled]),
        )
