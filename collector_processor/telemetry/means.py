"""Means over a step as a matrix: what models are fitted on."""

from dataclasses import dataclass

import numpy as np

from collector_processor.telemetry.points import Float64, Int32, Int64


@dataclass(frozen=True, slots=True)
class StepMeans:
    """The finite points of B series, ascending by id, as means over steps `[first_step + i) * step_nano`, i < size.

    `mean` `(B, size)` is NaN where there was no finite point. `first_time`, `last_time` and `std` `(B,)` are of the
    points themselves: of the oldest, of the newest, of all; 0, 0 and NaN for a series that has none.
    """

    series: Int32
    step_nano: int
    first_step: int
    mean: Float64
    first_time: Int64
    last_time: Int64
    std: Float64

    def __len__(self) -> int:
        return self.series.size

    @property
    def is_present(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell which series have any finite point."""
        return ~np.isnan(self.std)
