"""What the Prometheus routes answer with, in Prometheus' own envelope."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from grafana_datasource.openapi.shapes.base import Shape

T = TypeVar("T")

Labels = dict[str, str]
Moment = Annotated[float, Field(description="epoch seconds")]
Sample = tuple[Moment, str]


class Success(Shape, Generic[T]):
    """The envelope of every answer that is no error; `infos` and `warnings` become notices of a panel."""

    status: Literal["success"]
    data: T
    infos: list[str] | None = None
    warnings: list[str] | None = None


class VectorRow(Shape):
    """One series at one time."""

    metric: Labels
    value: Sample


class MatrixRow(Shape):
    """One series over time."""

    metric: Labels
    values: list[Sample]


class Stats(Shape):
    """What a query cost: seconds, and samples."""

    timings: dict[str, float]
    samples: dict[str, int]


class Result(Shape):
    """What a query came to; `stats` where they were asked for."""

    stats: Stats | None = None


class Vector(Result):
    """Many series at one time."""

    resultType: Literal["vector"]  # noqa: N815 - Prometheus' names, here and below
    result: list[VectorRow]


class Matrix(Result):
    """Many series over time."""

    resultType: Literal["matrix"]  # noqa: N815
    result: list[MatrixRow]


class Scalar(Result):
    """One number, or one text."""

    resultType: Literal["scalar", "string"]  # noqa: N815
    result: Sample


class Exemplar(Shape):
    """A measurement with its trace."""

    labels: Labels
    value: str
    timestamp: Moment


class SeriesExemplars(Shape):
    """The exemplars of one series."""

    seriesLabels: Labels  # noqa: N815
    exemplars: list[Exemplar]


class Description(Shape):
    """Type, help and unit of a metric."""

    type: str
    help: str
    unit: str


class Instant(Success[Vector | Matrix | Scalar]):
    """The answer to a question at one time."""


class Range(Success[Matrix]):
    """The answer to a question over a range."""


class Exemplars(Success[list[SeriesExemplars]]):
    """Traces by series."""


class Names(Success[list[str]]):
    """Names, or values, in order."""


class SeriesLabels(Success[list[Labels]]):
    """Label sets."""


class Descriptions(Success[dict[str, list[Description]]]):
    """Metrics by name."""


class Formatted(Success[str]):
    """A query."""


class Nothing(Success[list[object]]):
    """What only a Prometheus that scrapes and evaluates rules has."""


class Settings(Success[dict[str, object]]):
    """What a Prometheus without rules, alerts and targets says, or its settings."""
