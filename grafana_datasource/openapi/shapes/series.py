"""What is answered about series: their points and bands, their models, when they will reach their bounds."""

from typing import Literal

from grafana_datasource.openapi.shapes.base import Direction, Identity, Milliseconds, Number, Severity, Shape


class LongRow(Identity):
    """One number of one series at one time."""

    time: Milliseconds
    value: float


class WideRow(Shape):
    """One time of one series."""

    time: Milliseconds
    actual: Number
    yhat: Number
    lower: Number
    upper: Number
    calibrated_lower: Number
    calibrated_upper: Number
    score: Number
    anomaly: Direction | None
    hindsight: Literal[0, 1] | None


class CurrentRow(Identity):
    """Whether an episode of a live series is open and not muted."""

    anomalous: Literal[0, 1]


class CatalogRow(Shape):
    """What a person is told about one series."""

    id: str
    title: str
    detail: str
    service: str
    metric: str
    statistic: str
    unit: str
    state: Literal["warming", "active", "degraded"]
    reason: str
    forecaster: str | None
    forecaster_reason: str | None
    model_created: Milliseconds | None
    last_value: Number
    last_time: Milliseconds | None
    anomaly: Direction
    anomaly_since: Milliseconds | None
    episode: str | None
    kind: str | None
    severity: Severity | None
    peak_score: Number
    coverage: Number


class Catalog(Shape):
    """A page of the list of series, and counts of all."""

    now: Milliseconds
    total: int
    matched: int
    anomalous: int
    states: dict[str, int]
    series: list[CatalogRow]


class Spark(Shape):
    """A small picture in columns of equal length."""

    series: str
    time: list[Milliseconds]
    value: list[Number]
    lower: list[Number]
    upper: list[Number]
    anomaly: list[Number]


class Components(Shape):
    """What Prophet's forecast is the sum of; parts the model lacks are left out."""

    time: list[Milliseconds]
    trend: list[Number] | None = None
    daily: list[Number] | None = None
    weekly: list[Number] | None = None
    yearly: list[Number] | None = None
    occasions: list[Number] | None = None
    other: list[Number] | None = None


class ModelVersion(Shape):
    """One kept version of a model."""

    version: int
    created: Milliseconds
    trained_from: Milliseconds
    trained_to: Milliseconds
    forecaster: str
    reason: str
    errors: dict[str, Number]


class Breach(Identity):
    """When a series will likely reach its bound."""

    limit: float
    direction: Literal["up", "down"]
    horizon_seconds: float
    probability: float
    p10_seconds: Number
    p50_seconds: Number
    p90_seconds: Number


class Power(Shape):
    """How many canaries of one kind and size were found."""

    time: Milliseconds
    kind: str
    size: float
    tried: int
    power: float
    seconds: Number


class Coverage(Shape):
    """Measured share of points inside a calibrated band, of one kind of metric."""

    time: Milliseconds
    kind: str
    interval_width: str
    coverage: float
