"""Block maxima of a past that is known as a whole, as learning it point by point would have left them."""

import numpy as np

from collector_processor.clock import HOUR
from collector_processor.detect import record
from collector_processor.detect.largest import BLOCKS, usual
from collector_processor.detect.threshold import (
    HOURS,
    HOURS_A_DAY,
    MAX_CREDITED_GAP,
    BlockMaxima,
    as_stored,
    first_block_of,
    reach_of,
)
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float32, Float64, Int64


def seeded(time_unix_nano: Int64, distance: Float64) -> record.Records:
    """Return the one record that learning distances `(n, F)` at ascending times point by point would have left."""
    seen = ~np.isnan(distance).all(axis=1)
    time, stored = time_unix_nano[seen], as_stored(distance[seen])
    maxima = BlockMaxima()
    maxima.grow(1)
    records = maxima.export(0, 1)
    if time.size:
        records["current"]["newest"] = time[-1]
        for forecast in range(len(FORECASTS)):
            _seed_forecast(records["current"][0], records["rings"][0], forecast, time, stored[:, forecast])
        records["current"]["reach"] = reach_of(records)
    return records


def _seed_forecast(current: np.void, rings: np.void, forecast: int, time: Int64, distance: Float32) -> None:
    """Fill one forecast of one record from all times at which any forecast was seen."""
    rows = np.flatnonzero(~np.isnan(distance))
    if not rows.size:
        return
    gaps = np.minimum(np.diff(time), MAX_CREDITED_GAP)
    current["observed"][forecast] = gaps[rows[1:] - 1].sum()
    hour, last_hour = time[rows] // HOUR, time[-1] // HOUR
    current["first_block"][forecast] = first_block_of(hour[0])
    hours, hourly = _maxima(hour, distance[rows])
    if hours[-1] == last_hour:
        current["this_hour"][forecast] = hourly[-1]
        hours, hourly = hours[:-1], hourly[:-1]
    recent = hours >= last_hour - HOURS
    rings["hourly"][forecast, hours[recent] % HOURS] = hourly[recent]
    if not hours.size:
        return
    days, daily = _maxima(hours // HOURS_A_DAY, hourly)
    if days[-1] == last_hour // HOURS_A_DAY:
        current["this_block"][forecast] = daily[-1]
        days, daily = days[:-1], daily[:-1]
    _seed_blocks(current, rings, forecast, daily[days >= current["first_block"][forecast]])


def _seed_blocks(current: np.void, rings: np.void, forecast: int, daily: Float32) -> None:
    current["blocks"][forecast] = daily.size
    kept = np.arange(max(0, daily.size - BLOCKS), daily.size)
    rings["daily"][forecast, kept % BLOCKS] = daily[kept]
    current["usual"][forecast] = usual(rings["daily"][forecast][np.newaxis], np.array([daily.size], np.int32))[0]


def _maxima(bucket: Int64, distance: Float32) -> tuple[Int64, Float32]:
    """Return ascending distinct buckets and the largest distance in each."""
    starts = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    return bucket[starts], np.maximum.reduceat(distance, starts)
