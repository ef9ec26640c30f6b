"""The state that turns forecasts into bands, one record per series, as the store keeps it.

The fast path owns the live arrays; the Grafana side reads the last saved copy to draw bands ahead of now.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from collector_processor.clock import HOUR
from collector_processor.telemetry.rule import LIMITS_DTYPE, NO_LIMITS

INTERVAL_WIDTHS = (0.80, 0.95, 0.99)
"""Nominal coverage of the calibrated band's levels."""

FORECASTS = ("prophet", "seasonal", "recent", "level")
"""Forecasts that every series can have, in column order: three of its newest model, and one of its last three hours."""

LEVEL = FORECASTS.index("level")
LEVEL_REACH = 3 * HOUR
"""How far back the level looks, and how long it holds."""


class Reason(IntEnum):
    """Why a series is not (fully) active."""

    NONE = 0
    NO_HISTORY = 1  # nothing to fit on yet
    SHORT_HISTORY = 2  # less than a day of calibration: bands are provisional and nothing is flagged
    FIT_FAILED = 3  # the last fit failed or was stopped; an older model or the seasonal forecast serves
    STALE_MODEL = 4  # the model is older than it should be
    FORECASTS_DISAGREE = 5  # the forecasts lie further apart than their tolerances
    NOT_MODELLED = 6  # kept for rates only
    MAINTENANCE = 7  # a maintenance window is open: nothing is judged or learned
    LOW_TRAFFIC = 8  # the newest point was made of too few requests to judge it
    OTHER_DIRECTION = 9  # the newest point was outside on the side that its policy does not ask for
    SILENT = 10  # nothing comes although it always did
    SIBLINGS = 11  # nothing known of it yet: its band is that of like series, and nothing is flagged


REASON_TEXT = {
    Reason.NONE: "",
    Reason.NO_HISTORY: "not enough points yet to fit a first forecast",
    Reason.SHORT_HISTORY: "less than 24 h of history: the band is provisional and nothing is flagged",
    Reason.FIT_FAILED: "the last fit failed; the seasonal forecast or an older model serves",
    Reason.STALE_MODEL: "the model is overdue for a refit",
    Reason.FORECASTS_DISAGREE: "the forecasts lie further apart than their tolerances",
    Reason.NOT_MODELLED: "kept for rates only, not modelled",
    Reason.MAINTENANCE: "in a maintenance window: nothing is flagged and nothing is learned",
    Reason.LOW_TRAFFIC: "too few requests to judge the newest point by",
    Reason.OTHER_DIRECTION: "outside the band on the side that is not asked for: not flagged",
    Reason.SILENT: "it stopped reporting",
    Reason.SIBLINGS: "new: its band is borrowed from series of the same metric, and nothing is flagged",
}

BAND_DTYPE = np.dtype(
    [
        ("offset_lower", "<f8", (len(INTERVAL_WIDTHS),)),  # calibrated band: yhat + offset, value units
        ("offset_upper", "<f8", (len(INTERVAL_WIDTHS),)),
        ("tolerance", "<f8", (len(FORECASTS),)),  # of each forecast, for the alert band; NaN = unknown
        ("level", "<f8"),  # the forecast of the last three hours; NaN = unknown
        ("level_from", "<i8"),  # when it was made; three hours later it is no forecast any more
        ("threshold", "<f8"),  # of the combined z, as it holds for the next point
        ("limits", LIMITS_DTYPE),  # what a policy asks of the alert band
        ("inside", "<u4", (len(INTERVAL_WIDTHS),)),  # scored points inside the calibrated band
        ("scored", "<u4"),  # scored points in all: measured coverage = inside / scored
        ("state", "u1"),  # 0 warming, 1 active, 2 degraded
        ("reason", "u1"),  # Reason
    ]
)
BandStates = npt.NDArray[np.void]
"""Array (series,) of BAND_DTYPE, indexed by dense series id."""


def unknown_bands(n: int) -> BandStates:
    """Return the band states of `n` series that nothing is known about."""
    bands = np.zeros(n, BAND_DTYPE)
    for name in ("offset_lower", "offset_upper", "tolerance", "threshold", "level"):
        bands[name] = np.nan
    bands["limits"] = np.array(NO_LIMITS, LIMITS_DTYPE)
    bands["reason"] = Reason.NO_HISTORY
    return bands
