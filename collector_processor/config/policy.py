"""Policies as operators write them: which series are meant, and what is different about them.

    policies:
      - match: {service: shop, metric: "http.server.*"}
        forecast: {time_zone: Europe/Berlin, holidays: {country: DE}}
        detect: {direction: up, min_relative_deviation: 0.2}

What can be checked without a series is checked here, so that a wrong name refuses to start.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from collector_processor.config.detect import DetectPolicy
from collector_processor.config.ical import Ical, RepeatRule
from collector_processor.config.sections import Duration, Section
from collector_processor.config.yaml_source import Path_

HOURLY_ORDER = 3

_RESERVED = {
    *("trend", "daily", "weekly", "yearly", "hourly", "holidays", "zeros", "yhat", "ds", "y", "cap", "floor"),
    *("y_scaled", "cap_scaled", "additive_terms", "multiplicative_terms"),
    *("extra_regressors_additive", "extra_regressors_multiplicative"),
}


def parse_seasonality(value: Any) -> Any:
    """Read `auto`, `on`, `off` (YAML's yes and no) or an order."""
    if isinstance(value, bool) or value == "auto":
        return value
    if isinstance(value, int) and 1 <= value <= 50:
        return value
    if value in {"on", "off"}:
        return value == "on"
    raise ValueError("should be auto, on, off or an order from 1 to 50")


def _one_of(known: Callable[[], set[str]], what: str) -> Callable[[str], str]:
    """Check that a name is known, and let the message suggest the nearest."""

    def check(value: str) -> str:
        names = known()
        if value in names:
            return value
        expected = " or ".join(f"'{name}'" for name in sorted(names))
        raise PydanticCustomError("unknown_name", "should be {what}", {"what": what, "expected": expected})

    return check


def _countries() -> set[str]:
    from holidays import list_supported_countries

    return set(list_supported_countries())


def _subdivisions(country: str) -> set[str]:
    from holidays import list_supported_countries

    return set(list_supported_countries().get(country, ()))


def _check_part_name(name: str) -> str:
    plain = name.removesuffix("_lower").removesuffix("_upper")
    if not name or plain in _RESERVED or "_delim_" in name:
        raise ValueError("should be a name that Prophet does not use itself")
    return name


Seasonal = Annotated[
    Literal["auto"] | bool | int,
    BeforeValidator(parse_seasonality),
    PlainSerializer(lambda value: {True: "on", False: "off"}[value] if isinstance(value, bool) else value),
]
TimeZone = Annotated[
    str, AfterValidator(_one_of(available_timezones, "a time zone of the IANA database, such as Europe/Berlin"))
]
Country = Annotated[
    str, AfterValidator(_one_of(_countries, "a country code of the holidays package, such as DE, US or IN"))
]
PartName = Annotated[str, AfterValidator(_check_part_name)]
Prior = Annotated[float, Field(gt=0, le=1e6)]
Before = Annotated[int, Field(ge=-30, le=0)]
After = Annotated[int, Field(ge=0, le=30)]
Days = Annotated[int, Field(ge=0, le=30)]


class MatchConfig(Section):
    """Which series a policy is for: all that is given must match, `*` and `?` stand for any text."""

    metric: str | None = Field(None, description="its name, whatever the case of its letters")
    service: str | None = Field(None, description="`service.name` of its resource")
    unit: str | None = Field(None, description="as the metric has it: s, By, 1")
    statistic: str | None = Field(None, description="value, rate, mean, p50, p95, p99, error_ratio")
    attributes: dict[str, str] = Field(default_factory=dict, description="of the series or its resource, by name")


class SeasonalityConfig(Section):
    """A period of one's own."""

    name: PartName = Field(description="shown with its part of the forecast")
    period: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=3650))] = Field(
        description="such as 8h or 2w"
    )
    order: int = Field(ge=1, le=50, description="pairs of sine and cosine: more follow sharper shapes")
    prior_scale: Prior | None = Field(None, description="else `seasonality_prior_scale`")


class WindowConfig(Section):
    """Days around a holiday that count too."""

    before: Days = Field(0, description="days before")
    after: Days = Field(0, description="days after")


class HolidaysConfig(Section):
    """Public holidays of a country."""

    country: Country = Field(description="ISO code")
    subdivision: str | None = Field(None, description="code of a state or region with holidays of its own")
    window: WindowConfig = Field(WindowConfig(), description="`{before, after}`: days around each that count too")
    as_one: bool = Field(False, description="on: what was seen on one holiday is expected on the next")

    @field_validator("subdivision")
    @classmethod
    def _is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or "country" not in info.data:
            return value
        country = str(info.data["country"])
        return _one_of(lambda: _subdivisions(country), f"a subdivision of {country} with holidays")(value)


class EventConfig(Section):
    """What moves a series on certain days: some dates, a span of days, a rule from a day on, or an iCal file."""

    name: PartName = Field(description="events of one name share what is learnt about them")
    dates: tuple[date, ...] = Field((), description="single days")
    first: date | None = Field(None, alias="from", description="first day, of a span or of a rule")
    until: date | None = Field(None, description="last day, itself included")
    rule: RepeatRule | None = Field(None, description="an RRULE of iCal: FREQ=MONTHLY;BYMONTHDAY=-1")
    ical: Ical | None = Field(None, description="file whose events all count")
    lower_window: Before = Field(0, description="-1: the day before counts too")
    upper_window: After = Field(0, description="1: the day after counts too")
    prior_scale: Prior | None = Field(None, description="else `holidays_prior_scale`")

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if bool(self.dates) + (self.first is not None) + (self.ical is not None) != 1:
            raise ValueError("an event has either dates, or from with until or a rule, or ical")
        if self.first is None and (self.until is not None or self.rule is not None):
            raise ValueError("until and rule need from")
        if self.first is not None and self.until is None and self.rule is None:
            raise ValueError("from needs until or a rule")
        if self.first is not None and self.until is not None and self.until < self.first:
            raise ValueError(f"until {self.until} comes before from {self.first}")
        return self


