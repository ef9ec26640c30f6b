"""What the evaluator asks of whoever holds the samples."""

from collections.abc import Sequence
from typing import Protocol

from collector_processor.telemetry.points import Int64
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.samples import Samples
from grafana_datasource.promql.vector import Vector


class Source(Protocol):
    """Samples by selector; times in nanoseconds, possibly before 1970."""

    def instant(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        """Return the newest sample of every meant series at each of ascending times `(n,)`."""
        ...

    def moments(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        """Return the time of that sample instead of its value, in Unix seconds."""
        ...

    def samples(self, matchers: Sequence[Matcher], start: int, end: int) -> Samples:
        """Return every sample of the meant series in `[start, end]`."""
        ...

    def spend(self, samples: int) -> None:
        """Count samples held in memory.

        Raises:
            TooLargeError: past the limit of samples.
            QueryTimeoutError: past the time limit.
        """
        ...
