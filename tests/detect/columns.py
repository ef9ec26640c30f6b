"""Forecasts for tests that are about two of them."""

import numpy as np

from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64


def all_forecasts(two: Float64) -> Float64:
    """Return columns of the first two forecasts with the others, which are absent, beside them."""
    return np.concatenate([two, np.full((len(two), len(FORECASTS) - 2), np.nan)], axis=1)
