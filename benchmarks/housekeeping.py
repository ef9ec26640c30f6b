"""The store under 10,000 points a second of 100,000 series, on a clock of its own: what housekeeping costs and holds.

Commits and slices of housekeeping come as from the consumer thread, but nobody waits between them, so that half an hour
takes a minute or two. CPU is that of this thread; what a commit does to relieve the head counts for the commit.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.figures import Figure
from benchmarks.store import START, Load, used_bytes
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_writer
from collector_processor.telemetry.points import PointBatch

POINTS, POINTS_PER_SECOND = 1_000, 10_000
SLICE_SECONDS, PAUSE_NANOS, REST_NANOS = 0.002, NANOS_PER_SECOND // 20, NANOS_PER_SECOND // 5
MUST_MICROSECONDS = 4.0

T = TypeVar("T")


@dataclass
class Spent:
    """CPU seconds of each call."""

    seconds: list[float] = field(default_factory=list)

    def on(self, work: Callable[[], T]) -> T:
        """Do it."""
        began = time.thread_time()
        done = work()
        self.seconds.append(time.thread_time() - began)
        return done


def measure(series: int = 100_000, minutes: float = 10.0) -> list[Figure]:
    """Return what a point costs, how large the head gets, and what a point takes on disk."""
    commits, slices, held, next_slice = Spent(), Spent(), list[int](), 0
    with tempfile.TemporaryDirectory() as directory:
        store = open_writer(Path(directory), StoreSettings(reserve_bytes=0))
        for now, commit in _commits(series, minutes):
            while next_slice < now:
                is_more = slices.on(partial(store.maintain, next_slice or now, SLICE_SECONDS))
                next_slice = (next_slice or now) + (PAUSE_NANOS if is_more else REST_NANOS)
            commits.on(partial(store.commit, commit))
            held.append(_head_points(store))
        disk = used_bytes(store)
        store.close()
    points, of = len(held) * POINTS, f"{series} series, {minutes:g} min"
    return [
        Figure(f"commit a point, {of}", 1e6 * sum(commits.seconds) / points, "us"),
        Figure(f"housekeeping a point, {of}", 1e6 * sum(slices.seconds) / points, "us", MUST_MICROSECONDS),
        Figure(f"commit, {of}, p99", 1e3 * float(np.quantile(commits.seconds, 0.99)), "ms"),
        Figure(f"commit, {of}, longest", 1e3 * max(commits.seconds), "ms"),
        Figure(f"slice of housekeeping, {of}, p99", 1e3 * float(np.quantile(slices.seconds, 0.99)), "ms"),
        Figure(f"slice of housekeeping, {of}, longest", 1e3 * max(slices.seconds), "ms"),
        Figure(f"points in the head, {of}, most", 1e-6 * max(held), "million"),
        Figure(f"bytes on disk a point, {of}", disk / points, "B"),
    ]


def _commits(series: int, minutes: float) -> Iterator[tuple[int, Commit]]:
    """Yield commits of a point of 1,000 neighbouring series, and when they come; all series in turn."""
    load, gap = Load(series), NANOS_PER_SECOND * POINTS // POINTS_PER_SECOND
    requests = series // POINTS
    for turn in range(round(minutes * 60 * POINTS_PER_SECOND / series)):
        tick = load.tick(turn)
        assert tick.verdicts is not None
        for request in range(requests):
            now = START + (turn * requests + request) * gap
            chosen = np.arange(request * POINTS, (request + 1) * POINTS)
            of = tick.points.take(chosen)
            points = PointBatch(of.series, np.full(POINTS, now), of.value)
            yield now, Commit(points=points, verdicts=tick.verdicts.take(chosen))


def _head_points(store: SqliteWriter) -> int:
    return len(store._head.at(store._connection))  # noqa: SLF001 - the store has no reason to tell
