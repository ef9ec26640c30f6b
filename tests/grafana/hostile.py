"""A small store whose services, metrics, units and attributes have names that mean harm."""

from pathlib import Path

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic

HOSTILE = (
    "<script>window.harmed=1</script>",
    "__proto__",
    "constructor",
    "\u202egnol\u0000\u0007\n\tname",
    "'\"><img src=x onerror=window.harmed=1>",
    "x" * 10_000,
)
_POINTS = 30


def write_hostile(directory: Path, now: int) -> list[str]:
    """Write a series with some points and an open episode for each name; return their ids."""
    keys = [
        SeriesKey((("service.name", name),), Scope(), name, name, Kind.GAUGE, Statistic.VALUE, ((name, name),))
        for name in HOSTILE
    ]
    times = np.tile(now - MINUTE * np.arange(_POINTS, dtype=np.int64)[::-1], len(keys))
    series = np.repeat(np.arange(len(keys), dtype=np.int32), _POINTS)
    points = PointBatch(series, times, np.arange(times.size, dtype=np.float64))
    start = now - 5 * MINUTE
    episodes = [
        Episode(f"{i}-{name[:40]}", i, start, None, now, 1, 2.0, 29.0, 10.0, 5.0, 15.0, kind=name[:200], reason=name)
        for i, name in enumerate(HOSTILE)
    ]
    writer = open_writer(directory, StoreSettings())
    try:
        writer.commit(Commit(series=list(enumerate(keys)), points=points, episodes=episodes))
    finally:
        writer.close()
    return [key.stable_id for key in keys]
