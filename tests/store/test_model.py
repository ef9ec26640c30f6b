"""The embedded store against a dictionary, in any order of writing, housekeeping and restarts."""

import tempfile
from collections import defaultdict
from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.store import housekeeping, layout, sheet_writer
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.store.verdict_codec import rounded
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from tests.store.batches import FOREVER, START, ids, maintain_all, points, read_all
from tests.store.conftest import take_smallest_steps

SERIES = 3
RETENTION = 2 * DAY
SETTINGS = StoreSettings(retention_nano=RETENTION, reserve_bytes=0)

Row = tuple[int, int, float]
Judged = tuple[float, float, float, float, float, int]

steps = st.integers(0, 40)  # half hours back from now: many meet, some cross blocks and days
values = st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 5e-324, 1e300, -7.25])
rows = st.lists(st.tuples(st.integers(0, SERIES - 1), steps, values), min_size=1, max_size=12)
bands = st.sampled_from([None, 0.5, 3.0, float("nan")])


class StoreMachine(RuleBasedStateMachine):
    """Every step is done to a store and to a dictionary of (series, time)."""

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        take_smallest_steps(self.patch)
        self.patch.setattr(layout, "SERIES_PER_SHEET", 2)
        self.patch.setattr(sheet_writer, "FULL", 8)
        self.patch.setattr(housekeeping, "_HEAD_POINTS", 6)
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "store"
        self.store = open_writer(self.path, SETTINGS)
        self.reader = open_reader(self.path)
        self.oracle: dict[tuple[int, int], Judged] = {}
        self.now = START
        self.step = SETTINGS.rollup_step
        self.last: Commit | None = None

    @rule(rows=rows, half=bands, forward=st.sampled_from([0, MINUTE, HOUR, 3 * HOUR, 30 * HOUR]))
    def put(self, rows: list[Row], half: float | None, forward: int) -> None:
        self.now += forward
        sent = points([(series, self.now - back * 30 * MINUTE, value) for series, back, value in rows])
        self.commit(Commit(points=sent, verdicts=None if half is None else verdicts_for(sent, half)))

    @precondition(lambda self: self.last is not None)
    @rule()
    def put_again(self) -> None:
        assert self.last is not None
        self.commit(self.last)

    @rule()
    def maintain(self) -> None:
        maintain_all(self.store, self.now)
        self.forget_what_is_past_retention()

    @rule(slices=st.integers(1, 8))
    def maintain_a_little(self, slices: int) -> None:
        for _ in range(slices):
            self.store.maintain(self.now, 0.0)
        self.forget_what_is_past_retention()

    @rule(step=st.sampled_from([5 * MINUTE, HOUR]))
    def restart(self, step: int) -> None:
        self.store.close()
        self.step = step
        self.store = open_writer(self.path, replace(SETTINGS, rollup_step=step))

    @rule()
    def open_another_reader(self) -> None:
        self.reader.close()
        self.reader = open_reader(self.path)

    @invariant()
    def both_hold_the_same(self) -> None:
        if not hasattr(self, "oracle"):
            return
        for store in (self.store, self.reader):
            held = read_all(store)
            assert [self.row(held.points, held.verdicts, k) for k in range(len(held.points))] == [
                (key, repr(self.oracle[key])) for key in sorted(self.oracle)
            ]

    @invariant()
    def ends_and_existence_agree(self) -> None:
        if not getattr(self, "oracle", None):
            return
        keys = sorted(self.oracle)
        last = dict(keys)
        found = self.reader.last_points()
        assert dict(zip(found.series.tolist(), found.time_unix_nano.tolist(), strict=True)) == last
        assert repr(found.value.tolist()) == repr([self.oracle[key][0] for key in last.items()])
        series, time = self.reader.first_times()
        assert dict(zip(series.tolist(), time.tolist(), strict=True)) == dict(reversed(keys))
        asked = points([(s, t + late, 0.0) for s, t in keys for late in (0, 1)])
        is_there, value = self.reader.existing(asked)
        assert is_there.tolist() == [True, False] * len(keys)
        assert repr(value[::2].tolist()) == repr([self.oracle[key][0] for key in keys])

    @invariant()
    def a_range_is_a_part_of_the_whole(self) -> None:
        if not hasattr(self, "oracle"):
            return
        start, end = self.now - 7 * HOUR, self.now - HOUR
        found = self.reader.read_points(ids(1), start, end)
        due = [key for key in sorted(self.oracle) if key[0] == 1 and start <= key[1] < end]
        assert found.time_unix_nano.tolist() == [time for _, time in due]

    @invariant()
    def means_are_those_of_the_points(self) -> None:
        if not hasattr(self, "oracle"):
            return
        for start, end in ((0, FOREVER), (self.now - 7 * HOUR, self.now - HOUR)):
            held = {key: row[0] for key, row in self.oracle.items() if start <= key[1] < end}
            for store in (self.store, self.reader):
                same_means(store.read_means(ids(2, 0, 1, 0), start, end, self.step), held)

    def teardown(self) -> None:
        if hasattr(self, "oracle"):
            self.reader.close()
            self.store.close()
            self.directory.cleanup()
            self.patch.undo()

    def commit(self, commit: Commit) -> None:
        self.store.commit(commit)
        self.last = commit
        kept = VerdictBatch.absent(len(commit.points))
        if commit.verdicts is not None:
            kept = rounded(commit.points.value, commit.verdicts)
        for k in range(len(commit.points)):
            key, _ = self.row(commit.points, kept, k)
            self.oracle[key] = judged(commit.points, kept, k)

    def forget_what_is_past_retention(self) -> None:
        """Whole parts go, at most those that ended before the oldest kept time."""
        held = read_all(self.store).points
        keys = set(zip(held.series.tolist(), held.time_unix_nano.tolist(), strict=True))
        newest = max((time for _, time in self.oracle), default=0)
        gone = self.oracle.keys() - keys
        assert all(time < newest - RETENTION for _, time in gone)
        for key in gone:
            del self.oracle[key]

    @staticmethod
    def row(batch: PointBatch, verdicts: VerdictBatch, k: int) -> tuple[tuple[int, int], str]:
        return (int(batch.series[k]), int(batch.time_unix_nano[k])), repr(judged(batch, verdicts, k))


