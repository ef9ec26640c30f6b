from dataclasses import fields

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.detector import Detector
from collector_processor.detect.judge import Judgement
from collector_processor.detect.known import blob_names, is_blob_name
from collector_processor.detect.seed import seed_from_residuals
from collector_processor.forecast.bands import alert_band
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from tests.detect.columns import all_forecasts
from tests.detect.judging import NAN, START, adopt, assert_same, batch, judge, seed, seeded, state


def test_what_is_flagged_lies_outside_the_drawn_band_and_only_that() -> None:
    detector, rng = seeded(50), np.random.default_rng(2)
    flagged = 0
    for k in range(200):
        points = PointBatch(
            np.arange(50, dtype=np.int32), np.full(50, START + k * 5 * MINUTE), 100.0 + 1.5 * rng.standard_t(3, 50)
        )
        v = judge(detector, points).verdicts
        outside = (points.value > v.upper) | (points.value < v.lower)
        np.testing.assert_array_equal(v.anomaly != 0, outside)
        np.testing.assert_array_equal(np.abs(v.score) > 1.0, outside)
        flagged += int(outside.sum())
    assert flagged > 0


def test_stationary_noise_raises_hardly_any_alarm() -> None:
    detector, rng = Detector(), np.random.default_rng(3)
    weeks, series, starts = 3, 80, 0
    everyone = np.arange(series, dtype=np.int32)
    for k in range(weeks * 7 * 24):
        points = PointBatch(everyone, np.full(series, START + k * HOUR), 100.0 + rng.normal(size=series))
        starts += sum(e.start_unix_nano == e.last_unix_nano for e in judge(detector, points).episodes)
    assert 0 < starts / (series * weeks) < 0.35


def test_without_calibration_nothing_is_flagged_for_a_day() -> None:
    detector, rng = Detector(), np.random.default_rng(4)
    for k in range(24 * 12):
        value = 100.0 + rng.normal() + (500.0 if k == 200 else 0.0)
        judged = judge(detector, batch([0], [5.0 * k], [value]))
        assert judged.verdicts.anomaly.tolist() == [0]
        assert judged.episodes == []
    assert judged.verdicts.score[0] != 0.0
    assert detector.bands()["reason"][0] == Reason.SHORT_HISTORY
    judge(detector, batch([0], [24 * 60.0], [100.0]))
    assert detector.bands()["reason"][0] == Reason.NONE


def test_the_first_point_of_a_series_is_learned_although_it_cannot_be_judged() -> None:
    detector = Detector()
    first = judge(detector, batch([0], [0], [103.0]))
    assert_same(first.verdicts, VerdictBatch.absent(1))
    second = judge(detector, batch([0], [5], [103.0])).verdicts
    assert second.upper[0] >= 103.0
    assert second.anomaly[0] == 0


def test_points_without_a_forecast_pass_through() -> None:
    detector = seeded()
    forecasts = np.array([[NAN, NAN], [100.0, 100.0], [NAN, NAN]])
    judged = judge(detector, batch([5, 0, 0], [5, 5, 10], [1.0, 500.0, 500.0]), forecasts)
    assert judged.verdicts.anomaly.tolist() == [0, 1, 0]
    assert np.isnan(judged.verdicts.score).tolist() == [True, False, True]


def test_a_batch_in_any_order_gives_what_point_by_point_gives() -> None:
    rng = np.random.default_rng(5)
    series = np.repeat(np.arange(4), 30)
    minutes = np.tile(np.arange(30) * 5.0, 4)
    points = batch(series.tolist(), minutes.tolist(), (100.0 + rng.standard_t(2, 120) * 2.0).tolist())
    shuffled = rng.permutation(120)
    together = judge(seeded(4), points.take(shuffled))
    one_by_one = seeded(4)
    rows = [judge(one_by_one, points.take(np.array([i]))) for i in range(120)]
    for field in fields(VerdictBatch):
        expected = np.concatenate([getattr(row.verdicts, field.name) for row in rows])
        np.testing.assert_array_equal(getattr(together.verdicts, field.name), expected[shuffled])
    final = {e.episode_id: e for row in rows for e in row.episodes}
    assert final
    assert {e.episode_id: e for e in together.episodes} == final


def test_a_late_point_is_judged_but_changes_nothing() -> None:
    detector = seeded()
    judge(detector, batch([0], [60], [100.0]))
    before = state(detector)
    late = judge(detector, batch([0, 0], [30, 60], [900.0, 900.0]))
    assert late.verdicts.anomaly.tolist() == [1, 1]
    assert late.episodes == []
    assert detector.save() == before


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_never_learned_from(value: float) -> None:
    detector, other = seeded(), seeded()
    judged = judge(detector, batch([0], [5], [value]))
    assert np.isnan(judged.verdicts.score[0])
    assert np.isfinite(judged.verdicts.upper[0])
    for room in (detector, other):
        judge(room, batch([0], [10], [100.0]))
    assert detector.save() == other.save()


