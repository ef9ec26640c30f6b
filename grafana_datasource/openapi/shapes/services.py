"""What is answered about services: the whole fleet, rate, errors and duration, and who calls whom."""

from typing import Literal

from pydantic import Field

from grafana_datasource.openapi.shapes.base import Direction, Milliseconds, Number, Severity, Shape
from grafana_datasource.openapi.shapes.episodes import EpisodeSummary


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
    """One span name and kind of a service; signals it lacks are left out, durations are in seconds."""

    service: str
    operation: str
    kind: str
    requests: Signal | None = None
    errors: Signal | None = None
    p50: Signal | None = None
    p95: Signal | None = None
    p99: Signal | None = None


class ServiceRow(Shape):
    """Rate, errors and duration of one service, and how many of its series are outside their bands by signal.

    Durations are estimated from the quantiles of its operations and how often each is called.
    """

    service: str
    operations: int
    requests: Number
    errors: Number
    p50: Number
    p95: Number
    p99: Number
    anomalous: dict[str, int]


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
