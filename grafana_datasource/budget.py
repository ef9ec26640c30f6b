"""What one request may still cost: samples read and time."""

from dataclasses import dataclass

from collector_processor.clock import NANOS_PER_SECOND, Clock
from collector_processor.errors import RetryableError, TooLargeError
from grafana_datasource.query import Limits


class QueryTimeoutError(RetryableError):
    """The request ran longer than it may."""


@dataclass(slots=True)
class Budget:
    """Counts down over one request; used by one thread."""

    limits: Limits
    clock: Clock
    started_nano: int
    deadline_nano: int
    samples: int = 0

    @classmethod
    def start(cls, limits: Limits, clock: Clock, seconds: float | None = None) -> "Budget":
        """Return a full budget; `seconds` can only shorten its time."""
        allowed = limits.seconds if seconds is None else min(seconds, limits.seconds)
        started = clock.monotonic_nano()
        return cls(limits, clock, started, started + int(allowed * NANOS_PER_SECOND))

    @property
    def seconds(self) -> float:
        """Return how long the request has run."""
        return (self.clock.monotonic_nano() - self.started_nano) / NANOS_PER_SECOND

    def spend(self, samples: int) -> None:
        """Count samples that were read.

        Raises:
            TooLargeError: past the limit of samples.
            QueryTimeoutError: past the time limit.
        """
        self.samples += samples
        if self.samples > self.limits.samples_read:
            raise TooLargeError(
                f"the query reads more than {self.limits.samples_read} samples: name fewer series or a shorter range"
            )
        if self.clock.monotonic_nano() > self.deadline_nano:
            raise QueryTimeoutError("query timed out in expression evaluation")
