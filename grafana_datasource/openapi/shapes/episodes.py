"""What is answered about episodes, and about what people and alerts say of them."""

from pydantic import Field

from grafana_datasource.openapi.shapes.base import Direction, Milliseconds, Number, Severity, Shape


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
