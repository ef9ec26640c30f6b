"""What is asked of a fit process, and what comes back.

Requests and outcomes travel by the hundred, and who unpickles them holds up others meanwhile: they say themselves how
they are pickled, since what dataclasses with slots generate looks for their fields anew each time.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from collector_processor.clock import MINUTE
from collector_processor.detect.seed import Seed
from collector_processor.forecast.backtest import MAX_ORIGINS
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.model import ModelRecord


class FitStatus(StrEnum):
    """How a fit ended."""

    FITTED = "fitted"
    NOT_ENOUGH_DATA = "not_enough_data"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DIED = "died"

    @property
    def is_failure(self) -> bool:
        """Whether something went wrong; too little data is not wrong, only early."""
        return self in {FitStatus.FAILED, FitStatus.TIMED_OUT, FitStatus.DIED}


class Solver(StrEnum):
    """What fitted Prophet's model."""

    NONE = "none"  # there was no Prophet to fit
    BATCH = "batch"
    LIBRARY = "library"


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Fit the points of one series in `[start, end)` on means over `step` nanoseconds.

    The first fit of a series is of the seasonal median alone: it takes milliseconds, so all of a new fleet has bands
    before Prophet gets to each. With `needs_backtest` the better forecast is found out; else `forecaster` is kept and
    `backtest`, what the backtest of an earlier model said, is carried over. `needs_seed` asks for a first calibration
    from the backtest's residuals. `settings` are those of Prophet.
    """

    directory: Path
    series: int
    start_unix_nano: int
    end_unix_nano: int
    step: int = 5 * MINUTE
    is_first: bool = False
    needs_backtest: bool = False
    needs_seed: bool = False
    forecaster: str = "seasonal"
    backtest: dict[str, Any] | None = None
    settings: ProphetSettings = field(default_factory=ProphetSettings)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), _of_request(self)

    @property
    def fits(self) -> int:
        """How many histories are fitted at most."""
        return 1 + (MAX_ORIGINS if self.needs_backtest else 0)


Chunk = tuple[FitRequest, ...]
"""Requests that one process works on together: of one store, with one step, and with equal settings."""


@dataclass(frozen=True, slots=True)
class FitOutcome:
    """What became of a request; `reason` is one sentence for people.

    The rest comes with FITTED: `parameters` and `provenance` are those of a ModelRecord, `backtest` is part of the
    latter, `seed` is there when it was asked for and the history is long enough. `declined` says why the batched solver
    left the series to the library.
    """

    request: FitRequest
    status: FitStatus
    reason: str
    forecaster: str = ""
    parameters: bytes = b""
    provenance: str = "{}"
    backtest: dict[str, Any] | None = None
    trained_start_unix_nano: int = 0
    trained_end_unix_nano: int = 0
    seed: Seed | None = None
    solver: Solver = Solver.NONE
    declined: str = ""

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), _of_outcome(self)

    def record(self, version: int, now: int) -> ModelRecord:
        """Return the model for the store, as its series' `version`, made `now`."""
        return ModelRecord(
            series=self.request.series,
            version=version,
            created_unix_nano=now,
            trained_start_unix_nano=self.trained_start_unix_nano,
            trained_end_unix_nano=self.trained_end_unix_nano,
            forecaster=self.forecaster,
            reason=self.reason,
            parameters=self.parameters,
            provenance=self.provenance,
        )


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """What became of a chunk: FITTED with an outcome per request, or a failure of all of it, with the reason.

    `cpu_seconds` is what it cost, at most, the programs it started included.
    """

    chunk: Chunk
    status: FitStatus
    reason: str = ""
    outcomes: tuple[FitOutcome, ...] = ()
    cpu_seconds: float = 0.0


_of_request = attrgetter(*(f.name for f in fields(FitRequest)))
_of_outcome = attrgetter(*(f.name for f in fields(FitOutcome)))
