"""A fleet as it is judged, refitted and started: ticks, new models, models from the store, and memory."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.cpu import cpu
from benchmarks.figures import Figure
from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.calibrate import QuantileTracker
from collector_processor.forecast.design import DEFAULT_DESIGN, Design, Seasonality
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64

SERIES, WHOLE, CHUNK = 10_000, 100_000, 250
TICKS = 50
NOW = 1_790_000_000_000_000_000


def measure() -> list[Figure]:
    """Return what ticks, refits and a start cost, and the bytes a series has in memory."""
    random = np.random.default_rng(1)
    records = [_record(series, random) for series in range(SERIES)]
    special = [replace(record, parameters=_of_special_design(random)) for record in records[1::2]]
    whole = FleetModel.empty()
    for first in range(0, WHOLE, SERIES):
        whole = whole.with_models([replace(record, series=first + record.series) for record in records])
    tracker = QuantileTracker()
    tracker.grow(WHOLE)
    model = sum(page.nbytes for page in whole.pages) / WHOLE
    plain = FleetModel.from_records(records)
    ticks = {"": plain, ", half of them of another design": plain.with_models(special)}
    return [
        *(Figure(f"tick of {SERIES} series{of}", _tick(fleet), "ms", 1.0) for of, fleet in ticks.items()),
        Figure(
            f"publish {CHUNK} models among {WHOLE} series", 1e3 * cpu(lambda: whole.with_models(records[:CHUNK])), "ms"
        ),
        Figure("read models of the store into a fleet", _restart(records) / SERIES * 1e6, "us each"),
        Figure("model in memory", model, "bytes/series"),
        Figure("model and calibration tracker", model + tracker.records.nbytes / WHOLE, "bytes/series", 1024),
    ]


def _tick(fleet: FleetModel) -> float:
    """Return the milliseconds of forecasts and distances of all series."""
    random = np.random.default_rng(2)
    ids, at = np.arange(SERIES, dtype=np.int32), np.full(SERIES, NOW)
    value, tolerance = random.normal(50.0, 1.0, (SERIES, 1)), random.uniform(1.0, 2.0, (SERIES, len(FORECASTS)))

    def tick() -> Float64:
        return (value - fleet.forecasts(ids, at)) / tolerance

    assert np.isfinite(tick()[:, :LEVEL]).all()
    return 1e3 * cpu(tick, TICKS)


def _restart(records: list[ModelRecord]) -> float:
    """Return the seconds to read models from a store into a fleet."""
    with tempfile.TemporaryDirectory() as directory:
        writer = open_writer(Path(directory), StoreSettings(reserve_bytes=0))
        writer.commit(Commit(models=records))
        seconds = cpu(lambda: FleetModel.from_records(writer.models()))
        writer.close()
    return seconds


def _of_special_design(random: np.random.Generator) -> bytes:
    design = Design((*DEFAULT_DESIGN.seasonalities, Seasonality("shift", 1 / 3, 2)), time_zone="Europe/Berlin")
    return pack(replace(_prophet(random), design=design), _medians(random, "Europe/Berlin"), 1.0)


def _record(series: int, random: np.random.Generator) -> ModelRecord:
    return ModelRecord(
        series=series,
        version=series + 1,
        created_unix_nano=NOW,
        trained_start_unix_nano=NOW - 7 * DAY,
        trained_end_unix_nano=NOW - 5 * MINUTE,
        forecaster="prophet",
        reason="one day ahead, from 3 origins, Prophet missed by 1.23 on average, the median of the day by 1.34",
        parameters=pack(_prophet(random), _medians(random), 1.0),
    )


def _prophet(random: np.random.Generator) -> FittedProphet:
    return FittedProphet(
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


def _medians(random: np.random.Generator, time_zone: str = "UTC") -> list[FittedSeasonal]:
    return [FittedSeasonal(random.normal(50.0, 1.0, SLOTS), time_zone)] * 2
