"""Samples that are hard to answer for: resets, gaps, ends, NaN, infinities, odd spacing, buckets, many labels."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import STALE, Int64, PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from grafana_datasource.directory import Directory

MS = 1_000_000
START = 1_788_998_400_000
"""The first sample, in milliseconds: a whole hour."""

END = START + 3 * 3_600_000


@dataclass(frozen=True, slots=True)
class Track:
    """One series as it is written to both sides; times in milliseconds, a STALE value ends it for a while."""

    name: str
    labels: dict[str, str]
    time: Int64
    value: npt.NDArray[np.floating[Any]]

    @property
    def key(self) -> SeriesKey:
        """Return the identity that comes out with this name and these labels."""
        attributes = tuple(sorted(self.labels.items()))
        return SeriesKey((("service.name", "s"),), Scope(), self.name, "", Kind.GAUGE, Statistic.VALUE, attributes)


@cache
def tracks() -> list[Track]:
    """Return all series."""
    random = np.random.default_rng(42)
    found = [*_counters(random), *_gauges(random), *_buckets(random), *_odd(), *_crowd(random)]
    return [Track(t.name, {k: v for k, v in t.labels.items() if v}, t.time, t.value) for t in found]


def write_store(directory: Path) -> None:
    """Write all series into a new store."""
    writer = open_writer(directory, StoreSettings(retention_nano=10**18))
    batches = [
        PointBatch(np.full(track.time.size, i, np.int32), track.time * MS, np.asarray(track.value, np.float64))
        for i, track in enumerate(tracks())
    ]
    writer.commit(
        Commit(series=[(i, track.key) for i, track in enumerate(tracks())], points=PointBatch.concat(batches))
    )
    writer.close()


def labels_of() -> list[tuple[str, dict[str, str]]]:
    """Return name and labels under which the store serves each series, in order of `tracks`."""
    entries = Directory().with_series([(i, track.key) for i, track in enumerate(tracks())]).entries
    return [(entries[i].name, dict(entries[i].labels)) for i in range(len(tracks()))]


def _every(step: int, offset: int = 0) -> Int64:
    return np.arange(START + offset, END + 1, step, dtype=np.int64)


def _counters(random: np.random.Generator) -> list[Track]:
    """Return counters that grow, start again at different times, and one that starts late from zero."""
    found = []
    for job in ("api", "db"):
        for instance in ("0", "1", "2"):
            for code in ("200", "500"):
                time = _every(15_000, 1000 * int(instance))
                value = np.cumsum(random.poisson(7 if code == "200" else 0.3, time.size)).astype(np.float64)
                for at in random.integers(0, time.size, int(instance)):
                    value[at:] -= value[at]
                labels = {"job": job, "instance": instance, "code": code}
                found.append(Track("requests_total", labels, time, value))
    late = _every(15_000)[300:]
    found.append(Track("late_total", {"job": "api"}, late, np.arange(late.size) * 3.0))
    return found


def _gauges(random: np.random.Generator) -> list[Track]:
    """Return gauges: wandering, negative, with gaps of several lengths and with ends."""
    found = []
    for i, zone in enumerate(("eu-1", "eu-2", "us-1")):
        for host in ("a", "b"):
            time = _every(60_000) + random.integers(0, 900, _every(60_000).size)
            value = np.cumsum(random.normal(0, 1, time.size)) + 10 * i
            keep = np.ones(time.size, np.bool_)
            keep[60 : 62 + 3 * i] = False
            keep[100:107] = host == "a"
            found.append(Track("temperature", {"zone": zone, "host": host}, time[keep], value[keep]))
    time = _every(30_000)
    ends = np.sin(time / 4e5) * 5
    ends[[100, 101, 150]] = STALE
    ends[200:240] = STALE
    found.append(Track("ending", {"kind": "marked"}, time, ends))
    found.append(Track("ending", {"kind": "silent"}, time[:120], ends[:120]))
    for size in ("small", "large"):
        limit = {"small": 3.5, "large": 1e6}[size]
        found.append(
            Track("limit", {"zone": "eu-1", "size": size}, _every(60_000), np.full(_every(60_000).size, limit))
        )
    found.append(Track("zone_info", {"zone": "eu-1", "owner": "ann"}, _every(60_000), np.ones(_every(60_000).size)))
    found.append(Track("zone_info", {"zone": "eu-2", "owner": "bob"}, _every(60_000), np.ones(_every(60_000).size)))
    return found


def _buckets(random: np.random.Generator) -> list[Track]:
    """Return classic histograms: two as they should be, one without +Inf, one that has holes and falls."""
    found = []
    time = _every(15_000)
    for job, bounds in (("api", ("0.05", "0.1", "0.5", "1", "5", "+Inf")), ("db", ("0.1", "1", "+Inf"))):
        steps = np.cumsum(random.poisson(3, (len(bounds), time.size)), axis=1)
        for bound, value in zip(bounds, np.cumsum(steps, axis=0).astype(np.float64), strict=True):
            found.append(Track("latency_bucket", {"job": job, "le": bound}, time, value))
    for bound, factor in (("1", 1.0), ("2", 0.9), ("4", 2.0)):
        found.append(Track("open_bucket", {"le": bound}, time, np.arange(time.size) * factor))
    for bound, factor in (("-1", 0.5), ("1", 1.5), ("2", 1.4), ("+Inf", 2.0)):
        keep = slice(None) if bound != "2" else slice(0, 300)
        found.append(Track("bent_bucket", {"le": bound}, time[keep], np.arange(time.size)[keep] * factor))
    found.append(Track("bent_bucket", {"le": "no number"}, time, np.ones(time.size)))
    return found


def _odd() -> list[Track]:
    """Return values that arithmetic stumbles over, and series with one or two samples."""
    time = _every(60_000)
    wild = np.tile([1.0, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e150, -1e-300, 7.25], 40)[: time.size]
    large = np.tile([1.5e308, 1.4e308, 1.0], 80)[: time.size]
    return [
        Track("wild", {"which": "all"}, time, wild),
        Track("wild", {"which": "nan"}, time, np.full(time.size, math.nan)),
        Track("large", {}, time, large),
        Track("wild", {"which": "zero"}, time, np.zeros(time.size)),
        Track("lonely", {"n": "1"}, time[90:91], np.array([5.0])),
        Track("lonely", {"n": "2"}, time[90:92], np.array([5.0, 8.0])),
        Track("moment", {}, time, np.arange(time.size) * 86_400.0 * 37.3 - 3e8),
        Track("weird", {"path": 'C:\\a "b"\n', "word": "ünï", "empty": ""}, time, np.arange(time.size) * 1.0),
        Track("weird", {"path": "$1.x", "word": "a.b-c"}, time, np.arange(time.size) * 2.0),
    ]


def _crowd(random: np.random.Generator) -> list[Track]:
    """Return many series of one metric over a short time."""
    time = _every(60_000)[:40]
    return [
        Track(
            "crowd", {"pod": f"pod-{i:03}", "node": f"n{i % 7}", "app": f"app{i % 13}"}, time, random.normal(i, 3, 40)
        )
        for i in range(150)
    ]
