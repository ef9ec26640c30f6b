"""Which exemplars are kept as links to traces: a few per series and hour, more while something is unusual."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.signals.columns import grown
from collector_processor.signals.rows import MetricRows
from collector_processor.telemetry.arrival import SummaryPoints
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.points import Int32, Int64

USUAL_DISTANCE = 15 * MINUTE
UNUSUAL_DISTANCE = 5 * MINUTE
"""Between two links of a series, in event time."""


@dataclass(frozen=True, slots=True)
class ArrivedLink:
    """A link and the series that came with its data point, the primary one among them."""

    link: TraceLink
    family: Sequence[int]


def arrived_links(rows: MetricRows, ids: Int32, written: Int64, now: int) -> list[ArrivedLink]:
    """Return the exemplars of written rows; one whose time makes no sense has that of its point."""
    blocks = [(first, block) for first, block in rows.sources if not isinstance(block, SummaryPoints)]
    linked = [(first + exemplar.row, exemplar) for first, block in blocks for exemplar in block.exemplars]
    if not linked:
        return []
    kept = set(written.tolist())
    links = []
    for row, exemplar in linked:
        if row in kept:
            family = ids[row].tolist()
            time = exemplar.time_unix_nano if 0 < exemplar.time_unix_nano <= now else int(rows.time[row])
            link = TraceLink(family[0], time, exemplar.value, exemplar.trace_id, exemplar.span_id)
            links.append(ArrivedLink(link, family))
    return links


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
