"""The distinct times of a question, and what designs and time zones make of them: worked out once for all pages."""

from collections.abc import Sequence

import numpy as np

from collector_processor.forecast.design import Design
from collector_processor.forecast.local_time import wall_clock
from collector_processor.forecast.seasonal import neighbours
from collector_processor.telemetry.points import Float64, Int64


class Moments:
    """`distinct` times `(M,)`, and `which` each row of the question asks for `(n,)`, None where there is but one.

    `slots` are `seasonal.neighbours` of all moments on the clocks of the first time zone, then of the next `(Z * M,)`.
    """

    def __init__(self, time_unix_nano: Int64, zones: Sequence[str]) -> None:
        self.distinct, self.which = time_unix_nano[:1], None
        if (time_unix_nano != time_unix_nano[0]).any():  # a tick has one moment, and that is quick to see
            self.distinct, self.which = np.unique(time_unix_nano, return_inverse=True)
        self.zones = len(zones)
        self.slots = neighbours(np.concatenate([wall_clock(self.distinct, name) for name in zones]))
        self._basis: dict[int, Float64] = {}

    def basis(self, design: Design) -> Float64:
        """Return x(t) at all moments `(M, P)`."""
        x = self._basis.get(id(design))
        if x is None:
            x = self._basis[id(design)] = design.evaluate(self.distinct)
        return x
