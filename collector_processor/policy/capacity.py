"""What the capacity blocks of policies come to: a bound, where a series has one."""

from collections.abc import Sequence
from typing import Any

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config.policy import CapacityPolicy
from collector_processor.forecast.capacity import Bound
from collector_processor.policy.kind import MetricKind, defaults_of
from collector_processor.telemetry.series import SeriesKey

_DEFAULT = CapacityPolicy()
_SIDES = {"up": 1, "down": -1}


def bound_of(key: SeriesKey, kind: MetricKind, blocks: Sequence[CapacityPolicy]) -> Bound | None:
    """Return the bound that blocks come to, later ones over earlier ones; by itself only utilisation has one."""
    said: dict[str, Any] = {}
    for block in blocks:
        said |= {name: getattr(block, name) for name in block.model_fields_set}
    own = defaults_of(key, kind).high if kind is MetricKind.UTILISATION else None
    limit = said.get("limit", own)
    if limit is None or not key.statistic.is_modelled:
        return None
    horizon = said.get("horizon", _DEFAULT.horizon)
    return Bound(limit, _SIDES[said.get("direction", "up")], round(horizon.total_seconds()) * NANOS_PER_SECOND)