def same_means(found: StepMeans, held: dict[tuple[int, int], float]) -> None:
    """Compare with the means, ends and deviations of finite values, up to a lattice of 2^-17 deviations of a day."""
    assert found.series.tolist() == list(range(SERIES))
    for series in range(SERIES):
        points = [(time, value) for (one, time), value in sorted(held.items()) if one == series and isfinite(value)]
        by_step = defaultdict[int, list[float]](list)
        for time, value in points:
            by_step[time // found.step_nano].append(value)
        (at,) = np.nonzero(np.isfinite(found.mean[series]))
        assert (at + found.first_step).tolist() == sorted(by_step)
        assert found.is_present[series] == bool(points)
        if points:
            everything = np.array([value for _, value in points])
            expected = np.array([np.mean(by_step[step]) for step in sorted(by_step)])
            close = (everything.max() / 2 - everything.min() / 2) * 2.0**-17
            np.testing.assert_allclose(found.mean[series, at], expected, rtol=1e-15, atol=close)
            assert (found.first_time[series], found.last_time[series]) == (points[0][0], points[-1][0])
            np.testing.assert_allclose(found.std[series], deviation(everything), rtol=1e-12, atol=1e-300)


def deviation(value: Float64) -> float:
    scale = float(np.abs(value).max()) or 1.0
    return float(np.std(value / scale) * scale)


def judged(batch: PointBatch, verdicts: VerdictBatch, k: int) -> Judged:
    v = verdicts
    numbers = (float(column[k]) for column in (batch.value, v.yhat, v.lower, v.upper, v.score))
    value, yhat, lower, upper, score = numbers
    return value, yhat, lower, upper, score, int(v.anomaly[k])


def verdicts_for(batch: PointBatch, half: float) -> VerdictBatch:
    yhat = np.where(np.isfinite(batch.value), batch.value + 0.1, 4.0)
    with np.errstate(all="ignore"):
        score = (batch.value - yhat) / half
    anomaly = (np.abs(score) > 1).astype(np.int8)
    return VerdictBatch(yhat, yhat - half, yhat + half, score, anomaly)


TestStoreAgainstADictionary = StoreMachine.TestCase
TestStoreAgainstADictionary.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
