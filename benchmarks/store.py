"""Measure the embedded store: what a commit costs, what reading costs, what a point weighs."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from collector_processor.clock import DAY, MINUTE
from collector_processor.store.base import Commit
from collector_processor.store.files import DATABASE
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

START = 1_700_006_400_000_000_000
FOREVER = 1 << 62


def measure(series: int = 10_000, days: float = 0.2) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        return [
            *commit_latency(Path(directory) / "small", series=1000),
            *commit_latency(Path(directory) / "large", series=10_000),
            *long_read(Path(directory) / "long", series=20, days=14),
            *fleet(Path(directory) / "fleet", series=series, days=days),
        ]


def commit_latency(directory: Path, series: int) -> list[Figure]:
    """200 commits of one point a series with verdicts, housekeeping between them."""
    load = Load(series)
    store = open_writer(directory, StoreSettings(retention_nano=30 * DAY))
    commits: list[float] = []
    slices: list[float] = []
    for minute in range(200):
        commit = load.tick(minute)
        commits.append(seconds(partial(store.commit, commit)))
        slices.append(seconds(partial(store.maintain, START + minute * MINUTE, 0.05)))
    resent = load.tick(195).points
    existing = [seconds(lambda: store.existing(resent)) for _ in range(5)]
    compact(store)
    old = load.tick(30).points
    existing_old = [seconds(lambda: store.existing(old)) for _ in range(5)]
    last = [seconds(store.last_points) for _ in range(3)]
    first = [seconds(store.first_times) for _ in range(3)]
    store.close()
    name = f"{series} points"
    return [
        Figure(f"commit of {name}, median", 1e3 * float(np.median(commits)), "ms"),
        Figure(f"commit of {name}, p99", 1e3 * float(np.quantile(commits, 0.99)), "ms", must=100),
        Figure(f"housekeeping slice beside {name}, max", 1e3 * max(slices), "ms", must=100),
        Figure(f"existing of {name} in the head", 1e3 * float(np.median(existing)), "ms", must=100),
        Figure(f"existing of {name} at rest", 1e3 * float(np.median(existing_old)), "ms", must=100),
        Figure(f"last_points of {series} series", 1e3 * float(np.median(last)), "ms", must=200),
        Figure(f"first_times of {series} series", 1e3 * float(np.median(first)), "ms", must=200),
    ]


def long_read(directory: Path, series: int, days: int) -> list[Figure]:
    """14 days of one series, read by a second connection, warm."""
    store = open_writer(directory, StoreSettings(retention_nano=30 * DAY))
    load = Load(series)
    for minute in range(days * 1440):
        store.commit(load.tick(minute))
        if minute % 60 == 0:
            store.maintain(START + minute * MINUTE, 0.05)
    compact(store)
    reader = open_reader(directory)
    one = np.array([7], np.int32)
    points = [seconds(lambda: reader.read_points(one, 0, FOREVER)) for _ in range(9)]
    judged = [seconds(lambda: reader.read_judged(one, 0, FOREVER)) for _ in range(9)]
    reader.close()
    store.close()
    return [
        Figure(f"{days} days of one series, points", 1e3 * float(np.median(points)), "ms", must=20),
        Figure(f"{days} days of one series, with verdicts", 1e3 * float(np.median(judged)), "ms", must=20),
    ]


def fleet(directory: Path, series: int, days: float) -> list[Figure]:
    """Bytes a point, and reading 1,000 series for training; one point a minute with verdicts."""
    store = open_writer(directory, StoreSettings(retention_nano=30 * DAY))
    load = Load(series)
    minutes = int(days * 1440)
    work = 0.0
    for minute in range(minutes):
        store.commit(load.tick(minute))
        work += seconds(partial(store.maintain, START + minute * MINUTE, 0.2))
    work += seconds(lambda: compact(store))
    used = used_bytes(store)
    wanted = np.arange(min(series, 1000), dtype=np.int32)
    read = seconds(lambda: store.read_points(wanted, 0, FOREVER))
    judged = seconds(lambda: store.read_judged(wanted, 0, FOREVER))
    size = (directory / DATABASE).stat().st_size
    store.close()
    points, read_rows = series * minutes, wanted.size * minutes
    return [
        Figure(f"bytes a point with verdicts ({series} series)", used / points, "B", must=16),
        Figure("file size a point, free pages included", size / points, "B"),
        Figure("housekeeping a point", 1e6 * work / points, "us"),
        Figure("training read of 1,000 series, points", 1e-6 * read_rows / read, "M points/s"),
        Figure("training read of 1,000 series, with verdicts", 1e-6 * read_rows / judged, "M points/s"),
    ]


class Load:
    """A mixed fleet: noisy gauges of two decimals, noisy doubles, integer counters, constants, small integers."""

    def __init__(self, series: int) -> None:
        self._ids = np.arange(series, dtype=np.int32)
        self._random = np.random.default_rng(1)
        self._kind = self._ids % 10
        self._target = self._ids * 100 // max(series, 100)
        self._total = np.zeros(series)

    def tick(self, minute: int) -> Commit:
        """Return one point of every series."""
        noise = self._random.normal(0, 1, self._ids.size)
        yhat = 50 + 20 * np.sin(minute * (2 * np.pi / 1440) + self._ids)
        self._total += np.rint(np.abs(noise) * 100)
        jitter = np.random.default_rng(minute).integers(0, 20, 100)[self._target]
        kinds = [self._kind < 4, self._kind < 6, self._kind < 8, self._kind < 9]
        value = np.select(kinds, [np.round(yhat + noise, 2), yhat + noise, self._total, 3.25], np.rint(noise * 3))
        time = START + minute * MINUTE + jitter.astype(np.int64) * 1_000_000
        return Commit(points=PointBatch(self._ids, time, value), verdicts=self._judge(value, yhat, minute))

    def _judge(self, value: Float64, yhat: Float64, minute: int) -> VerdictBatch:
        is_counter = (self._kind >= 6) & (self._kind < 8)
        center = np.where(is_counter, np.nan, np.where(self._kind < 6, yhat, 3.25))
        half = 3.5 + 0.2 * np.sin(minute / 200 + self._ids)
        score = (value - center) / half
        anomaly = np.where(np.abs(score) > 1, np.sign(score), 0)
        return VerdictBatch(center, center - half, center + half, score, np.nan_to_num(anomaly).astype(np.int8))


def compact(store: SqliteWriter) -> None:
    """Bring everything to rest, as if nothing came for three days."""
    last = int(store.last_points().time_unix_nano.max())
    store.commit(Commit(points=PointBatch(np.array([0], np.int32), np.array([last + 2 * DAY]), np.array([0.0]))))
    while store.maintain(last + 2 * DAY, 1.0):
        pass


def used_bytes(store: SqliteWriter) -> int:
    """Return the bytes of pages in use."""
    connection = store._connection  # noqa: SLF001 - the store has no reason to tell
    pragmas = ("page_count", "freelist_count", "page_size")
    total, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    return int((total - free) * size)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
