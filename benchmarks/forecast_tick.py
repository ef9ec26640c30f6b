"""One tick of a fleet: what every series was expected to be, and how far off it is; and what that takes in memory."""

import numpy as np

from benchmarks.cpu import cpu
from benchmarks.figures import Figure
from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.calibrate import QuantileTracker
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64

SERIES = 10_000
TICKS = 50
NOW = 1_790_000_000_000_000_000


def measure() -> list[Figure]:
    """Return the milliseconds of a tick and the bytes a series has in memory."""
    fleet, random = _fleet(), np.random.default_rng(2)
    ids, at = np.arange(SERIES, dtype=np.int32), np.full(SERIES, NOW)
    value, tolerance = random.normal(50.0, 1.0, (SERIES, 1)), random.uniform(1.0, 2.0, (SERIES, len(FORECASTS)))

    def tick() -> Float64:
        return (value - fleet.forecasts(ids, at)) / tolerance

    assert np.isfinite(tick()[:, :LEVEL]).all()
    tracker = QuantileTracker()
    tracker.grow(SERIES)
    model = sum(page.nbytes for page in fleet.pages)
    return [
        Figure(f"tick of {SERIES} series: forecasts, distances", 1e3 * cpu(tick, TICKS), "ms", 1.0),
        Figure("model in memory", model / SERIES, "bytes/series"),
        Figure("model and calibration tracker", (model + tracker.records.nbytes) / SERIES, "bytes/series", 1024),
    ]


def _fleet() -> FleetModel:
    random = np.random.default_rng(1)
    return FleetModel.from_records([_record(series, random) for series in range(SERIES)])


def _record(series: int, random: np.random.Generator) -> ModelRecord:
    prophet = FittedProphet(
        start_unix_nano=NOW - 7 * DAY,
        span_nano=7 * DAY - 5 * MINUTE,
        k=float(random.normal()),
        m=0.5,
        delta=random.laplace(0.0, 0.01, 25),
        changepoint=np.linspace(0.03, 0.8, 25),
        beta={"daily": random.normal(size=8), "weekly": random.normal(size=6)},
        y_scale=10.0,
        y_offset=45.0,
        sigma_obs=0.1,
    )
    seasonal = FittedSeasonal(random.normal(50.0, 1.0, SLOTS))
    return ModelRecord(
        series=series,
        version=series + 1,
        created_unix_nano=NOW,
        trained_start_unix_nano=NOW - 7 * DAY,
        trained_end_unix_nano=NOW - 5 * MINUTE,
        forecaster="prophet",
        reason="",
        parameters=pack(prophet, [seasonal, seasonal], 1.0),
    )