def test_asking_what_is_expected_learns_nothing() -> None:
    detector = seeded()
    judge(detector, batch([0], [5], [100.0]))
    before = state(detector)
    expected = detector.expected(np.array([0], np.int32), all_forecasts(np.full((1, 2), 100.0)), np.zeros(1, np.uint8))
    assert np.isfinite(expected.upper[0])
    assert detector.save() == before


def test_the_saved_bands_draw_the_band_that_judges() -> None:
    detector = seeded()
    judge(detector, batch([0], [5], [104.0]))
    state = detector.bands()
    judged = judge(detector, batch([0], [10], [100.0])).verdicts
    drawn = alert_band(all_forecasts(np.full((1, 2), 100.0)), state["tolerance"], state["threshold"])
    np.testing.assert_allclose([drawn.lower, drawn.upper], [judged.lower, judged.upper], rtol=1e-13)


def test_the_band_narrows_with_days_of_calibration() -> None:
    wide = {}
    for days in (1, 3, 11):  # one day less a step is complete
        detector = Detector()
        adopt(detector, 0, seed(days=days, scale=0.0))
        wide[days] = float(detector.bands()["tolerance"][0, 0])
    assert wide == pytest.approx({1: 0.3 * 2.5, 3: 0.3 * (1 + 1.5 / 2**1.5), 11: 0.3 * (1 + 1.5 / 10**1.5)})


def test_a_second_value_in_a_row_needs_less_than_one_alone() -> None:
    detector, alone = seeded(), seeded()
    edge = float(alone.bands()["threshold"][0] * alone.bands()["tolerance"][0, 0])
    judged = judge(alone, batch([0, 0], [5, 10], [100.0 + 0.1 * edge, 100.0 + 0.9 * edge]))
    assert judged.verdicts.anomaly.tolist() == [0, 0]
    judged = judge(detector, batch([0, 0], [5, 10], [100.0 + 0.55 * edge, 100.0 + 0.9 * edge]))
    assert judged.verdicts.anomaly.tolist() == [0, 1]


def test_reasons_come_in_order_of_weight() -> None:
    detector = seeded(4)
    detector.grow(6)
    detector.mark(np.array([1, 5], np.int32), Reason.FIT_FAILED)
    detector.mark(np.array([2], np.int32), Reason.NOT_MODELLED)
    judge(detector, batch([3], [5], [100.0]), np.array([[100.0, 900.0]]))
    bands = detector.bands()
    assert [Reason(r) for r in bands["reason"]] == [
        Reason.NONE,
        Reason.FIT_FAILED,
        Reason.NOT_MODELLED,
        Reason.FORECASTS_DISAGREE,
        Reason.NO_HISTORY,
        Reason.NO_HISTORY,
    ]
    assert bands["state"].tolist() == [1, 2, 0, 2, 0, 0]
    detector.mark(np.array([1], np.int32), Reason.NONE)
    assert detector.bands()["reason"][1] == Reason.NONE


def test_a_restart_continues_exactly_where_it_stopped() -> None:
    rng = np.random.default_rng(6)
    live = seeded(3)
    rows: dict[str, Episode] = {}

    def feed(detector: Detector, k: int, values: Float64) -> Judgement:
        return judge(detector, batch([0, 1, 2], [5.0 * k] * 3, values.tolist()))

    for k in range(1, 60):
        values = 100.0 + rng.normal(size=3) + (np.array([30.0, 0.0, 0.0]) if k > 55 else 0.0)
        rows |= {e.episode_id: e for e in feed(live, k, values).episodes}
    restarted = Detector()
    assert restarted.load(live.save(), [e for e in rows.values() if e.is_open]) == []
    assert restarted.open_episodes == 1
    assert restarted.bands().tobytes() == live.bands().tobytes()
    for k in range(60, 90):
        values = 100.0 + rng.normal(size=3)
        a, b = feed(live, k, values), feed(restarted, k, values)
        assert_same(a.verdicts, b.verdicts)
        assert [e.is_open for e in a.episodes] == [e.is_open for e in b.episodes]
    assert restarted.open_episodes == live.open_episodes == 0


def test_state_of_an_unknown_version_starts_afresh_and_says_so() -> None:
    live = seeded(2)
    (name,) = blob_names(2)
    blobs = live.save()
    for damaged, blob in blobs.items():
        for broken in (b"", b"something else", blob[:-5], blob.replace(b'"version": 5', b'"version": 9')):
            restarted = Detector()
            (problem,) = restarted.load(blobs | {damaged: broken}, [])
            assert name in problem
            assert len(restarted) == 0


