"""Series of the shapes that telemetry has, and the ones that break forecasters."""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, MINUTE, NANOS_PER_SECOND
from collector_processor.telemetry.points import Float64, Int64

NOW = 1_767_225_600 * NANOS_PER_SECOND + 37 * DAY + 11 * MINUTE


@dataclass(frozen=True)
class Shape:
    time: Int64
    value: Float64


def times(count: int, step: int, end: int = NOW) -> Int64:
    """Return `count` times `step` apart, the last one just before `end`."""
    return end - step * np.arange(count, 0, -1, dtype=np.int64)


def daily(time: Int64, seed: int = 0, *, offset: float = 10.0, noise: float = 0.3) -> Float64:
    """Return a day-shaped load with noise around `offset`."""
    angle = 2 * np.pi * (time % DAY) / DAY
    wave = np.sin(angle) + 0.4 * np.cos(2 * angle)
    return np.asarray(offset + wave + np.random.default_rng(seed).normal(0, noise, time.size))


def weekly(time: Int64, seed: int = 0) -> Float64:
    """Return a daily load that is halved on two days of seven."""
    return np.asarray(daily(time, seed) * np.where((time // DAY) % 7 < 2, 0.5, 1.0))


def ordinary() -> dict[str, Shape]:
    """Return twenty series that a forecaster must fit."""
    hourly, quarter, five = times(500, 60 * MINUTE), times(600, 15 * MINUTE), times(700, 5 * MINUTE)
    rng = np.random.default_rng(7)
    irregular = np.sort(NOW - rng.integers(1, 6 * DAY, 500))
    gappy = quarter[(np.arange(600) < 200) | (np.arange(600) > 420)]
    drift = np.cumsum(rng.normal(0, 0.2, 600))
    return {
        "daily": Shape(quarter, daily(quarter)),
        "weekly": Shape(hourly, weekly(hourly)),
        "two years": Shape(times(400, 2 * DAY), daily(times(400, 2 * DAY), 1, noise=1.0)),
        "one day, no seasonality": Shape(times(120, 10 * MINUTE), daily(times(120, 10 * MINUTE))),
        "forty minutes": Shape(times(40, MINUTE), daily(times(40, MINUTE))),
        "few points": Shape(times(26, 60 * MINUTE), daily(times(26, 60 * MINUTE))),
        "gap": Shape(gappy, daily(gappy)),
        "irregular times": Shape(irregular, daily(irregular)),
        "odd nanoseconds": Shape(quarter + 123_456_789, daily(quarter)),
        "missing values": Shape(five, np.where(rng.random(700) < 0.3, np.nan, daily(five))),
        "infinities": Shape(five, np.where(rng.random(700) < 0.05, np.inf, daily(five))),
        "negative": Shape(quarter, -daily(quarter, offset=500.0)),
        "around zero": Shape(quarter, daily(quarter, offset=0.0)),
        "tiny": Shape(quarter, daily(quarter) * 1e-12),
        "large": Shape(quarter, daily(quarter) * 1e12),
        "trend": Shape(quarter, daily(quarter) + np.linspace(0, 40, 600)),
        "random walk": Shape(quarter, daily(quarter) + drift),
        "step": Shape(quarter, daily(quarter) * np.where(np.arange(600) > 420, 10.0, 1.0)),
        "spike": Shape(quarter, daily(quarter) + np.where(np.arange(600) == 333, 1e6, 0.0)),
        "offset 1e9": Shape(quarter, daily(quarter, offset=1e9)),
    }


def awkward() -> dict[str, Shape]:
    """Return what breaks Prophet when it is given as it came: to be fitted sanely or refused."""
    time = times(600, 5 * MINUTE)
    wave, index = daily(time), np.arange(600)
    sawtooth = np.asarray((index % 150) * 1e5, np.float64)
    return {
        "constant": Shape(time, np.full(600, 42.0)),
        "constant zero": Shape(time, np.zeros(600)),
        "offset 1e12": Shape(time, daily(time, offset=1e12)),
        "offset 1e18": Shape(time, daily(time, offset=1e18, noise=1e4)),
        "jitter 1e-9": Shape(time, 1.0 + 1e-9 * wave),
        "all NaN": Shape(time, np.full(600, np.nan)),
        "empty": Shape(time[:0], wave[:0]),
        "one point": Shape(time[:1], wave[:1]),
        "two points": Shape(time[:2], wave[:2]),
        "three points": Shape(time[:3], wave[:3]),
        "ten points": Shape(time[:10], wave[:10]),
        "fifty points": Shape(time[:50], wave[:50]),
        "two rows, one time": Shape(np.repeat(time[:1], 2), wave[:2]),
        "many rows, one time": Shape(np.repeat(time[:1], 100), wave[:100]),
        "duplicates": Shape(np.repeat(time, 2), np.repeat(wave, 2)),
        "infinite": Shape(time, np.where(index % 7 == 0, -np.inf, wave)),
        "only infinities": Shape(time, np.full(600, np.inf)),
        "1e300": Shape(time, wave * 1e300),
        "1e308 both signs": Shape(time, np.where(index % 2 == 0, 1.7e308, -1.7e308)),
        "1e-300": Shape(time, wave * 1e-300),
        "denormal": Shape(time, wave * 1e-320),
        "flapping 0-1": Shape(time, (index % 13 < 3).astype(np.float64)),
        "rarely 1": Shape(time, (index % 60 == 0).astype(np.float64)),
        "spike 1e6": Shape(time, np.where(index == 400, 1e6, wave)),
        "counter resets": Shape(time, sawtooth),
        "every second": Shape(times(600, NANOS_PER_SECOND), wave),
        "every 10 ms": Shape(times(600, 10_000_000), wave),
        "step at 95 %": Shape(time, wave * np.where(index > 570, 10.0, 1.0)),
        "half missing": Shape(time, np.where(np.random.default_rng(1).random(600) < 0.5, np.nan, wave)),
    }
