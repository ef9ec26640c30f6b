"""The detect block of a policy: what is flagged of the series that match, and when nothing is."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from collector_processor.config.ical import Ical, RepeatRule
from collector_processor.config.sections import Duration, Section

PROFILES = {"agile": 1.15, "basic": 1.25, "robust": 1.45}
"""Thresholds by the names that users of Datadog know; in all of them the same forecasts judge."""

_DIRECTIONS = {"above": "up", "below": "down", "above_expected": "up", "below_expected": "down"}
"""The same under other tools' names."""


def parse_direction(value: Any) -> Any:
    """Read Datadog's and vmanomaly's words for a direction, too."""
    return _DIRECTIONS.get(value, value) if isinstance(value, str) else value


Direction = Annotated[Literal["both", "up", "down"], BeforeValidator(parse_direction)]


class BoundsConfig(Section):
    """Values that a series cannot have."""

    min: float | None = Field(None, description="nothing is expected below it, and a value below it is flagged")
    max: float | None = Field(None, description="the same above it")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min is not None and self.max is not None and not self.min < self.max:
            raise ValueError(f"min {self.min:g} must be less than max {self.max:g}")
        return self


class MaintenanceConfig(Section):
    """A window of time, once or repeated by a rule, or all events of an iCal file."""

    first: datetime | None = Field(None, alias="from", description="its begin, on the clocks of `forecast.time_zone`")
    until: datetime | None = Field(None, description="its end")
    rule: RepeatRule | None = Field(None, description="an RRULE of iCal by which it repeats: FREQ=WEEKLY;BYDAY=SU")
    ical: Ical | None = Field(None, description="file whose events all are windows")

    @model_validator(mode="after")
    def _is_one_window(self) -> Self:
        has_span = self.first is not None and self.until is not None
        if has_span == (self.ical is not None) or (self.first is None) != (self.until is None):
            raise ValueError("a maintenance window has either from and until, or ical")
        if self.ical is not None and self.rule is not None:
            raise ValueError("rule needs from and until")
        if self.first is not None and self.until is not None:
            if (self.first.tzinfo is None) != (self.until.tzinfo is None):
                raise ValueError("from and until must both have an offset from UTC, or neither")
            if self.first >= self.until:
                raise ValueError(f"until {self.until} must come after from {self.first}")
        return self


class DetectPolicy(Section):
    """What is flagged of the series that match; what is not set stays as the kind of the metric has it."""

    kind: Literal["request_rate", "latency", "error_ratio", "utilisation", "counter_rate", "gauge"] | None = Field(
        None, description="whose defaults hold, where name and unit do not tell it"
    )
    profile: Literal["agile", "basic", "robust"] = Field(
        "basic", description="a threshold by name: agile 1.15, basic 1.25, robust 1.45"
    )
    threshold: float = Field(1.25, ge=1.0, le=10.0, description="else `detect.threshold`; more flags less")
    budget: float | None = Field(
        None, gt=0.0, le=1000.0, description="alarms a series and week at most: raises the threshold by what that takes"
    )
    direction: Direction = Field("both", description="both, up or down; above and below_expected are understood")
    min_deviation: float = Field(0.0, ge=0.0, description="in the unit of the metric; less is never flagged")
    min_relative_deviation: float = Field(0.0, ge=0.0, le=10.0, description="the same as a share of what is expected")
    bounds: BoundsConfig = Field(BoundsConfig(), description="`{min, max}`: nothing is expected beyond them")
    min_requests: float = Field(
        10.0, ge=0.0, description="an error ratio or a latency of fewer in about five minutes is not judged"
    )
    missing: Literal["auto", "gap", "zero", "last", "alert"] = Field(
        "auto",
        description="auto: silence is an episode of what was regular for a day; gap: never; alert: always; zero and "
        "last put points in their place",
    )
    silence_intervals: float = Field(5.0, ge=2.0, le=1000.0, description="usual intervals without a point are silence")
    min_silence: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=7))] = Field(
        timedelta(minutes=5), description="but nothing shorter is; without it 5m"
    )
    maintenance: tuple[MaintenanceConfig, ...] = Field(
        (), description="windows in which nothing is flagged, learned or trained on; those of several policies add up"
    )
