"""The bodies that routes take as JSON."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

By = Annotated[str, Field(max_length=200, description="who says so")]


class Answered(BaseModel):
    """An answer to an episode."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["expected", "false_alarm", "confirmed"]
    by: By = ""


class Missed(BaseModel):
    """That there should have been an episode."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["missed"]
    begin: int = Field(alias="from", ge=0, le=9_223_372_036_000, description="epoch milliseconds")
    to: int = Field(ge=0, le=9_223_372_036_000, description="epoch milliseconds")
    by: By = ""


class Undone(BaseModel):
    """That an answer should count no more."""

    model_config = ConfigDict(extra="forbid")

    by: By = ""


class Wanted(BaseModel):
    """What SimpleJSON's search field holds."""

    target: str = ""


class PayloadField(BaseModel):
    """The field of a payload whose choices are asked for."""

    name: str


class Target(BaseModel):
    """One query of a panel: PromQL, or `annotations`."""

    target: str = Field(examples=["foreband_yhat"])
    refId: str = "A"  # noqa: N815 - Grafana's name
    payload: dict[str, str | list[str]] = {}
    hide: bool = False


class PanelRange(BaseModel):
    """The time range of a panel."""

    begin: str | int = Field(alias="from", examples=["2026-09-09T12:00:00.000Z"])
    to: str | int = Field(examples=["2026-09-10T12:00:00.000Z"])


class AdhocFilter(BaseModel):
    """A filter of the dashboard; keys are labels."""

    key: str
    operator: Literal["=", "!=", "=~", "!~"] = "="
    value: str


class PanelQuery(BaseModel):
    """Grafana's DataQueryRequest, as far as it is read."""

    range: PanelRange
    targets: list[Target] = Field(max_length=100)
    filters: list[AdhocFilter] = []
    intervalMs: float = Field(60_000, ge=1, le=31_536_000_000)  # noqa: N815
    maxDataPoints: int = Field(1_000, ge=1, le=100_000)  # noqa: N815


class AnnotationQuery(BaseModel):
    """A question of SimpleJSON; `annotation.query` is a selector."""

    range: PanelRange
    annotation: dict[str, object] = {}


class VariableQuery(BaseModel):
    """The query of a variable: text, or an object with a `target`."""

    payload: str | dict[str, object] = ""


class LabelKey(BaseModel):
    """The label whose values are asked for."""

    key: str
