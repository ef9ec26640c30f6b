"""Compiled code and NumPy say the same of the same points, and know the same afterwards, to the last bit."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.detect import calm
from collector_processor.detect.detector import Detector
from collector_processor.detect.judge import Judgement
from collector_processor.detect.seed import Seed, seed_from_residuals
from collector_processor.telemetry.band import FORECASTS, Reason
from collector_processor.telemetry.points import Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import NO_LIMITS, RULE_DTYPE, Rules
from tests.detect import judging
from tests.detect.judging import NAN, START, assert_same, by_numpy

F = len(FORECASTS)
SERIES = 24
UNMODELLED = 5
"""Every so many series have no model."""
ZERO = 7
"""Every so many series are nearly always zero, and most of their forecasts say so."""


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    calm.KERNEL.load()


@dataclass
class Pair:
    """Two detectors that are told the same, one of which judges by NumPy alone."""

    compiled: Detector
    plain: Detector

    @classmethod
    def drawn(cls, draw: np.random.Generator) -> "Pair":
        """Return detectors of series of all ages, under all kinds of rules."""
        pair = cls(Detector(), Detector())
        series = np.arange(SERIES, dtype=np.int32)
        rules, marks = drawn_rules(draw), draw.choice([Reason.NONE, Reason.STALE_MODEL, Reason.NOT_MODELLED], SERIES)
        seeds, factor = [drawn_seed(draw, i % ZERO == 0) for i in range(SERIES)], float(draw.choice([0.5, 1.0, 2.0]))
        for detector in (pair.compiled, pair.plain):
            detector.rule(series, rules)
            known = series[SERIES // 4 :]
            detector.adopt(known, seeds[SERIES // 4 :], draw_winner(known))
            detector.mark(series[::5], marks[::5].astype(np.uint8))
            detector.tune(SERIES - 1, factor)
        return pair

    def judge(self, points: PointBatch, forecasts: Float64) -> Judgement:
        winner = draw_winner(points.series)
        found = self.compiled.judge(points, forecasts.copy(), winner)
        with by_numpy():
            expected = self.plain.judge(points, forecasts.copy(), winner)
        assert_same(found.verdicts, expected.verdicts)
        assert found.episodes == expected.episodes
        return found

    def assert_know_the_same(self) -> None:
        """Compare what both would save, which is also what changed since they were compared last."""
        assert self.compiled.save() == self.plain.save()


def left_of(detector: Detector, points: PointBatch, forecast: float) -> Int64:
    """Judge points by one forecast, by compiled code alone; return the rows that it leaves to others."""
    none, forecasts = np.zeros(len(points), np.uint8), np.full((len(points), F), forecast)
    parts = calm.parts_of(detector._known, detector._judge._rulebook)
    assert calm.KERNEL.loaded is not None
    _, left = calm.judged(calm.KERNEL.loaded, calm.points_of(points, forecasts, none, none), parts)
    return left


def draw_winner(series: Int32) -> "calm.UInt8":
    return (series % F).astype(np.uint8)


def drawn_rules(draw: np.random.Generator) -> Rules:
    rules = np.zeros(SERIES, RULE_DTYPE)
    rules["is_modelled"] = draw.random(SERIES) < 0.95
    rules["limits"] = np.array(NO_LIMITS, rules["limits"].dtype)
    rules["threshold"], rules["companion"] = draw.choice([1.1, 1.25, 2.0], SERIES), -1
    rules["direction"] = draw.choice([-1, 0, 0, 1], SERIES)
    rules["family"] = draw.integers(0, 3, SERIES)
    bounded = draw.random(SERIES) < 0.5
    rules["limits"]["low"][bounded] = draw.choice([0.0, 9.0], int(bounded.sum()))
    rules["limits"]["high"][bounded] = draw.choice([np.inf, 10.5], int(bounded.sum()))
    rules["has_bounds"] = draw.random(SERIES) < 0.5
    rules["limits"]["least"] = draw.choice([0.0, 0.0, 3.0], SERIES)
    rules["limits"]["least_share"] = draw.choice([0.0, 0.0, 0.2], SERIES)
    return rules


def drawn_seed(draw: np.random.Generator, is_zero: bool) -> Seed:
    """Return a calibration of some days, or of an hour; forecasts may be unknown, or were always right."""
    time = np.arange(0, int(draw.choice([HOUR, DAY + HOUR, 5 * DAY, 5 * DAY])), 10 * MINUTE)
    scale = draw.choice([0.0, 0.0, 0.0, 1.0], F) if is_zero else draw.choice([0.0, 1.0, 1.0, 1.0])
    residual = draw.normal(0.0, scale, (time.size, F))
    residual[:, draw.random(F) < 0.1] = NAN
    return seed_from_residuals(
        START - time[::-1] - MINUTE, residual, 0.0 if is_zero else float(draw.choice([0.0, 1.0]))
    )


def drawn_batch(draw: np.random.Generator, now: int, oddness: float) -> tuple[PointBatch, Float64]:
    """Return a point of every series, of which some are odd: late, repeated, missing, no number or far out."""
    series = np.arange(SERIES, dtype=np.int32)
    time, value = np.full(SERIES, now), 10.0 + draw.normal(0.0, 0.7, SERIES)
    value[::ZERO] = 0.0
    odd = np.flatnonzero(draw.random(SERIES) < oddness)
    time[odd] += draw.choice([0, -MINUTE, -HOUR, 1], odd.size)
    value[odd] = draw.choice([NAN, np.inf, -1e100, 10.0, 0.0, 16.0, 100.0], odd.size)
    forecasts = 10.0 + draw.normal(0.0, draw.choice([0.0, 0.2, 0.2, 3.0]), (SERIES, F))
    forecasts[::ZERO] = draw.choice([0.0, 0.0, 0.0, 0.3], forecasts[::ZERO].shape)
    forecasts[draw.random((SERIES, F)) < oddness] = NAN
    forecasts[draw.random(SERIES) < oddness] = NAN
    forecasts[::UNMODELLED] = NAN
    rows = np.arange(SERIES) if draw.random() < 0.6 else draw.integers(0, SERIES, SERIES)
    return PointBatch(series, time, value).take(rows), forecasts[rows]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    gaps=st.lists(st.sampled_from([10, 60, 60, 60, 300, 3600, 4 * 3600, 4 * 86400]), min_size=2, max_size=8),
    oddness=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_verdicts_episodes_and_what_is_known_after_each_are_those_of_numpy(
    seed: int, gaps: list[int], oddness: float
) -> None:
    draw, now = np.random.default_rng(seed), START
    pair = Pair.drawn(draw)
    for gap in gaps:
        now += gap * NANOS_PER_SECOND
        pair.judge(*drawn_batch(draw, now, oddness))
        pair.assert_know_the_same()


def test_a_calm_fleet_leaves_nothing_to_numpy_also_when_an_hour_ends() -> None:
    draw, series = np.random.default_rng(1), np.arange(600, dtype=np.int32)
    detector = Detector()
    detector.adopt(series, [judging.seed()] * series.size, np.zeros(series.size, np.uint8))
    forecasts = np.full((series.size, F), 100.0)
    for tick in range(3):
        points = PointBatch(series, np.full(series.size, START + tick * MINUTE), draw.uniform(99.0, 101.0, series.size))
        detector.judge(points, forecasts, np.zeros(series.size, np.uint8))
    for later in (MINUTE, 2 * HOUR):
        assert left_of(detector, PointBatch(series, points.time_unix_nano + later, points.value), 100.0).size == 0


def test_hours_end_and_three_days_pass_as_they_do_for_numpy() -> None:
    draw, series = np.random.default_rng(4), np.arange(6, dtype=np.int32)
    pair = Pair(Detector(), Detector())
    for detector in (pair.compiled, pair.plain):
        detector.adopt(series, [judging.seed(days=1)] * series.size, draw_winner(series))
    pair.assert_know_the_same()
    for quarter in range(1, 80 * 4, 3):
        reports = series[draw.random(series.size) < 0.8]
        points = PointBatch(
            reports, np.full(reports.size, START + quarter * 15 * MINUTE), draw.normal(100.0, 0.3, reports.size)
        )
        pair.judge(points, np.full((reports.size, F), 100.0))
        pair.assert_know_the_same()


def test_series_of_which_nothing_is_known_yet_leave_nothing_to_numpy() -> None:
    series = np.arange(600, dtype=np.int32)
    pair = Pair(Detector(), Detector())
    for tick in range(3):
        points = PointBatch(series, np.full(series.size, START + tick * MINUTE), np.full(series.size, 7.0))
        pair.judge(points, np.full((series.size, F), NAN))
    pair.assert_know_the_same()
    assert left_of(pair.compiled, PointBatch(series, points.time_unix_nano + MINUTE, points.value), NAN).size == 0


def test_an_episode_goes_on_and_lets_go_where_nothing_is_expected_any_more() -> None:
    series, nothing = np.arange(2, dtype=np.int32), np.full((2, F), NAN)
    pair = Pair(judging.seeded(2), judging.seeded(2))
    pair.judge(PointBatch(series, np.full(2, START), np.full(2, 100.0)), np.full((2, F), 100.0))
    found = pair.judge(PointBatch(series, np.full(2, START + MINUTE), np.array([100.0, 900.0])), np.full((2, F), 100.0))
    assert len(found.episodes) == 1
    pair.judge(PointBatch(series, np.full(2, START + 4 * HOUR), np.full(2, 100.0)), nothing)
    for detector in (pair.compiled, pair.plain):
        detector.expire(START + 2 * DAY)
    pair.judge(PointBatch(series, np.full(2, START + 2 * DAY), np.full(2, 100.0)), nothing)
    pair.assert_know_the_same()


def test_series_that_are_always_zero_leave_nothing_to_numpy() -> None:
    series, nothing = np.arange(300, dtype=np.int32), judging.seed(scale=0.0, std=0.0)
    pair = Pair(Detector(), Detector())
    for detector in (pair.compiled, pair.plain):
        detector.adopt(series, [nothing] * series.size, draw_winner(series))
    for tick in range(3):
        points = PointBatch(series, np.full(series.size, START + tick * MINUTE), np.zeros(series.size))
        found = pair.judge(points, np.zeros((series.size, F)))
    assert (found.verdicts.lower == 0.0).all()
    assert (found.verdicts.upper == 0.0).all()
    pair.assert_know_the_same()
    assert left_of(pair.compiled, PointBatch(series, points.time_unix_nano + MINUTE, points.value), 0.0).size == 0


def test_an_exact_forecast_beside_one_that_strays_is_held_to_as_by_numpy() -> None:
    series, time = np.arange(2, dtype=np.int32), START - 5 * DAY + np.arange(0, 5 * DAY, 10 * MINUTE)
    strays = np.random.default_rng(5).normal(size=(time.size, F)) * [1.0, 0.0, 0.0, 0.0]
    pair = Pair(Detector(), Detector())
    for detector in (pair.compiled, pair.plain):
        detector.adopt(series, [seed_from_residuals(time, strays, 0.0)] * 2, np.zeros(2, np.uint8))
    for tick in range(3):
        points = PointBatch(series, np.full(2, START + tick * MINUTE), np.zeros(2))
        pair.judge(points, np.array([[0.3, 0.0, 0.0, NAN], [0.0, 0.0, 0.0, NAN]]))
    pair.assert_know_the_same()


def test_columns_of_another_layout_are_not_compiled_for_anew() -> None:
    pair = Pair.drawn(np.random.default_rng(2))
    points, forecasts = drawn_batch(np.random.default_rng(3), START + MINUTE, 0.0)
    values = np.repeat(points.value, 2)[::2]
    values.flags.writeable = False
    pair.judge(PointBatch(points.series.copy(), points.time_unix_nano, values), forecasts)
    assert calm.KERNEL.loaded is not None
    assert len(calm.KERNEL.loaded.judge.signatures) == 1
