import numpy as np

from collector_processor.clock import HOUR
from collector_processor.detect.detector import Detector
from collector_processor.detect.episodes import ADOPTED
from collector_processor.detect.judge import Judgement
from collector_processor.forecast.bands import alert_band
from collector_processor.telemetry.band import LEVEL
from collector_processor.telemetry.episode import FLAPPING_FROM, Episode, Shift
from tests.detect.columns import all_forecasts
from tests.detect.judging import START, adopt, batch, judge, seed, seeded


def test_a_fall_from_ten_thousand_to_four_thousand_is_flagged() -> None:
    detector = Detector()
    adopt(detector, 0, seed(days=14, scale=400.0, std=2500.0))
    judged = judge(detector, batch([0], [5], [4200.0]), np.array([[10250.0, 10100.0]]))
    assert judged.verdicts.anomaly.tolist() == [-1]
    (episode,) = judged.episodes
    assert (episode.direction, episode.actual, episode.yhat) == (-1, 4200.0, 10250.0)


def test_a_series_stays_flagged_and_its_band_never_widens_until_its_episode_ends() -> None:
    detector = seeded()
    verdicts = [judge(detector, batch([0], [5 * k], [120.0])).verdicts for k in range(1, 20)]
    assert [v.anomaly.tolist() for v in verdicts] == [[1]] * 19
    assert max(v.upper.item() for v in verdicts) == verdicts[0].upper.item()
    assert detector.open_episodes == 1


def test_once_its_episode_has_ended_a_repeat_is_quiet() -> None:
    detector = seeded()
    judge(detector, batch([0, 0, 0], [5, 10, 15], [115.0, 120.0, 110.0]))
    judge(detector, batch([0] * 6, [20, 25, 30, 35, 40, 45], [100.0] * 6))
    assert detector.open_episodes == 0
    assert judge(detector, batch([0], [50], [120.0])).verdicts.anomaly.tolist() == [0]
    assert judge(detector, batch([0], [55], [160.0])).verdicts.anomaly.tolist() == [1]


def test_what_an_episode_held_back_survives_a_restart() -> None:
    detector, again = seeded(), Detector()
    (episode,) = judge(detector, batch([0], [5], [120.0])).episodes
    again.load(detector.save(), [episode])
    judge(again, batch([0] * 6, [20, 25, 30, 35, 40, 45], [100.0] * 6))
    assert judge(again, batch([0], [50], [120.0])).verdicts.anomaly.tolist() == [0]


EXPECTED = np.full((1, 2), 100.5)


def out_for_hours() -> tuple[Detector, list[Judgement]]:
    """Judge a day that follows its forecasts, and two and a half hours that do not."""
    detector = Detector()
    detector.scale(np.zeros(1, np.int32), np.array([0.5]))
    for k in range(26 * 12):
        judge(detector, batch([0], [5 * k], [100.0 + k % 2]), EXPECTED)
    return detector, [judge(detector, batch([0], [26 * 60 + 5 * k], [130.0]), EXPECTED) for k in range(30)]


def test_a_series_that_returns_from_an_episode_is_not_flagged_on_the_other_side() -> None:
    detector, outside = out_for_hours()
    assert {int(j.verdicts.anomaly[0]) for j in outside} == {1}
    returned = [judge(detector, batch([0], [28.5 * 60 + 5 * k], [100.0 + k % 2]), EXPECTED) for k in range(24)]
    assert {int(j.verdicts.anomaly[0]) for j in returned} == {0}
    (closed,) = [e for j in returned for e in j.episodes if not e.is_open]
    assert (closed.direction, closed.onsets) == (1, 1)


def test_in_an_episode_the_saved_bands_draw_the_band_that_judges() -> None:
    detector, _ = out_for_hours()
    state = detector.bands()
    judged = judge(detector, batch([0], [28.5 * 60], [130.0]), EXPECTED).verdicts
    forecasts = all_forecasts(EXPECTED)
    forecasts[:, LEVEL] = state["level"]
    drawn = alert_band(forecasts, state["tolerance"], state["threshold"])
    np.testing.assert_allclose([drawn.lower, drawn.upper], [judged.lower, judged.upper], rtol=1e-13)


def test_the_level_is_judged_by_once_it_is_known_for_a_day_and_what_stays_is_adopted_after_eight_hours() -> None:
    detector = seeded()
    for k in range(26 * 12):
        judge(detector, batch([0], [5 * k], [100.0 + k % 2]))
    assert np.isfinite(detector.bands()["tolerance"][0]).tolist() == [True, True, False, True]
    assert detector.bands()["level"][0] == 100.5
    episodes = [judge(detector, batch([0], [26 * 60 + 5 * k], [130.0 + k % 2])).episodes for k in range(9 * 12)]
    first, *_, last = [episode for changed in episodes for episode in changed]
    assert first.is_open
    assert (last.close_reason, last.end_unix_nano) == (ADOPTED, START + 34 * HOUR)
    assert last.shift == Shift(before=100.0, after=130.5, adopted_unix_nano=START + 34 * HOUR)


def test_what_comes_and_goes_and_grows_is_one_episode_that_stays_open() -> None:
    detector, reports, at = seeded(), list[Episode](), 0.0
    for k in range(8):
        for value in [120.0 * 1.4**k] * 2 + [100.0] * 5:
            at += 5
            reports += judge(detector, batch([0], [at], [value])).episodes
    assert len({e.episode_id for e in reports}) == 1
    assert reports[-1].is_flapping
    assert sum(not e.is_open for e in reports) == FLAPPING_FROM - 1
    for _ in range(13):
        at += 5
        reports += judge(detector, batch([0], [at], [100.0])).episodes
    assert not reports[-1].is_open
