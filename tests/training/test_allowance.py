from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.training.allowance import CpuAllowance

SECOND = NANOS_PER_SECOND


def test_a_minutes_share_may_be_used_at_once() -> None:
    allowance = CpuAllowance(0.5, now=0)
    allowance.use(29.9)
    assert allowance.has_any(0)
    allowance.use(0.1)
    assert not allowance.has_any(0)


def test_whoever_used_too_much_waits_until_it_is_made_up_for() -> None:
    allowance = CpuAllowance(0.5, now=0)
    allowance.use(35.0)
    assert not allowance.has_any(10 * SECOND)
    assert allowance.has_any(10 * SECOND + 1)


def test_a_long_rest_saves_up_no_more_than_a_minute() -> None:
    allowance = CpuAllowance(0.5, now=0)
    assert allowance.has_any(60 * MINUTE)
    allowance.use(30.0)
    assert not allowance.has_any(60 * MINUTE)


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.floats(0.0, 5.0)), max_size=200))
def test_over_any_time_no_more_is_used_than_its_share_a_minute_saved_up_and_the_last_fit(
    steps: list[tuple[int, float]],
) -> None:
    allowance, now, last = CpuAllowance(0.25, now=0), 0, 0.0
    for pause, seconds in steps:
        now += pause
        if allowance.has_any(now):
            allowance.use(seconds)
            last = max(last, seconds)
    assert allowance.used_seconds <= 0.25 * (now / SECOND + 60.0) + last + 1e-6
