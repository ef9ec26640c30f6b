"""Read what Grafana and Alertmanager post about alerts; both are read by one lenient model.

An alert says which series it is about by a label or annotation `series`, as all alerts on `foreband_*` metrics do. It
answers the episode of that series by `foreband_answer`: `expected`, `false_alarm` or `confirmed`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from collector_processor.errors import InvalidQueryError
from collector_processor.telemetry.feedback import Answer
from collector_processor.telemetry.notice import Notice
from grafana_datasource.query import EPOCH

MOST_ALERTS = 500
SERIES_LABEL, ANSWER_LABEL, BY_LABEL = "series", "foreband_answer", "foreband_by"

_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_NAME = 200, 1_000, 200
_ANSWERS = {each.value: each for each in Answer if each is not Answer.MISSED}

Texts = Annotated[dict[str, str], Field(max_length=200)]


class Alert(BaseModel):
    """One alert of a notification, as far as it is read."""

    fingerprint: str = Field(min_length=1, max_length=64)
    startsAt: datetime  # noqa: N815 - Alertmanager's names
    endsAt: datetime | None = None  # noqa: N815
    status: str = "firing"
    labels: Texts = {}
    annotations: Texts | None = None

    def said(self, name: str) -> str:
        """Return what an annotation, or else a label, says; empty where neither is there."""
        return (self.annotations or {}).get(name) or self.labels.get(name, "")


class Notification(BaseModel):
    """What is posted: a group of alerts."""

    alerts: list[Alert]
    receiver: str = Field("", max_length=_LONGEST_NAME)


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer that an alert brings along: about which series, given by whom."""

    answer: Answer
    series: str
    by: str


def read(body: Any) -> Notification:
    """Check a decoded body.

    Raises:
        InvalidQueryError: if it is no notification; the message says where.
        RequestEntityTooLarge: if there are too many alerts.
    """
    alerts = body.get("alerts") if isinstance(body, dict) else None
    if isinstance(alerts, list) and len(alerts) > MOST_ALERTS:
        raise RequestEntityTooLarge(f"{len(alerts)} alerts, the limit is {MOST_ALERTS}")
    try:
        return Notification.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidQueryError(f"{where or 'body'}: {first['msg']}") from None


def notice_of(alert: Alert, source: str) -> Notice:
    """Return what is kept of an alert.

    Raises:
        InvalidQueryError: if it began, or ended, outside the years 1970 to 2262.
    """
    text = alert.said("summary") or alert.said("description") or alert.said("message")
    end = None if alert.endsAt is None or alert.status != "resolved" else _unix_nano(alert.endsAt)
    return Notice(
        alert.fingerprint,
        _unix_nano(alert.startsAt),
        end,
        source,
        (alert.said("alertname") or "alert")[:_LONGEST_TITLE],
        text[:_LONGEST_TEXT],
        alert.said(SERIES_LABEL)[:_LONGEST_NAME],
    )


def answer_of(alert: Alert, receiver: str) -> Spoken | None:
    """Return the answer an alert brings along, None where it brings none.

    Raises:
        InvalidQueryError: if it says something that is no answer.
    """
    text = alert.said(ANSWER_LABEL)
    if not text:
        return None
    if text not in _ANSWERS:
        raise InvalidQueryError(f"{ANSWER_LABEL} should be {' or '.join(_ANSWERS)}, not {text[:80]!r}")
    by = alert.said(BY_LABEL) or receiver
    return Spoken(_ANSWERS[text], alert.said(SERIES_LABEL), by[:_LONGEST_NAME])


def _unix_nano(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    nanos = (aware - EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 <= nanos < 2**63:
        raise InvalidQueryError(f"{moment.isoformat()} is outside the years 1970 to 2262")
    return nanos
