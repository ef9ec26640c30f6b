"""How urgent an episode is: a written rule, so that two people come to the same word.

* critical: in what users feel (requests, errors, durations) a peak of 3 half-widths of the band, or of 2 for an hour;
  elsewhere a peak of 3 that has lasted for 15 minutes; silence that has; a drift that reaches its bound in two days.
* info: muted, or a peak below 1.2 within 15 minutes; a drift only when muted.
* warning: everything else.
"""

from enum import StrEnum

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.telemetry.episode import SILENCE, Drift, Episode
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic


class Severity(StrEnum):
    """In ascending order."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


_FAR, _CLEAR, _SLIGHT = 3.0, 2.0, 1.2
_A_WHILE = 15 * MINUTE
_SOON = 2 * DAY
_FELT = {Statistic.ERROR_RATIO, Statistic.P95, Statistic.P99}


def severity(key: SeriesKey, episode: Episode, now: int) -> Severity:
    """Return how urgent an episode of a series is, or was when it ended."""
    peak = abs(episode.peak_score)
    lasted = (now if episode.end_unix_nano is None else episode.end_unix_nano) - episode.start_unix_nano
    is_felt = key.kind is Kind.SPAN or key.statistic in _FELT
    if episode.drift is not None:
        return _of_drift(episode, episode.drift, now)
    if episode.is_muted(now) or (peak < _SLIGHT and lasted < _A_WHILE):
        return Severity.INFO
    if episode.kind == SILENCE:
        return Severity.CRITICAL if lasted >= _A_WHILE else Severity.WARNING
    if is_felt and (peak >= _FAR or (peak >= _CLEAR and lasted >= HOUR)):
        return Severity.CRITICAL
    return Severity.CRITICAL if peak >= _FAR and lasted >= _A_WHILE else Severity.WARNING


def _of_drift(episode: Episode, drift: Drift, now: int) -> Severity:
    if episode.is_open and drift.reaches_unix_nano is not None and drift.reaches_unix_nano - now <= _SOON:
        return Severity.CRITICAL
    return Severity.INFO if episode.is_muted(now) else Severity.WARNING
