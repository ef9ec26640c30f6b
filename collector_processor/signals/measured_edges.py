"""Edges between services as others measured them: the service graphs of a Collector or of Tempo."""

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.service_graph import Edge
from collector_processor.telemetry.span_metrics import EdgeRole, edge_of

_CURRENT = 10 * MINUTE
_NOBODY = -1
_FOLLOWED = {
    (EdgeRole.REQUESTS, Statistic.RATE): "calls",
    (EdgeRole.FAILED, Statistic.RATE): "failed",
    (EdgeRole.SERVER_DURATION, Statistic.MEAN): "seconds",
}
_NUMBERS = list(_FOLLOWED.values())


class MeasuredEdges:
    """The newest numbers of every measured edge; one thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known = 0
        self._of = np.zeros(0, np.int32)  # by series: edge times three and which number, or nobody's
        self._places: dict[tuple[str, str], int] = {}
        self._values: list[float] = []
        self._times: list[int] = []

    def note(self, points: PointBatch) -> None:
        """Take in points of any series."""
        if not len(points):
            return
        self._learn()
        if not self._places:  # nobody measures
            return
        of = self._of[points.series]
        rows = np.flatnonzero(of != _NOBODY)
        for place, value, time in zip(
            of[rows].tolist(), points.value[rows].tolist(), points.time_unix_nano[rows].tolist(), strict=True
        ):
            if time >= self._times[place] and np.isfinite(value):
                self._values[place], self._times[place] = value, time

    def edges(self, now: int) -> list[Edge]:
        """Return the edges of which something was measured in the last ten minutes."""
        found = []
        for (client, server), edge in self._places.items():
            first = edge * len(_NUMBERS)
            calls, failed, seconds = self._values[first : first + len(_NUMBERS)]
            if self._times[first] > now - _CURRENT:
                found.append(Edge(client, server, False, calls, failed / calls if calls else 0.0, seconds))
        return found

    def _learn(self) -> None:
        """Look at the series that are new."""
        made = self._catalog.made
        self._of = grown(self._of, len(self._catalog), _NOBODY)
        for series in made[self._known :]:
            key = self._catalog.keys[series]
            edge = edge_of(key)
            number = _FOLLOWED.get((edge.role, key.statistic)) if edge else None
            if edge and number:
                place = self._place(edge.client, edge.server)
                self._of[series] = place * len(_NUMBERS) + _NUMBERS.index(number)
        self._known = len(made)

    def _place(self, client: str, server: str) -> int:
        if (client, server) not in self._places:
            self._places[client, server] = len(self._places)
            self._values += [0.0] * len(_NUMBERS)
            self._times += [0] * len(_NUMBERS)
        return self._places[client, server]
