"""What the rows of several of our own routes are made of, and the answers that all of them share."""

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


class Option(Shape):
    """A choice of a variable."""

    text: str = Field(alias="__text")
    value: str = Field(alias="__value")


class Identity(Shape):
    """What says in every row which series it is of."""

    series: str
    service: str
    metric: str
    statistic: str
