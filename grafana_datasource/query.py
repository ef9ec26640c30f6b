"""Turn what a request says into typed values, or say what is wrong with it: all validation happens here.

Times come as ISO-8601 (no zone means UTC), epoch seconds or epoch milliseconds and leave as Unix nanoseconds.
Regular expressions are compiled by RE2 (linear time) and always match the whole text.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import re2
from werkzeug.datastructures import MultiDict

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.errors import InvalidQueryError, TooLargeError
from collector_processor.telemetry.points import Int64

T = TypeVar("T")
Params = MultiDict[str, str]

MILLISECOND = 1_000_000
LONGEST_REGEX = 16_384
_SHORT_REGEX = 256  # characters; may repeat as it likes
_MOST_REPEATS = 32
_REGEX_MEMORY = 1 << 20  # bytes; RE2's own default of 8 MiB takes seconds to fill
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**63 - 1
_UNITS = {"ms": MILLISECOND, "s": NANOS_PER_SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_REPEAT = re.compile(r"[*+?{]")
_STABLE_ID = re.compile(r"[0-9a-f]{16}")


class UnsupportedQueryError(InvalidQueryError):
    """A question that makes sense but is not answered here; the message names the part."""


class FailedQueryError(InvalidQueryError):
    """A well-formed question that has no answer on this data; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    points_per_series: int = 11_000
    series: int = 1_000
    instant_series: int = 10_000
    selected_series: int = 100_000
    samples_read: int = 5_000_000
    samples_returned: int = 1_000_000
    rows: int = 100_000
    seconds: float = 30.0
    label_values: int = 10_000
    targets: int = 100


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`[start, end)` in Unix nanoseconds; never empty."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The times `start + k * step` for k in 0 .. count - 1, in Unix nanoseconds."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        """Return the last time of the grid."""
        return self.start + self.step * (self.count - 1)

    def times(self) -> Int64:
        """Return all times `(count,)`, ascending."""
        return np.arange(self.count, dtype=np.int64) * self.step + self.start

    @classmethod
    def instant(cls, time: int) -> "Grid":
        """Return the grid of one time."""
        return cls(time, NANOS_PER_SECOND, 1)


def range_grid(params: Params, limits: Limits) -> Grid:
    """Read `start`, `end` and `step` of a Prometheus range query.

    Raises:
        InvalidQueryError: if one is missing, malformed, or the range has too many steps.
    """
    start, end = required(params, "start", parse_time), required(params, "end", parse_time)
    step = required(params, "step", parse_step)
    if end < start:
        raise InvalidQueryError(f"end ({params['end']}) is before start ({params['start']})")
    return grid_between(start, end, step, limits)


def timeout(params: Params) -> float | None:
    """Read `timeout` in seconds; None where it is absent."""
    nanos = optional(params, "timeout", parse_step, 0)
    return nanos / NANOS_PER_SECOND if nanos else None


def grid_between(start: int, end: int, step: int, limits: Limits) -> Grid:
    """Return the grid from `start` to at most `end`.

    Raises:
        InvalidQueryError: if it has more points than a series may have.
    """
    count = (end - start) // step + 1
    if count > limits.points_per_series:
        raise InvalidQueryError(
            f"exceeded maximum resolution of {limits.points_per_series:,} points per timeseries: {count:,} asked for. "
            "Try decreasing the query resolution (?step=XX)"
        )
    return Grid(start, step, count)


def time_range(params: Params, now: int, default: int = HOUR) -> TimeRange:
    """Read `from` and `to`; absent means the last `default` nanoseconds until `now`.

    Raises:
        InvalidQueryError: if malformed or `from` is not before `to`.
    """
    end = optional(params, "to", parse_time, now)
    start = optional(params, "from", parse_time, max(0, end - default))
    if start >= end:
        raise InvalidQueryError(f"from ({params.get('from', start)}) must be before to ({params.get('to', end)})")
    return TimeRange(start, end)


def max_points(params: Params, limits: Limits, default: int = 1000) -> int:
    """Read how many points per series the caller wants at most."""
    return optional(params, "max_points", lambda name, text: whole(name, text, 1, limits.points_per_series), default)


def limit(params: Params, largest: int) -> int:
    """Read `limit`; absent or 0 means the largest allowed."""
    asked = optional(params, "limit", lambda name, text: whole(name, text, 0, 2**31), 0)
    return min(asked, largest) if asked else largest


def choice(params: Params, name: str, allowed: Iterable[str], default: str) -> str:
    """Read a parameter that is one of a few words."""
    return _one_of(name, params.get(name) or default, list(allowed))


def choices(params: Params, name: str, allowed: Iterable[str]) -> list[str]:
    """Read a parameter that is some of a few words, separated by commas; empty where it is absent."""
    known = list(allowed)
    return [_one_of(name, text, known) for text in params.get(name, "").split(",") if text]


