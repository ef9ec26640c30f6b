"""What becomes of chunks that failed as a whole: halves, quarters, until the series to blame are alone.

Many fits may be tried for one chunk; people are told once, when all of it is settled.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from collector_processor.training.request import Chunk, ChunkOutcome, FitOutcome

_NAMED = 10


@dataclass(slots=True)
class _Whole:
    """A chunk that failed: which of its series are not settled yet, and which could not be fitted."""

    size: int
    reason: str
    open: set[int]
    failed: list[FitOutcome] = field(default_factory=list)


class Retries:
    """Halves that wait for their turn, and what is known of the chunks they came from."""

    def __init__(self) -> None:
        self._waiting: deque[Chunk] = deque()
        self._wholes: dict[int, _Whole] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> Chunk:
        """Return the next chunk to try."""
        return self._waiting.popleft()

    def halve(self, finished: ChunkOutcome) -> None:
        """Have a chunk of at least two series that failed tried again in halves."""
        chunk = finished.chunk
        if chunk[0].series not in self._wholes:
            series = {request.series for request in chunk}
            self._wholes |= dict.fromkeys(series, _Whole(len(chunk), finished.reason, series))
        self._waiting += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]

    def settle(self, outcome: FitOutcome) -> str:
        """Note how one series ended; return a sentence if people should be told something now, else nothing."""
        whole = self._wholes.pop(outcome.request.series, None)
        if whole is None:
            return _sentence([outcome]) if outcome.status.is_failure else ""
        whole.open.discard(outcome.request.series)
        if outcome.status.is_failure:
            whole.failed.append(outcome)
        if whole.open:
            return ""
        told = f"{whole.size} series failed together and were tried in parts ({whole.reason}): "
        return told + (_sentence(whole.failed) if whole.failed else "all were fitted then")


def _sentence(failed: Iterable[FitOutcome]) -> str:
    rows = list(failed)
    named = ", ".join(str(outcome.request.series) for outcome in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"series {named}{more} {'were' if len(rows) > 1 else 'was'} not fitted: {rows[0].status}: {rows[0].reason}"
