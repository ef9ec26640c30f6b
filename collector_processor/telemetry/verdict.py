"""What Foreband says about points, as columns beside a `PointBatch`."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from collector_processor.telemetry.points import Bool, Float64, Int8, Int64


class State(StrEnum):
    """How much a series' verdicts are worth; every state but ACTIVE comes with a reason."""

    WARMING = "warming"
    ACTIVE = "active"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class VerdictBatch:
    """One row per point of the batch it belongs to; NaN (and 0 in `anomaly`) where there is no forecast.

    `score` is the signed distance from `yhat` in half-widths of the alert band on that side: |1.0| is its
    edge whatever the unit. `anomaly` is +1 above the band, -1 below, 0 inside or not judged. A verdict
    is written once, by a model that had not seen the point, and never revised.
    """

    yhat: Float64
    lower: Float64
    upper: Float64
    score: Float64
    anomaly: Int8

    def __len__(self) -> int:
        return self.yhat.size

    def take(self, index: Int64 | Bool) -> "VerdictBatch":
        """Select rows by index or mask."""
        return VerdictBatch(
            self.yhat[index], self.lower[index], self.upper[index], self.score[index], self.anomaly[index]
        )

    def spread(self, where: Bool) -> "VerdictBatch":
        """Return a row for each of `where`: these where it holds, absent ones elsewhere."""
        spread = VerdictBatch.absent(where.size)
        spread.put(where, self)
        return spread

    def put(self, index: Int64 | Bool, rows: "VerdictBatch") -> None:
        """Fill rows, by index or mask, of a batch that is still being made."""
        for name in ("yhat", "lower", "upper", "score", "anomaly"):
            getattr(self, name)[index] = getattr(rows, name)

    @classmethod
    def absent(cls, n: int) -> "VerdictBatch":
        """Return `n` rows that say nothing."""
        nan = np.full(n, np.nan)
        return cls(nan, nan.copy(), nan.copy(), nan.copy(), np.zeros(n, np.int8))
