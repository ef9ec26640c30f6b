import numpy as np
import pytest

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.detector import Detector
from collector_processor.detect.judge import Judgement
from collector_processor.detect.seed import seed_from_residuals
from collector_processor.telemetry.band import FORECASTS, LEVEL, Reason
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.rule import NO_COMPANION, NO_LIMITS, RULE_DTYPE

START = 19_000 * DAY
NEW = 4
LEVELS = (10.0, 20.0, 30.0, 40.0)


def rules(*family: int) -> np.ndarray:
    made = np.zeros(len(family), RULE_DTYPE)
    made["is_modelled"], made["threshold"], made["companion"] = True, 1.3, NO_COMPANION
    made["limits"] = np.array(NO_LIMITS, made["limits"].dtype)
    made["family"] = family
    return made


def judged(detector: Detector, minute: int, *points: tuple[int, float]) -> Judgement:
    series = np.array([s for s, _ in points], np.int32)
    time = np.full(series.size, START + minute * MINUTE)
    batch = PointBatch(series, time, np.array([value for _, value in points]))
    return detector.judge(batch, np.full((series.size, len(FORECASTS)), np.nan), np.zeros(series.size, np.uint8))


def family_of(*numbers: int, days: int = 7, levels: tuple[float, ...] = LEVELS, every: int = 1) -> Detector:
    """Return a detector of four series with levels of their own, and a new one that was never heard of."""
    detector = Detector()
    detector.rule(np.arange(NEW + 1, dtype=np.int32), rules(*numbers))
    time = START - days * DAY + 5 * MINUTE * np.arange(days * DAY // (5 * MINUTE))
    residual = np.full((time.size, len(FORECASTS)), np.nan)
    residual[:, LEVEL] = np.sin(np.arange(time.size))
    old = np.arange(NEW, dtype=np.int32)
    detector.adopt(old, [seed_from_residuals(time, residual, 1.0)] * NEW, np.full(NEW, LEVEL, np.uint8))
    for minute in range(0, 11, every):
        judged(detector, minute, *enumerate(levels))
    return detector


def test_a_new_series_has_the_band_of_all_that_are_like_it_from_its_first_point_on() -> None:
    detector = family_of(1, 1, 1, 1, 1)
    verdicts = judged(detector, 11, (NEW, 26.0)).verdicts
    assert verdicts.yhat[0] == pytest.approx(25.0)
    assert verdicts.lower[0] < min(LEVELS)
    assert verdicts.upper[0] > max(LEVELS)
    assert detector.bands()["reason"][NEW] == Reason.SIBLINGS
    assert detector.bands()["state"][NEW] == 0


def test_the_drawn_band_is_the_borrowed_one() -> None:
    detector = family_of(1, 1, 1, 1, 1)
    verdicts = judged(detector, 11, (NEW, 26.0)).verdicts
    band = detector.bands()[NEW]
    assert band["level"] == verdicts.yhat[0]
    assert band["level"] + band["threshold"] * band["tolerance"][LEVEL] == pytest.approx(verdicts.upper[0])


def test_nothing_is_flagged_by_a_borrowed_band_or_learned_from_it() -> None:
    detector = family_of(1, 1, 1, 1, 1)
    found = judged(detector, 11, (NEW, 1e6))
    assert found.verdicts.score[0] > 1.0
    assert (found.verdicts.anomaly.tolist(), found.episodes) == ([0], [])
    assert np.isnan(detector.bands()["offset_upper"][NEW]).all()


def test_its_own_level_takes_over_after_two_steps() -> None:
    detector = family_of(1, 1, 1, 1, 1)
    for minute in range(11, 22):
        verdicts = judged(detector, minute, (NEW, 26.0)).verdicts
    assert verdicts.yhat[0] == 26.0
    assert detector.bands()["reason"][NEW] == Reason.SHORT_HISTORY


@pytest.mark.parametrize("numbers", [(1, 1, 2, 2, 1), (1, 1, 1, 1, 2), (0, 0, 0, 0, 0)])
def test_two_of_its_family_or_none_lend_nothing(numbers: tuple[int, ...]) -> None:
    detector = family_of(*numbers)
    assert np.isnan(judged(detector, 11, (NEW, 26.0)).verdicts.upper[0])
    assert detector.bands()["reason"][NEW] == Reason.NO_HISTORY
    assert np.isnan(detector.bands()["tolerance"][NEW]).all()


@pytest.mark.parametrize("levels", [(-1.7e308, 1.7e308, 1.7e308, 1.7e308), (1.7e308, -1.7e308, -1.7e308, 0.0)])
def test_a_family_further_apart_than_doubles_go_lends_nothing(levels: tuple[float, ...]) -> None:
    detector = family_of(1, 1, 1, 1, 1, levels=levels, every=5)
    assert np.isnan(judged(detector, 11, (NEW, 26.0)).verdicts.upper[0])


def test_a_series_that_takes_the_id_of_another_leaves_its_family() -> None:
    detector = family_of(1, 1, 1, 2, 1)
    detector.rule(np.array([0], np.int32), rules(2))
    assert np.isnan(judged(detector, 11, (NEW, 26.0)).verdicts.upper[0])