def test_what_turns_once_an_hour_is_saved_once_an_hour_and_fits_what_is_saved_more_often() -> None:
    live = seeded(2)
    stored = live.save()
    has_rings = []
    for minutes in range(5, 200, 5):
        judge(live, batch([0, 1], [minutes, minutes], [100.0 + minutes / 100, 100.5]))
        saved = live.save()
        has_rings.append(len(saved) == 2)
        stored |= saved
        restarted = Detector()
        assert restarted.load(stored, []) == []
        assert restarted.save() == stored
    hours = {(START + minutes * MINUTE) // HOUR for minutes in range(5, 200, 5)}
    assert sum(has_rings) == len(hours)


def test_rings_beside_the_state_of_another_number_of_series_are_refused() -> None:
    live = seeded(1)
    (rings,) = live.save().keys() - set(blob_names(1))
    before = seeded(1).save()[rings]
    judge(live, batch([0, 1], [5, 5], [100.0, 100.0]))
    (problem,) = Detector().load(live.save() | {rings: before}, [])
    assert "rings of 1 series beside the state of 2" in problem


def test_blobs_can_be_saved_one_at_a_time() -> None:
    detector = Detector()
    detector.grow(1_100)
    names = blob_names(1_100)
    assert len(names) == 3
    stored = detector.save(names[1:2])
    assert [name for name in stored if is_blob_name(name)] == names[1:2]
    restarted = Detector()
    assert restarted.load(stored | detector.save(), []) == []
    assert len(restarted) == 1_100


def test_seeds_taken_together_are_as_taken_one_by_one() -> None:
    together, one_by_one = Detector(), Detector()
    seeds = [seed(days=days, scale=days, end=START + days * HOUR) for days in (1, 3, 5, 20)]
    series, winner = np.array([4, 0, 2, 1], np.int32), np.array([0, 1, 1, 0], np.uint8)
    for detector in (together, one_by_one):
        judge(detector, batch([0, 1, 1], [5, 5, 65], [103.0, 99.0, 100.5]))
    together.adopt(series, seeds, winner)
    for i in range(4):
        one_by_one.adopt(series[i : i + 1], seeds[i : i + 1], winner[i : i + 1])
    assert together.save() == one_by_one.save()
    assert len(set(together.bands()["tolerance"][[0, 1, 2, 4], 0].tolist())) == 4


def test_growing_keeps_what_is_known() -> None:
    detector = seeded(2)
    before = detector.bands()
    detector.grow(5000)
    after = detector.bands()
    assert after[:2].tobytes() == before.tobytes()
    assert set(after["reason"][2:].tolist()) == {Reason.NO_HISTORY}
    assert np.isnan(after["tolerance"][2:]).all()


def test_a_constant_series_with_exact_forecasts_is_quiet_until_it_changes() -> None:
    detector = Detector()
    time = START - 3 * DAY + np.arange(0, 3 * DAY, HOUR)
    adopt(detector, 0, seed_from_residuals(time, all_forecasts(np.zeros((time.size, 2))), std=0.0))
    value = 0.1 + 0.2  # one rounding away from the forecast
    quiet = judge(detector, batch([0], [5], [value]), np.full((1, 2), 0.3))
    assert quiet.verdicts.anomaly.tolist() == [0]
    changed = judge(detector, batch([0], [10], [0.3001]), np.full((1, 2), 0.3))
    assert changed.verdicts.anomaly.tolist() == [1]


def test_an_empty_batch_is_judged_to_nothing() -> None:
    judged = judge(Detector(), PointBatch.empty())
    assert len(judged.verdicts) == 0
    assert judged.episodes == []


def test_the_arguments_are_left_as_they_were() -> None:
    detector, points = seeded(), batch([0, 0], [10, 5], [500.0, 100.0])
    forecasts = np.full((2, 2), 100.0)
    judge(detector, points, forecasts)
    assert points.value.tolist() == [500.0, 100.0]
    assert (forecasts == 100.0).all()


def test_a_new_model_says_how_large_the_series_varies() -> None:
    detector = Detector()
    adopt(detector, 0, seed(std=0.0))
    before, wider = detector.bands()["tolerance"][0], 1 + 1.5 / 6**1.5
    detector.scale(np.array([0], np.int32), np.array([10.0]))
    assert detector.bands()["tolerance"][0] - before == pytest.approx([3.0 * wider, 3.0 * wider, NAN, NAN], nan_ok=True)
    detector.scale(np.array([0], np.int32), np.array([np.nan]))
    assert detector.bands()["tolerance"][0] - before == pytest.approx([3.0 * wider, 3.0 * wider, NAN, NAN], nan_ok=True)


def test_a_series_without_a_model_has_a_band_of_its_own_level_and_a_day_later_is_judged_by_it() -> None:
    detector, rng, seen = Detector(), np.random.default_rng(5), []
    for k in range(25 * 12):
        points = batch([0], [5.0 * k], [100.0 + rng.normal()])
        judged = judge(detector, points, np.full((1, 2), NAN))
        state = detector.bands()[0]
        seen.append((int(state["reason"]), bool(np.isfinite(judged.verdicts.upper[0]))))
    assert seen[0] == (Reason.NO_HISTORY, False)
    assert seen[3] == (Reason.SHORT_HISTORY, True)
    assert seen[-1] == (Reason.NONE, True)
    late = judge(detector, batch([0], [25 * 60.0], [140.0]), np.full((1, 2), NAN))
    assert late.verdicts.anomaly.tolist() == [1]
