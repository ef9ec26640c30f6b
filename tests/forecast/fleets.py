"""What tests ask a fleet."""

import numpy as np

from collector_processor.forecast.design import Design
from collector_processor.forecast.fleet import FleetModel
from collector_processor.telemetry.points import Float64, Int64


def forecasts_of(fleet: FleetModel, series: int, time_unix_nano: Int64) -> Float64:
    """Return `(n, 2)`, columns FORECASTS, for one series at many times."""
    return fleet.forecasts(np.full(time_unix_nano.size, series, np.int32), time_unix_nano)


def designs_of(fleet: FleetModel) -> set[Design]:
    """Return the designs that any series has."""
    return {group.design for page in fleet.pages for group in page.groups}
