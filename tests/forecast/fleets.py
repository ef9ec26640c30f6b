"""What tests ask a fleet."""

import numpy as np

from collector_processor.forecast.fleet import FleetModel
from collector_processor.telemetry.points import Float64, Int64


def forecasts_of(fleet: FleetModel, series: int, time_unix_nano: Int64) -> Float64:
    """Return `(n, 2)`, columns FORECASTS, for one series at many times."""
    return fleet.forecasts(np.full(time_unix_nano.size, series, np.int32), time_unix_nano)
