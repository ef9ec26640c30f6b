"""What people answered to episodes, and what it did to the sensitivity of their series."""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What an operator says of an episode, or of a stretch of time without one."""

    EXPECTED = "expected"  # unusual, and known beforehand
    FALSE_ALARM = "false_alarm"
    CONFIRMED = "confirmed"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said: an answer to an episode, or a series and a range `[start, end)` in which one was missed."""

    answer: Answer
    by: str
    episode_id: str = ""
    series: int = -1
    start_unix_nano: int = 0
    end_unix_nano: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """One answer. `factor_before` and `factor_after` multiply the threshold of its series.

    `score` is the largest |score| in `[start, end)`, in half-widths of the band as it would be at factor 1: scores
    given at different times can be compared. `episode_id` is empty for what was missed. One that was taken back has
    `undone_unix_nano`; it stays in the history and counts no more.
    """

    feedback_id: str
    series: int
    answer: Answer
    episode_id: str
    start_unix_nano: int
    end_unix_nano: int
    score: float
    given_unix_nano: int
    given_by: str
    factor_before: float
    factor_after: float
    undone_unix_nano: int | None = None
    undone_by: str = ""