class ForecastPolicy(Section):
    """How Prophet is fitted to the series that match; what is not set stays as it is."""

    daily_seasonality: Seasonal = Field("auto", description="auto, on, off or an order; auto is Prophet's own rule")
    weekly_seasonality: Seasonal = Field("auto", description="the same")
    yearly_seasonality: Seasonal = Field("auto", description="the same")
    hourly_seasonality: Seasonal = Field(False, description="the same; auto: from two hours of history")
    seasonalities: tuple[SeasonalityConfig, ...] = Field((), description="periods of one's own")
    seasonality_prior_scale: Prior = Field(10.0, description="less is smoother")
    seasonality_mode: Literal["additive", "multiplicative"] = Field(
        "additive", description="multiplicative: the swing grows with the level; fitted by the prophet library"
    )
    changepoints: int = Field(25, ge=0, le=200, description="where the trend may turn")
    changepoint_prior_scale: Prior = Field(0.05, description="more lets the trend turn more sharply")
    growth: Literal["linear", "flat", "logistic"] = Field(
        "linear", description="logistic: towards `cap`; fitted by the prophet library"
    )
    cap: float | None = Field(None, description="what logistic growth saturates at")
    floor: float = Field(0.0, description="where logistic growth begins")
    time_zone: TimeZone = Field("UTC", description="whose clocks days, weeks, holidays and events follow")
    holidays: HolidaysConfig | None = Field(None, description="`{country, subdivision, window, as_one}`")
    holidays_prior_scale: Prior = Field(10.0, description="of holidays and events")
    events: tuple[EventConfig, ...] = Field((), description="what moves the series on certain days")

    @model_validator(mode="after")
    def _growth_is_whole(self) -> Self:
        """Check what belongs together; another policy may set one of these, but not half of one."""
        if (self.growth == "logistic") != (self.cap is not None):
            raise ValueError("growth: logistic and cap belong together")
        if self.cap is not None and self.cap <= self.floor:
            raise ValueError(f"cap {self.cap:g} must be greater than floor {self.floor:g}")
        if self.cap is None and self.floor:
            raise ValueError("floor belongs to growth: logistic")
        return self


class CapacityPolicy(Section):
    """The bound that the series that match should not reach."""

    limit: float | None = Field(None, description="in the unit of the metric; utilisation has 1, or 100 %, by itself")
    direction: Literal["up", "down"] = Field("up", description="up: reached from below; down: from above")
    horizon: Annotated[Duration, Field(ge=timedelta(days=1), le=timedelta(days=90))] = Field(
        timedelta(days=30), description="how far ahead to look, as far as the model holds; without it 30d"
    )


class PolicyConfig(Section):
    """Settings for the series that match; of policies that match, later ones override what they set."""

    match: MatchConfig = Field(MatchConfig(), description="which series; without it, all")
    forecast: ForecastPolicy | None = Field(None, description="how their forecast is fitted")
    detect: DetectPolicy | None = Field(None, description="what is flagged of them")
    capacity: CapacityPolicy | None = Field(None, description="the bound that they should not reach")


def contradictions(policies: Sequence[PolicyConfig], step: timedelta) -> Iterator[tuple[Path_, str]]:
    """Yield what is wrong between settings that are right on their own, and where it stands."""
    blocks = [(i, policy.forecast) for i, policy in enumerate(policies) if policy.forecast is not None]
    periods = {seasonality.name for _, block in blocks for seasonality in block.seasonalities}
    for i, block in blocks:
        path: Path_ = ("policies", i, "forecast")
        yield from _too_fine(path, block, step)
        for name in sorted(_repeated([s.name for s in block.seasonalities])):
            yield (*path, "seasonalities"), f"{name!r} is there twice"
        names = [event.name for event in block.events]
        for name in sorted(_repeated(names) | periods.intersection(names)):
            yield (*path, "events"), f"{name!r} is there twice, or is the name of a seasonality"
    if any(block.floor for _, block in blocks):
        for i, block in blocks:
            if block.seasonality_mode == "multiplicative":
                message = "above a floor Prophet predicts other values than it fits: leave out one of the two"
                yield ("policies", i, "forecast", "seasonality_mode"), message


def _too_fine(path: Path_, block: ForecastPolicy, step: timedelta) -> Iterator[tuple[Path_, str]]:
    """Yield seasonalities whose shape is finer than the steps that models are fitted on."""
    hourly = block.hourly_seasonality
    order = HOURLY_ORDER if isinstance(hourly, bool | str) else hourly
    finest = {("hourly_seasonality",): (timedelta(hours=1), order)} if hourly else {}
    wanted: dict[Path_, tuple[timedelta, int]] = {(*path, *key): value for key, value in finest.items()}
    wanted |= {(*path, "seasonalities", i, "order"): (s.period, s.order) for i, s in enumerate(block.seasonalities)}
    for where, (period, pairs) in wanted.items():
        if pairs * 2 * step > period:
            most = period // (2 * step)
            yield where, f"at forecast.step {step} a period of {period} has room for an order of {most}, not {pairs}"


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}
