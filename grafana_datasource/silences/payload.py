"""Read the silences that `/api/v2/silences` returns, of an Alertmanager and of Grafana alike.

A silence says `expected`, unless its comment begins with `false alarm` or `confirmed`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from collector_processor.errors import InvalidQueryError
from collector_processor.telemetry.feedback import Answer
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.query import parse_time
from grafana_datasource.silences.fit import Silence

_BEGINS = re.compile(r"\s*(?:(false[ _-]?alarm)|(confirmed))\b", re.IGNORECASE)
_OPERATORS: dict[tuple[bool, bool], MatchOperator] = {
    (False, True): "=",
    (False, False): "!=",
    (True, True): "=~",
    (True, False): "!~",
}


class _Condition(BaseModel):
    name: str
    value: str
    isRegex: bool  # noqa: N815 - Alertmanager's names
    isEqual: bool = True  # noqa: N815


class _Status(BaseModel):
    state: Literal["active", "pending", "expired"]


class _Listed(BaseModel):
    id: str = Field(min_length=1, max_length=64)
    status: _Status
    startsAt: str  # noqa: N815
    matchers: Annotated[list[_Condition], Field(max_length=100)]
    comment: str = ""
    createdBy: str = ""  # noqa: N815


_LISTED = TypeAdapter(_Listed)


def active_silences(listed: list[Any]) -> tuple[list[Silence], int]:
    """Return the silences that are in force, and how many of those listed could not be read."""
    found, unread = [], 0
    for each in listed:
        try:
            silence = _LISTED.validate_python(each)
            if silence.status.state == "active":
                found.append(_silence(silence))
        except (ValidationError, InvalidQueryError):
            unread += 1
    return found, unread


def _silence(listed: _Listed) -> Silence:
    """Raise an InvalidQueryError where a regular expression or a time is none."""
    matchers = tuple(Matcher(each.name, _OPERATORS[each.isRegex, each.isEqual], each.value) for each in listed.matchers)
    start = parse_time("startsAt", listed.startsAt)
    return Silence(listed.id, listed.createdBy, _answer(listed.comment), start, matchers)


def _answer(comment: str) -> Answer:
    begins = _BEGINS.match(comment)
    if begins is None:
        return Answer.EXPECTED
    return Answer.FALSE_ALARM if begins.group(1) else Answer.CONFIRMED
