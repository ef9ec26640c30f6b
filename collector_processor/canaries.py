"""The thread that keeps proving that anomalies would be found: a few shadow copies every five minutes.

What is tried is said in `detect/canary.py`; whose copies, in `SeriesDesk.subjects`: series take turns by their ids. The
figures are those of the last 300 trials of each kind and size. They are kept in the store, for whoever serves it.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from threading import Event, Thread

import numpy as np

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.detect.canary import Subjects, Trial, try_silence, try_values
from collector_processor.store.base import SeriesReader
from collector_processor.telemetry.proof import Power, Proof

log = logging.getLogger(__name__)

EVERY = 300 * NANOS_PER_SECOND
AT_ONCE = 25
"""Series a round: 300 an hour, some 0.2 % of a core, however many there are."""

_KEPT = 300
_JOIN_SECONDS = 5.0


class Canaries:
    """`start` once, `stop` once; `proof` may be read by any thread."""

    def __init__(
        self,
        subjects: Callable[[int], Subjects],
        open_reader: Callable[[], SeriesReader],
        keep: Callable[[Proof], None],
    ) -> None:
        self.proof = Proof()
        self._subjects = subjects
        self._open_reader = open_reader
        self._keep = keep
        self._seconds: dict[tuple[str, float], deque[float]] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run, name="canaries", daemon=True)

    def start(self) -> None:
        """Begin in the background, with the first round after five minutes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon; a round in progress is abandoned."""
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def run_round(self) -> None:
        """Try all anomalies in the next few series and keep what came of it.

        Raises:
            StoreError: if the store cannot be read or written; the next round takes other series.
        """
        subjects = self._subjects(AT_ONCE)
        if not subjects.series.size:
            return
        with closing(self._open_reader()) as reader:
            points = reader.read_points(subjects.series, subjects.now - DAY, subjects.now)
        points = points.take(np.isfinite(points.value))
        self._count([*try_values(subjects, points), *try_silence(subjects, points)])
        self.proof = Proof(subjects.now, tuple(self._powers()))
        self._keep(self.proof)

    def _count(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            kept = self._seconds.setdefault((trial.kind.value, trial.size), deque(maxlen=_KEPT))
            kept.append(trial.seconds)

    def _powers(self) -> list[Power]:
        powers = []
        for (kind, size), kept in self._seconds.items():
            seconds = np.array(kept)
            found = seconds[~np.isnan(seconds)]
            median = float(np.median(found)) if found.size else None
            powers.append(Power(kind, size, seconds.size, found.size, median))
        return powers

    def _run(self) -> None:
        while not self._stop.wait(EVERY / NANOS_PER_SECOND):
            try:
                self.run_round()
            except Exception:
                log.exception("a round of canaries failed; the next one follows in five minutes")