def stable_ids(params: Params, limits: Limits) -> list[str]:
    """Read series ids, repeated or separated by commas; an empty list means all."""
    texts = [part for text in params.getlist("series") for part in text.split(",") if part]
    if len(texts) > limits.series:
        raise TooLargeError(f"{len(texts)} series asked for, the limit is {limits.series}")
    return [stable_id(text) for text in texts]


def stable_id(text: str) -> str:
    """Check one series id: 16 hexadecimal digits."""
    if not _STABLE_ID.fullmatch(text):
        raise InvalidQueryError(f"series: {text[:64]!r} is no series id (16 hexadecimal digits)")
    return text


def parse_time(name: str, text: str) -> int:
    """Read ISO-8601, epoch seconds (fractions allowed) or epoch milliseconds as Unix nanoseconds."""
    number = _decimal(text)
    time = _from_iso(name, text) if number is None else _from_number(name, text, number)
    if not 0 <= time <= _LATEST:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is outside the years 1970 to 2262")
    return time


def parse_step(name: str, text: str) -> int:
    """Read seconds (`15`, `0.5`) or a duration (`15s`, `1h30m`) as nanoseconds, at least one millisecond."""
    number = _decimal(text)
    if number is not None and number.is_finite() and number.adjusted() < 12:
        step = int(number * NANOS_PER_SECOND)
    else:
        step = parse_duration(name, text)
    if step < MILLISECOND:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is shorter than a millisecond")
    return step


def parse_duration(name: str, text: str) -> int:
    """Read a Prometheus duration like `5m` or `1h30m` as nanoseconds."""
    if len(text) > 32 or not _DURATION.fullmatch(text):
        raise InvalidQueryError(f"{name}: {text[:64]!r} is no duration (like 15s, 5m, 1h30m)")
    total = sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if total > _LATEST:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is too long")
    return total


def whole(name: str, text: str, smallest: int, largest: int) -> int:
    """Read a whole number in `[smallest, largest]`."""
    if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII) or not smallest <= int(text) <= largest:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is no whole number from {smallest} to {largest}")
    return int(text)


def required(params: Params, name: str, parse: Callable[[str, str], T]) -> T:
    """Read a parameter that must be there."""
    text = params.get(name)
    if not text:
        raise InvalidQueryError(f"{name} is missing")
    return parse(name, text)


def optional(params: Params, name: str, parse: Callable[[str, str], T], default: T) -> T:
    """Read a parameter that may be absent or empty."""
    text = params.get(name)
    return parse(name, text) if text else default


def full_match(pattern: str) -> Callable[[str], bool]:
    """Compile a regular expression into a test of the whole text.

    Raises:
        InvalidQueryError: if it is too long, malformed or too large for RE2.
    """
    compiled = regex(pattern)
    return lambda text: compiled.fullmatch(text) is not None


@lru_cache(maxsize=256)
def regex(pattern: str) -> Any:
    """Compile a regular expression by RE2.

    Raises:
        InvalidQueryError: if it is too long, malformed or too large for RE2, or repeats too much for its length.
    """
    if len(pattern) > LONGEST_REGEX:
        raise InvalidQueryError(f"regular expression of {len(pattern)} characters, the limit is {LONGEST_REGEX}")
    repeats = len(_REPEAT.findall(pattern))
    if len(pattern) > _SHORT_REGEX and repeats > _MOST_REPEATS:
        raise InvalidQueryError(
            f"regular expression of {len(pattern)} characters with {repeats} repetitions: "
            f"beyond {_SHORT_REGEX} characters the limit is {_MOST_REPEATS}"
        )
    options = re2.Options()
    options.max_mem = _REGEX_MEMORY
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidQueryError(f"regular expression {pattern!r}: {_reason(error)}") from None


def to_ms(unix_nano: int) -> int:
    """Return milliseconds for the JSON dialects."""
    return unix_nano // MILLISECOND


def _one_of(name: str, text: str, known: list[str]) -> str:
    if text not in known:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is none of {', '.join(known)}")
    return text


def _decimal(text: str) -> Decimal | None:
    if len(text) > 40 or not text.isascii():
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _from_number(name: str, text: str, number: Decimal) -> int:
    """Tell seconds from milliseconds by size: 100 milliard seconds are the year 5138."""
    if not number.is_finite() or number.adjusted() > 18:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is no time")
    return int(number * (NANOS_PER_SECOND if abs(number) < 100_000_000_000 else MILLISECOND))


def _from_iso(name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip()) if len(text) <= 40 else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidQueryError(f"{name}: {text[:64]!r} is no time (ISO-8601, epoch seconds or milliseconds)")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1) * 1000


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "malformed"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
