from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.detector import Detector
from collector_processor.detect.judge import Judgement
from collector_processor.detect.rulebook import Maintenance, Rulebook
from collector_processor.detect.seed import seed_from_residuals
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.points import Bool, Int64, PointBatch
from collector_processor.telemetry.rule import LIMITS_DTYPE, NO_LIMITS, RULE_DTYPE, Direction, Missing
from tests.detect.columns import all_forecasts

START = 19_000 * DAY


class FirstHour:
    def covers(self, time_unix_nano: Int64) -> Bool:
        covered: Bool = time_unix_nano < START + 60 * MINUTE
        return covered


def detector(n: int = 1, windows: Sequence[Maintenance] = (), **rule: Any) -> Detector:
    """Return a detector with a week of calibration whose series 0 has this rule."""
    found, time = Detector(maintenance=windows), START - 7 * DAY + np.arange(0, 7 * DAY, 5 * MINUTE)
    residual = np.random.default_rng(1).normal(size=(time.size, 2)).clip(-3, 3)
    for series in range(n):
        seed = seed_from_residuals(time, all_forecasts(residual), 1.0)
        found.adopt(np.array([series], np.int32), [seed], np.zeros(1, np.uint8))
    rules = np.zeros(1, RULE_DTYPE)
    rules["is_modelled"], rules["threshold"], rules["companion"] = True, 1.1, -1
    rules["limits"] = np.array(NO_LIMITS, rules["limits"].dtype)
    for name, value in rule.items():
        (rules["limits"] if name in (LIMITS_DTYPE.names or ()) else rules)[name] = value
    found.rule(np.array([0], np.int32), rules)
    return found


def judge(found: Detector, *rows: tuple[int, float, float], yhat: float = 100.0) -> Judgement:
    """(series, minute, value)"""
    series, minutes, values = zip(*rows, strict=True)
    time = START + (np.array(minutes) * MINUTE).astype(np.int64)
    points = PointBatch(np.array(series, np.int32), time, np.array(values, np.float64))
    return found.judge(points, all_forecasts(np.full((len(points), 2), yhat)), np.zeros(len(points), np.uint8))


def reason(found: Detector) -> Reason:
    return Reason(int(found.bands()["reason"][0]))


def test_a_fall_where_only_rises_are_asked_for_is_not_flagged_nor_learned_and_the_state_says_why() -> None:
    found = detector(direction=Direction.UP)
    fall = judge(found, (0, 5, 60.0))
    assert (fall.verdicts.anomaly.tolist(), fall.episodes) == ([0], [])
    assert fall.verdicts.score[0] < -1.0
    assert fall.verdicts.lower[0] > 60.0
    assert (reason(found), found.bands()["state"][0]) == (Reason.OTHER_DIRECTION, 1)
    assert judge(found, (0, 10, 100.0)).verdicts.anomaly.tolist() == [0]
    assert reason(found) == Reason.NONE
    assert judge(found, (0, 15, 140.0)).verdicts.anomaly.tolist() == [1]


def test_a_rule_is_of_its_series_alone() -> None:
    found = detector(2, direction=Direction.UP)
    assert judge(found, (0, 5, 60.0), (1, 5, 60.0)).verdicts.anomaly.tolist() == [0, -1]


def test_the_threshold_of_a_rule_takes_the_place_of_the_common_one() -> None:
    common, wide = detector(), detector(threshold=2.2)
    a, b = (judge(found, (0, 5, 100.0)).verdicts for found in (common, wide))
    assert b.upper[0] - b.yhat[0] == pytest.approx(2.0 * (a.upper[0] - a.yhat[0]))


def test_in_a_maintenance_window_there_is_a_band_but_no_score_no_flag_and_nothing_is_learned() -> None:
    found, other = detector(windows=[FirstHour()], maintenance=1), detector()
    assert judge(detector(windows=[FirstHour()]), (0, 5, 160.0)).verdicts.anomaly.tolist() == [1]
    held = judge(found, (0, 5, 160.0), (0, 10, 160.0))
    assert held.episodes == []
    assert np.isnan(held.verdicts.score).all()
    assert np.isfinite(held.verdicts.upper).all()
    assert reason(found) == Reason.MAINTENANCE
    after, plain = judge(found, (0, 65, 100.0)).verdicts, judge(other, (0, 65, 100.0)).verdicts
    assert (after.upper[0], after.lower[0]) == (plain.upper[0], plain.lower[0])
    assert judge(found, (0, 70, 160.0)).verdicts.anomaly.tolist() == [1]


def test_a_ratio_of_few_requests_is_not_judged_and_does_not_widen_its_band() -> None:
    found = detector(2, companion=1, least_events=10.0)
    judge(found, (1, 0, 100.0), (0, 0, 100.0))
    few = judge(found, (1, 1, 0.1), (0, 1, 160.0))
    assert few.verdicts.anomaly[1] == 0
    assert np.isnan(few.verdicts.score[1])
    assert reason(found) == Reason.LOW_TRAFFIC
    many = judge(found, (1, 2, 100.0), (0, 2, 160.0))
    assert many.verdicts.anomaly.tolist() == [0, 1]
    assert many.verdicts.upper[1] == few.verdicts.upper[1]


def test_bounds_of_a_kind_give_way_to_a_value_beyond_them_and_those_of_an_operator_do_not() -> None:
    kind = judge(detector(low=100.0), (0, 5, 99.0)).verdicts
    operator = judge(detector(low=100.0, has_bounds=True), (0, 5, 99.0)).verdicts
    assert (kind.anomaly.tolist(), operator.anomaly.tolist()) == ([0], [-1])
    assert (kind.lower[0], operator.lower[0]) == (99.0, 100.0)


def test_what_is_drawn_ahead_has_the_limits_of_the_rule() -> None:
    found = detector(least=20.0, low=90.0)
    state = found.bands()[0]["limits"]
    assert (state["least"], state["low"], state["high"]) == (20.0, 90.0, np.inf)
    expected = found.expected(np.array([0], np.int32), all_forecasts(np.full((1, 2), 100.0)), np.zeros(1, np.uint8))
    assert (expected.lower[0], expected.upper[0]) == (90.0, 120.0)


@given(st.lists(st.dictionaries(st.integers(0, 20), st.sampled_from([*Missing]), min_size=1), max_size=6))
def test_those_filled_in_are_the_series_whose_newest_rule_asks_for_it(changes: list[dict[int, Missing]]) -> None:
    rulebook, newest = Rulebook(1.0), dict[int, Missing]()
    rulebook.grow(21)
    for change in changes:
        newest |= change
        rules = np.zeros(len(change), RULE_DTYPE)
        rules["missing"] = list(change.values())
        rulebook.put(np.array(list(change), np.int32), rules)
    asked = sorted(series for series, missing in newest.items() if missing in {Missing.ZERO, Missing.LAST})
    assert rulebook.filled_in.tolist() == asked
