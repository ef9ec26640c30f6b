"""When an episode alerts: while it is open, but for the time in which it is muted."""

from dataclasses import dataclass, field

from collector_processor.telemetry.episode import MUTED_AFTER, Episode


@dataclass(slots=True)
class Alarms:
    """The spans of one episode, start and end, out of its reports in order of time.

    One that goes on after its end is one alarm; one that becomes worse after it was muted alerts again.
    """

    spans: list[tuple[int, int]] = field(default_factory=list)
    _onsets: int = 0
    _worsened: int = 0

    def take(self, report: Episode) -> None:
        """Go on with the last span, or begin another."""
        end = report.last_unix_nano if report.end_unix_nano is None else report.end_unix_nano
        end = min(end, report.worsened_unix_nano + MUTED_AFTER)
        if not self.spans:
            self.spans.append((report.start_unix_nano, end))
        elif report.onsets == self._onsets and report.worsened_unix_nano >= self._worsened + MUTED_AFTER:
            self.spans.append((report.worsened_unix_nano, end))
        else:
            self.spans[-1] = (self.spans[-1][0], end)
        self._onsets, self._worsened = report.onsets, report.worsened_unix_nano
