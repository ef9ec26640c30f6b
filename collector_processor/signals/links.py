"""Which exemplars are kept as links to traces: a few per series and hour, more while something is unusual."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.signals.columns import grown
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.points import Int64

USUAL_DISTANCE = 15 * MINUTE
UNUSUAL_DISTANCE = 5 * MINUTE
"""Between two links of a series, in event time."""


@dataclass(frozen=True, slots=True)
class ArrivedLink:
    """A link and the series that came with its data point, the primary one among them."""

    link: TraceLink
    family: Sequence[int]


class LinkQuota:
    """When each series had its newest link; one thread."""

    def __init__(self) -> None:
        self._newest: Int64 = np.zeros(0, np.int64)

    def choose(self, arrived: Iterable[ArrivedLink], unusual: set[int]) -> list[TraceLink]:
        """Return the links to keep; `unusual` are the series flagged now."""
        kept = []
        for arrival in arrived:
            link = arrival.link
            self._newest = grown(self._newest, link.series + 1, 0)
            distance = USUAL_DISTANCE if unusual.isdisjoint(arrival.family) else UNUSUAL_DISTANCE
            if abs(link.time_unix_nano - int(self._newest[link.series])) >= distance:
                self._newest[link.series] = link.time_unix_nano
                kept.append(link)
        return kept
