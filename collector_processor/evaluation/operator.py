"""A simulated operator: answers each alarm when it is over, and reports what was missed when that is over.

Labels reach the detector only this way, and only afterwards. What starts in the warm-up is not answered.
"""

from collector_processor.detect.sensitivity import answered
from collector_processor.evaluation.dataset import Event, LabelledSeries
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.feedback import Answer
from collector_processor.telemetry.points import Float64, Int64

_NEVER = 2**62


class Operator:
    """Watches one series; `factor` is what the answers so far come to."""

    def __init__(self, series: LabelledSeries) -> None:
        self._series = series
        scored = [event for event in series.events if event.end_unix_nano >= series.eval_from]
        self._to_come = sorted(scored, key=lambda event: event.last)
        self._started: dict[str, tuple[int, float]] = {}
        self._answered: set[str] = set()
        self.factor = 1.0

    @property
    def waits_until(self) -> int:
        """Return when there is something to look back at."""
        return self._to_come[0].last if self._to_come else _NEVER

    def hear(self, report: Episode) -> None:
        """Take note of an episode, and answer it when it is over for the first time."""
        _, factor = self._started.setdefault(report.episode_id, (report.start_unix_nano, self.factor))
        if report.is_open or report.episode_id in self._answered or report.start_unix_nano < self._series.eval_from:
            return
        self._answered.add(report.episode_id)
        if not any(_finds(report.start_unix_nano, event) for event in self._series.events):
            self.factor = answered(self.factor, Answer.FALSE_ALARM, abs(report.peak_score) * factor)

    def look_back(self, time_unix_nano: Int64, size: Float64) -> None:
        """Report what ended before the last of these times, and was missed.

        `size` `(n,)` are the |scores| of all points so far, as they would be at factor 1; NaN: not scored.
        """
        while self.waits_until < time_unix_nano[-1]:
            event = self._to_come.pop(0)
            if not any(_finds(start, event) for start, _ in self._started.values()):
                within = (time_unix_nano >= event.first) & (time_unix_nano <= event.last) & (size >= 0.0)
                self.factor = answered(self.factor, Answer.MISSED, float(size[within].max(initial=0.0)))


def _finds(start: int, event: Event) -> bool:
    return event.first <= start <= event.last
