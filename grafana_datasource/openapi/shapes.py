"""The rows that our own routes answer with. Tests hold every answer to them, key by key."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Milliseconds = int
"""Of the Unix epoch."""

Number = float | None
"""Null where there is none: NaN and infinities are never written."""

Severity = Literal["info", "warning", "critical"]
Direction = Literal[-1, 0, 1]


class Shape(BaseModel):
    """An object with these keys and no others."""

    model_config = ConfigDict(extra="forbid")


class Failure(Shape):
    """The one shape of all errors; Prometheus clients show `errorType: error`."""

    status: Literal["error"]
    errorType: str  # noqa: N815 - Prometheus' name
    error: str


class Status(Shape):
    """That somebody is there."""

    status: str


class Identity(Shape):
    """What says in every row which series it is of."""

    series: str
    service: str
    metric: str
    statistic: str


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


class LevelShift(Shape):
    """From what to what a level has moved, and when that became the new normal."""

    before: float
    after: float
    adopted: Milliseconds


class Drift(Shape):
    """How much a series changes a day, and when it reaches its bound at this pace, null where that is far away."""

    per_day: float
    since: Milliseconds
    reaches_bound: Milliseconds | None


class EpisodeSummary(Shape):
    """An episode; `end` is null while it is open."""

    id: str
    series: str
    service: str
    title: str
    metric: str
    statistic: str
    unit: str
    start: Milliseconds
    end: Milliseconds | None
    direction: Direction
    peak_score: Number
    actual: Number
    yhat: Number
    lower: Number
    upper: Number
    close_reason: str
    kind: str
    reason: str
    severity: Severity
    onsets: int
    flapping: bool
    muted: bool
    shift: LevelShift | None
    drift: Drift | None
    explanation: str


class Episode(EpisodeSummary):
    """An episode and the newest traces of its series while it lasted."""

    traces: list[str]


class Rarity(Shape):
    """Where an episode stands among the days before it."""

    days: int
    rank: int
    days_since: Number


class Evidence(Shape):
    """A stored point with the verdict it got."""

    time: Milliseconds
    value: Number
    yhat: Number
    lower: Number
    upper: Number
    score: Number


class ExplainedEpisode(Episode):
    """An episode with all that explains it."""

    rarity: Rarity | None
    evidence: list[Evidence]
    onset: dict[str, object] | None = Field(description="what its first point was judged by")


class Annotation(Shape):
    """A region, as Grafana's standard annotations read it."""

    id: str
    time: Milliseconds
    timeEnd: Milliseconds  # noqa: N815 - Grafana's name
    title: str
    text: str
    tags: str = Field(description="separated by commas")


class Option(Shape):
    """A choice of a variable."""

    text: str = Field(alias="__text")
    value: str = Field(alias="__value")


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


class Breach(Identity):
    """When a series will likely reach its bound."""

    limit: float
    direction: Literal["up", "down"]
    horizon_seconds: float
    probability: float
    p10_seconds: Number
    p50_seconds: Number
    p90_seconds: Number


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


class Spark(Shape):
    """A small picture in columns of equal length."""

    series: str
    time: list[Milliseconds]
    value: list[Number]
    lower: list[Number]
    upper: list[Number]
    anomaly: list[Number]


class FleetService(Shape):
    """One service: its series by state, and its highest level of severity over time, 0 none to 3 critical."""

    service: str
    series: int
    warming: int
    active: int
    degraded: int
    open: int
    level: int
    cells: list[int]


class Fleet(Shape):
    """The whole fleet at a glance."""

    now: Milliseconds
    begin: Milliseconds = Field(alias="from")
    to: Milliseconds
    series: int
    states: dict[str, int]
    silent: int
    open: dict[str, int]
    episodes: int
    worst: list[EpisodeSummary]
    services_in_all: int
    services: list[FleetService]


class Signal(Shape):
    """One signal of an operation: its series, its value of now, and the direction of an open episode."""

    id: str
    value: Number
    anomaly: Direction


class OperationRow(Shape):
    """One span name and kind of a service; signals it lacks are left out."""

    service: str
    operation: str
    kind: str
    requests: Signal | None = None
    errors: Signal | None = None
    p50: Signal | None = None
    p95: Signal | None = None
    p99: Signal | None = None


class ServiceRow(Shape):
    """Rate, errors and duration of one service, and how many of its series are outside their bands by signal."""

    service: str
    operations: int
    requests: Number
    errors: Number
    p50: Number
    p95: Number
    p99: Number
    anomalous: dict[str, int]


class Feedback(Shape):
    """An answer of a person, and what it did to the threshold of its series."""

    id: str
    series: str | int
    answer: str
    episode: str
    start: Milliseconds
    end: Milliseconds
    score: Number
    given: Milliseconds
    by: str
    factor_before: float
    factor_after: float
    undone: Milliseconds | None
    undone_by: str


class Taken(Shape):
    """What became of a notification: its alerts, how many of them said something new, and answers given by them."""

    alerts: int
    new: int
    answers: int


class MapNode(Shape):
    """One service, or what services call that shows no spans; names are those of Grafana's Node Graph panel."""

    id: str
    title: str
    subtitle: str
    mainstat: Number = Field(description="requests a second")
    secondarystat: Number = Field(description="share of them that failed")
    arc__usual: Number
    arc__anomalous: Number = Field(description="share of series in open episodes")
    color: str
    detail__p95_seconds: Number
    detail__series: int | None
    detail__episodes: int | None
    detail__severity: Severity | Literal[""]


class MapEdge(Shape):
    """Calls of late from one node to another."""

    id: str
    source: str
    target: str
    mainstat: float = Field(description="calls a second")
    secondarystat: float = Field(description="share of them that failed")
    thickness: float
    color: str
    detail__mean_seconds: float


class Map(Shape):
    """Nodes and the edges between them."""

    nodes: list[MapNode]
    edges: list[MapEdge]
