"""Unix seconds, and the parts of a date they make in UTC."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.telemetry.points import Float64, Int64
from grafana_datasource.query import MILLISECOND

_FARTHEST = 2.0**55  # seconds; numpy's calendar counts days in int64


def unix_seconds(time_unix_nano: Int64) -> Float64:
    """Return seconds to the millisecond, as Prometheus keeps time; more digits than that a float does not hold."""
    return np.asarray(time_unix_nano // MILLISECOND / 1000.0)


def _part(compute: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[Float64], Float64]:
    """Make a function of seconds out of one of whole dates; NaN where there is no such date."""

    def of_seconds(seconds: Float64) -> Float64:
        usable = np.abs(seconds) < _FARTHEST
        moments = np.where(usable, np.trunc(seconds), 0.0).astype(np.int64).astype("datetime64[s]")
        return np.where(usable, compute(moments).astype(np.float64), np.nan)

    return of_seconds


def _since(moments: npt.NDArray[Any], unit: str) -> npt.NDArray[Any]:
    """Return whole `unit`s since the larger unit around it began."""
    larger = {"h": "D", "m": "h", "D": "M", "M": "Y"}[unit]
    began = moments.astype(f"datetime64[{larger}]").astype(f"datetime64[{unit}]")
    return np.asarray((moments.astype(f"datetime64[{unit}]") - began).astype(np.int64))


def _days_in_month(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    month = moments.astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64))


def _day_of_year(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    year = moments.astype("datetime64[Y]").astype("datetime64[D]")
    return np.asarray((moments.astype("datetime64[D]") - year).astype(np.int64) + 1)


PARTS: dict[str, Callable[[Float64], Float64]] = {
    "minute": _part(lambda moments: _since(moments, "m")),
    "hour": _part(lambda moments: _since(moments, "h")),
    "day_of_month": _part(lambda moments: _since(moments, "D") + 1),
    "day_of_week": _part(lambda moments: (moments.astype("datetime64[D]").astype(np.int64) + 4) % 7),
    "day_of_year": _part(_day_of_year),
    "days_in_month": _part(_days_in_month),
    "month": _part(lambda moments: _since(moments, "M") + 1),
    "year": _part(lambda moments: moments.astype("datetime64[Y]").astype(np.int64) + 1970),
}
"""Functions from Unix seconds to a part of their date; Sunday is day 0."""
