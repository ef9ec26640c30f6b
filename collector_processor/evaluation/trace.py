"""What a replay leaves behind of one series: every point with what was promised for it, and the episodes."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Columns of the points that were taken `(n,)`; NaN where there was no forecast yet.

    `lower` and `upper` are the alert band the point was judged by, `offset_*` `(n, L)` the calibrated band around
    `yhat` before the point was known, `hour_ahead` and `day_ahead` what was drawn as yhat an hour and a day before,
    `day_before` the value 24 hours earlier, `day_before_*` `(n, L)` a calibrated band around that. `episode` `(e, 2)`
    holds start and end of each episode, `kind` `(e,)` what it was in the end, `alarm` `(a, 2)` when they alert: not
    while muted. `cpu_seconds` is what all of it cost, fits included.
    """

    time_unix_nano: Int64
    value: Float64
    yhat: Float64
    lower: Float64
    upper: Float64
    offset_lower: Float64
    offset_upper: Float64
    hour_ahead: Float64
    day_ahead: Float64
    day_before: Float64
    day_before_lower: Float64
    day_before_upper: Float64
    episode: Int64
    kind: npt.NDArray[np.str_]
    alarm: Int64
    rejected: int
    cpu_seconds: float

    def save(self, path: Path) -> None:
        """Write everything to one file, or nothing."""
        beside = path.with_suffix(".part.npz")
        columns: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez_compressed(beside, **columns)
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Trace":
        """Read what `save` wrote.

        Raises:
            OSError, ValueError, KeyError: if it is no such file.
        """
        with np.load(path) as saved:
            columns = {f.name: saved[f.name] for f in fields(cls)}
        scalars = {"rejected": int(columns["rejected"]), "cpu_seconds": float(columns["cpu_seconds"])}
        return cls(**{**columns, **scalars})


COLUMNS = ("yhat", "lower", "upper", "hour_ahead", "day_ahead")
LEVELS = ("offset_lower", "offset_upper", "day_before_lower", "day_before_upper")


def blank(n: int) -> dict[str, Float64]:
    """Return the columns a replay fills, nothing known yet."""
    columns = {name: np.full(n, np.nan) for name in COLUMNS}
    return columns | {name: np.full((n, len(INTERVAL_WIDTHS)), np.nan) for name in LEVELS}


def day_before(time_unix_nano: Int64, value: Float64, tolerance: int) -> Float64:
    """Return the newest value at or before 24 hours earlier `(n,)`, NaN where it is older by more than `tolerance`."""
    earlier = time_unix_nano - DAY
    at = np.searchsorted(time_unix_nano, earlier, side="right") - 1
    is_near = (at >= 0) & (earlier - time_unix_nano[at] <= tolerance)
    return np.where(is_near, value[at], np.nan)
