from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import HOUR, MINUTE
from collector_processor.errors import InvalidQueryError
from grafana_datasource.query import (
    Grid,
    Limits,
    Params,
    full_match,
    parse_step,
    parse_time,
    range_grid,
    time_range,
)

INSTANT = 1_767_225_600_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        "2026-01-01T01:00:00+01:00",
        "2025-12-31 19:00:00-05:00",
        "1767225600",
        "1767225600.0",
        "1767225600000",
        "1.7672256e9",
    ],
)
def test_all_spellings_of_a_moment_are_one_moment(text: str) -> None:
    assert parse_time("from", text) == INSTANT


def test_both_hours_of_a_clock_change_are_told_apart_by_their_offset() -> None:
    summer = parse_time("from", "2026-10-25T02:30:00+02:00")
    assert parse_time("from", "2026-10-25T02:30:00+01:00") - summer == HOUR


def test_milliseconds_survive() -> None:
    assert parse_time("time", "1767225600.123") == INSTANT + 123_000_000
    assert parse_time("time", "1767225600123") == INSTANT + 123_000_000


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "-1", "1e400", "1e30", "2400-01-01", "٣", "9" * 1000])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidQueryError, match="from"):
        parse_time("from", text)


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(InvalidQueryError):
        assert 0 <= parse_time("from", text) < 2**63


@pytest.mark.parametrize(
    ("text", "step"), [("15", 15 * 10**9), ("0.5", 5 * 10**8), ("1m", MINUTE), ("1h30m", 90 * MINUTE), ("1ms", 10**6)]
)
def test_steps_are_seconds_or_durations(text: str, step: int) -> None:
    assert parse_step("step", text) == step


@pytest.mark.parametrize("text", ["0", "-1", "0.0001", "0s", "5x", "m", "nan", "1e99", "1" * 31 + "y"])
def test_steps_are_positive_and_finite(text: str) -> None:
    with pytest.raises(InvalidQueryError, match="step"):
        parse_step("step", text)


def grid_of(start: str, end: str, step: str) -> Grid:
    return range_grid(Params({"start": start, "end": end, "step": step}), Limits())


def test_a_grid_may_have_eleven_thousand_points_and_not_one_more() -> None:
    assert grid_of("0", "10999", "1").count == 11_000
    with pytest.raises(InvalidQueryError, match="11,001 asked for"):
        grid_of("0", "11000", "1")


def test_a_grid_ends_at_or_before_the_end_asked_for() -> None:
    assert grid_of("100", "159", "15").times().tolist() == [t * 10**9 for t in (100, 115, 130, 145)]
    assert grid_of("100", "100", "15").count == 1
    with pytest.raises(InvalidQueryError, match="before"):
        grid_of("100", "99", "15")


def test_rows_need_from_before_to() -> None:
    with pytest.raises(InvalidQueryError, match="must be before"):
        time_range(Params({"from": "5", "to": "5"}), INSTANT)
    span = time_range(Params(), INSTANT)
    assert (span.start, span.end) == (INSTANT - HOUR, INSTANT)


def test_patterns_match_whole_texts_in_linear_time() -> None:
    assert full_match("a|b")("a")
    assert not full_match("a|b")("ab")
    assert full_match("(?i).*CPU.*")("system_cpu")
    assert full_match(".*")("two\nlines")
    assert not full_match("(a+)+$")("a" * 5000 + "b")


def test_a_variable_with_very_many_values_is_one_pattern() -> None:
    pods = [f"checkout-{i:04d}" for i in range(1000)]
    assert full_match(f"({'|'.join(pods)})")("checkout-0999")


@pytest.mark.parametrize(
    "pattern", ["(", "a{0,100000}", "[z-a]", r"(?<=a)b", r"\1", "x" * 16_385, "a*b" * 100, ".{0,999}" * 32]
)
def test_patterns_re2_cannot_promise_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidQueryError, match="regular expression"):
        full_match(pattern)
