import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.canary import CanaryKind, Subjects, Trial, try_silence, try_values
from collector_processor.detect.detector import Detector
from collector_processor.detect.seed import seed_from_residuals
from collector_processor.telemetry.points import Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import NO_COMPANION, NO_LIMITS, RULE_DTYPE, Direction, Missing, Rules
from tests.detect.columns import all_forecasts

NOW = 19_000 * DAY
SERIES = 4


def level(_series: Int32, time_unix_nano: Int64) -> Float64:
    """Forecast 100 plus a wave of a day, two forecasts alike."""
    wave = 100.0 + 20.0 * np.sin(2 * np.pi * (time_unix_nano % DAY) / DAY)
    return all_forecasts(np.stack([wave, wave], axis=1))


def rules(*, direction: Direction = Direction.BOTH, threshold: float = 1.1, low: float = -np.inf) -> Rules:
    made = np.zeros(SERIES, RULE_DTYPE)
    made["is_modelled"] = True
    made["limits"] = np.array(NO_LIMITS, made["limits"].dtype)
    made["limits"]["low"] = low
    made["threshold"], made["direction"], made["companion"] = threshold, direction, NO_COMPANION
    made["missing"], made["intervals"], made["at_least"] = Missing.AUTO, 5.0, 5 * MINUTE
    made["resource"] = np.arange(SERIES)
    return made


def last_day() -> PointBatch:
    time = np.arange(NOW - DAY, NOW, MINUTE)
    series = np.repeat(np.arange(SERIES, dtype=np.int32), time.size)
    times = np.tile(time, SERIES)
    noise = np.random.default_rng(2).normal(0.0, 1.0, times.size).clip(-3, 3)
    return PointBatch(series, times, level(series, times)[:, 0] + noise)


def live(asked: Rules) -> Detector:
    detector = Detector()
    time = NOW - 21 * DAY + np.arange(0, 21 * DAY, 5 * MINUTE)
    residual = np.random.default_rng(1).normal(0.0, 1.0, (time.size, 2)).clip(-3, 3)
    seeds = [seed_from_residuals(time, all_forecasts(residual), 1.0)] * SERIES
    detector.adopt(np.arange(SERIES, dtype=np.int32), seeds, np.zeros(SERIES, np.uint8))
    detector.rule(np.arange(SERIES, dtype=np.int32), asked)
    points = last_day()
    detector.hear(PointBatch(points.series, points.time_unix_nano - 5 * MINUTE, points.value), NOW - 5 * MINUTE)
    for now in range(NOW - 5 * MINUTE, NOW, MINUTE):
        detector.hear(points.take(points.time_unix_nano == now), now + MINUTE)
    return detector


def subjects(detector: Detector) -> Subjects:
    series = np.arange(SERIES, dtype=np.int32)
    return Subjects(series, detector.shadow(series), np.zeros(SERIES, np.uint8), level, NOW)


def power(trials: list[Trial], kind: CanaryKind, size: float) -> float:
    found = [trial.seconds == trial.seconds for trial in trials if (trial.kind, trial.size) == (kind, size)]
    return sum(found) / len(found)


def test_what_is_three_times_the_usual_largest_error_is_found() -> None:
    trials = try_values(subjects(live(rules())), last_day())
    assert [power(trials, kind, 3.0) for kind in (CanaryKind.SPIKE, CanaryKind.DROP, CanaryKind.SHIFT)] == [1.0] * 3


def test_a_detector_whose_threshold_is_100_finds_nothing() -> None:
    trials = try_values(subjects(live(rules(threshold=100.0))), last_day())
    assert trials
    assert all(np.isnan(trial.seconds) for trial in trials)


def test_a_series_that_people_made_all_but_blind_shows_it() -> None:
    detector = live(rules())
    for series in range(SERIES):
        detector.tune(series, 100.0)
    assert all(np.isnan(trial.seconds) for trial in try_values(subjects(detector), last_day()))


def test_a_drift_takes_longer_to_find_than_a_spike() -> None:
    trials = try_values(subjects(live(rules())), last_day())
    seconds = {kind: [t.seconds for t in trials if (t.kind, t.size) == (kind, 3.0)] for kind in CanaryKind}
    assert max(seconds[CanaryKind.SPIKE]) < 300 < np.nanmin(seconds[CanaryKind.DRIFT])


def test_nothing_is_put_on_the_side_that_nobody_asked_for() -> None:
    trials = try_values(subjects(live(rules(direction=Direction.UP))), last_day())
    assert {trial.kind for trial in trials} == {CanaryKind.SPIKE, CanaryKind.SHIFT, CanaryKind.DRIFT}


def test_a_fall_that_the_bounds_leave_no_room_for_is_not_tried() -> None:
    trials = try_values(subjects(live(rules(low=100.0))), last_day())
    assert CanaryKind.DROP in {trial.kind for trial in try_values(subjects(live(rules(low=0.0))), last_day())}
    assert CanaryKind.DROP not in {trial.kind for trial in trials if trial.size == 3.0}


def test_the_silence_of_a_series_is_found_after_five_of_its_intervals() -> None:
    trials = try_silence(subjects(live(rules())), last_day())
    assert [trial.kind for trial in trials] == [CanaryKind.SILENCE] * SERIES
    assert all(300 <= trial.seconds <= 420 for trial in trials)


def test_silence_is_not_tried_where_it_is_no_news() -> None:
    asked = rules()
    asked["missing"] = Missing.GAP
    assert try_silence(subjects(live(asked)), last_day()) == []


def test_the_live_detector_is_as_if_nothing_had_been_tried() -> None:
    detector = live(rules())
    detector.save()  # what turns once an hour is saved only then
    before = detector.save()
    sample = subjects(detector)
    try_values(sample, last_day())
    try_silence(sample, last_day())
    assert detector.save() == before
    assert detector.open_episodes == 0
