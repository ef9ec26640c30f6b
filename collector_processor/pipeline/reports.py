"""What the fast path leaves for whoever looks for incidents: episodes that changed, and who is strained.

Nothing of it is durable: episodes are stored anyway, strain is judged anew. What nobody takes is bounded.
"""

from collections import deque
from collections.abc import Sequence

from collector_processor.detect.strain import STRAINED
from collector_processor.detect.strain import Strain as Strained
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.strain import Strain
from collector_processor.telemetry.verdict import VerdictBatch

MOST = 50_000
"""Of each kind; the newest are kept."""


class Reports:
    """Left by one thread, taken by one other."""

    def __init__(self) -> None:
        self._episodes: deque[tuple[SeriesKey, Episode]] = deque(maxlen=MOST)
        self._strains: deque[Strain] = deque(maxlen=MOST)
        self._strained = Strained()

    def leave(
        self, episodes: Sequence[Episode], points: PointBatch, verdicts: VerdictBatch, keys: Sequence[SeriesKey]
    ) -> None:
        """Take note of a batch that is durable; `keys` are by series id."""
        self._episodes.extend((keys[episode.series], episode) for episode in episodes)
        rows = self._strained.changed(points.series, verdicts.score)
        if rows.size:
            columns = (points.series[rows], points.time_unix_nano[rows], verdicts.score[rows])
            self._strains.extend(
                Strain(series, keys[series], time, score, abs(score) >= STRAINED)
                for series, time, score in zip(*(column.tolist() for column in columns), strict=True)
            )

    def take_episodes(self) -> list[tuple[SeriesKey, Episode]]:
        """Return the episodes that changed since the last call, in order."""
        return [self._episodes.popleft() for _ in range(len(self._episodes))]

    def take_strains(self) -> list[Strain]:
        """Return what became strained, or calm, since the last call, in order."""
        return [self._strains.popleft() for _ in range(len(self._strains))]
