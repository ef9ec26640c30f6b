"""How much a series changed at the onset of an incident: medians, so that an onset found a minute late does no harm.

The minutes just before the onset belong to neither side: what begins slowly has begun by then.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from collector_processor.clock import HOUR, MINUTE
from collector_processor.telemetry.points import Float64, Int64
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic

BEFORE = 2 * HOUR
MARGIN = 2 * MINUTE
"""What is compared: from this long before the onset, up to this long before it."""

ABNORMAL = 3.0
"""A change of so many usual deviations is one."""

FELT = 2.0
"""So many are felt, where an episode says that something is wrong: enough to follow, too few to blame."""

LARGEST = 100.0
_FEWEST = 5
_NORMAL = 1.349  # interquartile range of a standard normal distribution


class Role(StrEnum):
    """What a series tells of the entity it is of."""

    ERRORS = "errors"
    DURATION = "duration"
    CALLING = "calling"  # the duration of calls it makes
    FAILING = "failing"  # errors of calls it makes
    TRAFFIC = "traffic"
    OTHER = "other"


_LEAST = {Role.ERRORS: 0.005, Role.FAILING: 0.005}
"""What is always usual, in the unit of the series."""

_LEAST_SHARE = 0.05
"""And as a share of what was there before."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of one series: medians before and after the onset, and how far it usually strays before.

    `what` names the series within its entity, `series` is its stable id, `unit` that of its numbers as shown.
    """

    entity: str
    series: str
    what: str
    role: Role
    before: float
    after: float
    spread: float
    unit: str = ""

    @property
    def amount(self) -> float:
        """Return by how much it changed, in the unit of the series."""
        return self.after - self.before

    @property
    def size(self) -> float:
        """Return how many usual deviations that is, with its sign, `LARGEST` at most."""
        least = max(_LEAST.get(self.role, 0.0), _LEAST_SHARE * abs(self.before), self.spread)
        if not least:
            return float(np.sign(self.amount)) * LARGEST
        return float(np.clip(self.amount / least, -LARGEST, LARGEST))

    def is_abnormal(self, least: float = ABNORMAL) -> bool:
        """Tell whether it changed by so much, and for the worse where that can be told."""
        is_worse = self.amount > 0.0 or self.role in {Role.TRAFFIC, Role.OTHER}
        return is_worse and abs(self.size) >= least


def measured(entity: str, series: str, what: str, role: Role, before: Float64, after: Float64) -> Change | None:
    """Compare values before and after an onset; None where there are too few."""
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if before.size < _FEWEST or not after.size:
        return None
    low, middle, high = np.quantile(before, (0.25, 0.5, 0.75)).tolist()
    return Change(entity, series, what, role, middle, float(np.median(after)), (high - low) / _NORMAL)


def sides(time_unix_nano: Int64, value: Float64, onset: int) -> tuple[Float64, Float64]:
    """Return the values of a series before and after an onset."""
    is_before = (time_unix_nano >= onset - BEFORE) & (time_unix_nano < onset - MARGIN)
    return value[is_before], value[time_unix_nano >= onset]


def role_of(key: SeriesKey) -> Role:
    """Return what a series tells of its entity."""
    is_calling = key.kind is Kind.SPAN and dict(key.attributes).get("span.kind") in {"client", "producer"}
    if key.statistic is Statistic.ERROR_RATIO:
        return Role.FAILING if is_calling else Role.ERRORS
    if key.statistic in {Statistic.P50, Statistic.P95, Statistic.P99, Statistic.MEAN}:
        is_time = key.kind is Kind.SPAN or key.unit in {"s", "ms", "us", "ns"}
        return (Role.CALLING if is_calling else Role.DURATION) if is_time else Role.OTHER
    return Role.TRAFFIC if key.statistic is Statistic.RATE and not is_calling else Role.OTHER
