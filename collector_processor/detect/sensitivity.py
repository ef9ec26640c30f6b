"""How answers of people move the sensitivity of a series: one number, a factor of its threshold.

* False alarm or expected: the factor rises until the same would be 20 % short of an alarm, by half of itself at most.
* Missed: it falls until the same would just be flagged, by a third of itself at most.
* Confirmed: it stays.

It never leaves 0.4 to 3. All answers in their order give the factor, so one that is taken back never was. One answer is
one opinion, hence the steps. Developed on recorded series with simulated answers (`foreband evaluate --feedback`): with
a fall by a fifth at most F1 is .02 less, and rules that also count quiet days are worse.
"""

from collections.abc import Sequence

from collector_processor.telemetry.feedback import Answer, Feedback

LEAST, MOST = 0.4, 3.0
_SHORT_OF_AN_ALARM, _JUST_FLAGGED = 1.2, 0.98
_RISE, _FALL = 1.5, 1.5


def answered(factor: float, answer: Answer, score: float) -> float:
    """Return the factor after an answer about a `score`, as it would be at factor 1; 0 where nothing was scored."""
    match answer:
        case Answer.FALSE_ALARM | Answer.EXPECTED:
            moved = max(factor, min(score * _SHORT_OF_AN_ALARM, factor * _RISE))
        case Answer.MISSED if score > 0.0:
            moved = min(factor, max(score * _JUST_FLAGGED, factor / _FALL))
        case _:
            moved = factor
    return min(max(moved, LEAST), MOST)


def factor_of(history: Sequence[Feedback], until: int | None = None) -> float:
    """Return the factor that the answers to one series come to, in order of time; `until` leaves out later ones."""
    factor = 1.0
    for feedback in history:
        if feedback.undone_unix_nano is None and (until is None or feedback.given_unix_nano < until):
            factor = answered(factor, feedback.answer, feedback.score)
    return factor
