import numpy as np
import pytest

from collector_processor.clock import DAY
from collector_processor.detect.days import WEEK
from collector_processor.detect.drift import LEVELLED_OFF, TIMEOUT, Drifts
from collector_processor.telemetry.episode import DRIFT, Episode
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.rule import NO_LIMITS, RULE_DTYPE, Direction, Rules

START = 19_000 * DAY
WEEKS = 4
EIGHT_WEEKS = np.arange(56)


def no_rules(n: int) -> Rules:
    rules = np.zeros(n, RULE_DTYPE)
    rules["limits"] = np.array(NO_LIMITS, rules["limits"].dtype)
    return rules


def run(
    days: Float64, rules: Rules | None = None, *, drifts: Drifts | None = None, is_busy: bool = False
) -> list[Episode]:
    """Look at the days `(n, d)` of n series one by one; return all reports."""
    n = len(days)
    drifts = Drifts() if drifts is None else drifts
    drifts.grow(n)
    known = np.concatenate([np.full((n, 42), np.nan), days], axis=1)
    reports = []
    for d in range(days.shape[1]):
        window = known[:, d + 1 : d + 43]
        weekly = window[:, WEEK:] - window[:, :-WEEK]
        time = np.full(n, START + (d + 1) * DAY)
        busy = np.full(n, is_busy)
        ids = np.arange(n, dtype=np.int32)
        reports += drifts.look(ids, time, days[:, d], weekly, no_rules(n) if rules is None else rules, busy)
    return reports


def noisy(n: int, days: int, seed: int = 1) -> Float64:
    return np.random.default_rng(seed).normal(100.0, 1.0, (n, days))


def leak(pace: float, days: int = 14, after: int = 0) -> Float64:
    """Four quiet weeks, a rise by so much a day, and the level where it ended."""
    rise = np.concatenate([np.zeros(7 * WEEKS), pace * np.arange(1, days + 1), np.full(after, pace * days)])
    return np.asarray(noisy(1, rise.size) + rise)


def starts(reports: list[Episode]) -> dict[str, int]:
    """Return the day of the leak on which each episode was told of."""
    return {e.episode_id: (e.start_unix_nano - START) // DAY - 7 * WEEKS for e in reports}


def test_a_leak_is_told_of_within_days() -> None:
    reports = run(leak(2.0))
    (day,) = starts(reports).values()
    assert 4 <= day <= 8
    first = reports[0]
    assert (first.kind, first.direction, first.is_open) == (DRIFT, 1, True)
    assert first.drift is not None
    assert first.drift.per_day == pytest.approx(2.0, rel=0.3)
    assert abs((first.drift.since_unix_nano - START) / DAY - 7 * WEEKS) <= 2


def test_a_fall_is_a_drift_downwards() -> None:
    first = run(leak(-2.0))[0]
    assert first.direction == -1
    assert first.drift is not None
    assert first.drift.per_day < 0.0


@pytest.mark.parametrize(
    "shape",
    [0.0 * EIGHT_WEEKS, 30.0 * (EIGHT_WEEKS % 7 >= 5), 0.4 * EIGHT_WEEKS, 20.0 * (EIGHT_WEEKS >= 30)],
    ids=["noise", "season of the week", "even growth", "step"],
)
def test_what_is_no_drift_is_told_of_in_one_of_four_hundred_weeks_at_most(shape: Float64) -> None:
    assert len(starts(run(noisy(200, 56) + shape))) <= 200 * 8 / 400


def test_days_far_from_all_others_are_no_drift() -> None:
    assert run(noisy(50, 56) + 50.0 * (EIGHT_WEEKS % 20 == 10)) == []


def test_random_walks_are_told_of_in_one_of_thirty_weeks_at_most() -> None:
    walks = np.cumsum(np.random.default_rng(2).normal(size=(300, 56)), axis=1)
    assert 0 < len(starts(run(walks))) <= 300 * 8 / 30


def test_one_of_eight_steps_is_mistaken_for_a_drift_at_most() -> None:
    assert len(starts(run(noisy(300, 56) + 7.0 * (EIGHT_WEEKS >= 30)))) <= 300 / 8


def test_three_weeks_of_history_are_needed() -> None:
    assert run(noisy(1, 14)[:, :13] + 5.0 * np.arange(13)) == []
    assert run(np.tile(noisy(1, 6), 3) + 5.0 * np.maximum(np.arange(18) - 11, 0)) == []


def test_it_ends_when_the_series_levels_off() -> None:
    last = run(leak(2.0, days=9, after=12))[-1]
    assert last.close_reason == LEVELLED_OFF
    assert last.end_unix_nano is not None
    assert last.drift is not None
    assert last.drift.per_day == pytest.approx(2.0, rel=0.3)


def test_a_leak_without_end_is_known_after_two_weeks_and_not_told_of_again() -> None:
    reports = run(leak(2.0, days=40))
    assert len(starts(reports)) == 1
    assert reports[-1].close_reason == TIMEOUT
    assert reports[-1].end_unix_nano == reports[-1].start_unix_nano + 14 * DAY


def test_a_policy_of_the_other_direction_hears_nothing() -> None:
    rules = no_rules(1)
    rules["direction"] = Direction.DOWN
    assert run(leak(2.0), rules) == []
    assert run(leak(-2.0), rules) != []


def test_a_deviation_that_a_policy_never_flags_is_no_drift() -> None:
    rules = no_rules(1)
    rules["limits"]["least"] = 50.0
    assert run(leak(2.0), rules) == []


def test_it_says_when_the_bound_ahead_is_reached() -> None:
    rules = no_rules(1)
    rules["limits"]["high"] = 200.0
    episode = run(leak(2.0), rules)[-1]
    assert episode.drift is not None
    assert episode.drift.reaches_unix_nano is not None
    assert (episode.drift.reaches_unix_nano - START) / DAY == pytest.approx(7 * WEEKS + 50, abs=8)


def test_nothing_opens_while_another_episode_is_open() -> None:
    assert run(leak(2.0), is_busy=True) == []


def test_missing_days_end_nothing_but_three_of_them_do() -> None:
    drifts, days = Drifts(), leak(2.0, days=9)
    gap = np.concatenate([days, np.full((1, 2), np.nan)], axis=1)
    reports = run(gap, drifts=drifts)
    assert reports[-1].is_open
    assert drifts.expire(reports[-1].last_unix_nano + 3 * DAY - 1) == []
    (closed,) = drifts.expire(reports[-1].last_unix_nano + 3 * DAY)
    assert closed.close_reason == TIMEOUT


def test_the_store_decides_which_drifts_are_open() -> None:
    drifts, again = Drifts(), Drifts()
    open_one = run(leak(2.0, days=9), drifts=drifts)[-1]
    again.grow(1)
    again.restore([open_one])
    (closed,) = again.expire(open_one.last_unix_nano + 5 * DAY)
    assert closed == drifts.expire(open_one.last_unix_nano + 5 * DAY)[0]
    again.restore([])
    assert again.expire(2**62) == []
