"""Which services have span metrics of their own, and from when until when, in event time.

While a service has them its spans make no series. That begins with the first window that starts after their first
point, and ends with the first window that starts `GRACE` after their last one: windows are never split, and metrics
that skip a report or two do not let the derived series come and go.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Attributes
from collector_processor.telemetry.span_metrics import MeasuredService, RedRole, red_of

GRACE = 10 * MINUTE
"""Silence after which a service's spans are taken over again."""

_NOBODY = -1


@dataclass(slots=True)
class _Period:
    """`[since, until)` in which a service is measured; empty before its first point."""

    service: MeasuredService
    since: int = 0
    until: int = 0


class Measured:
    """Follows the series of span metrics among all series; one thread."""

    def __init__(self, catalog: Catalog, window: int) -> None:
        self._catalog = catalog
        self._window = window
        self._of = np.zeros(0, np.int32)  # by series: place in `_periods`, or nobody's
        self._known = 0
        self._periods: list[_Period] = []
        self._places: dict[MeasuredService, int] = {}

    def note(self, points: PointBatch) -> None:
        """Take in points of any series."""
        if not len(points):
            return
        self._learn()
        if not self._places:  # nobody measures
            return
        of = self._of[points.series]
        rows = np.flatnonzero(of != _NOBODY)
        if not rows.size:
            return
        for place in np.unique(of[rows]).tolist():
            time = points.time_unix_nano[rows[of[rows] == place]]
            self._extend(self._periods[place], int(time.min()), int(time.max()))

    def period(self, resource: Attributes) -> tuple[int, int]:
        """Return the `[since, until)` in which spans of a service are not to be counted."""
        found = [p for p in self._periods if p.service.covers(resource) and p.until]
        newest = max(found, key=lambda p: p.until, default=None)
        return (newest.since, newest.until) if newest else (0, 0)

    def _extend(self, period: _Period, first: int, last: int) -> None:
        if first >= period.until:  # the first one ever, or after a long silence
            period.since = self._window_after(first)
        period.until = max(period.until, self._window_after(last + GRACE))

    def _window_after(self, time: int) -> int:
        return -(-time // self._window) * self._window

    def _learn(self) -> None:
        """Look at the series that are new."""
        made = self._catalog.made
        self._of = grown(self._of, len(self._catalog), _NOBODY)
        for series in made[self._known :]:
            red = red_of(self._catalog.keys[series])
            if red is not None and red.role is RedRole.CALLS:
                if red.service not in self._places:
                    self._places[red.service] = len(self._periods)
                    self._periods.append(_Period(red.service))
                self._of[series] = self._places[red.service]
        self._known = len(made)
