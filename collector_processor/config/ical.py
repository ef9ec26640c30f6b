"""Fields of settings that hold iCal: a file, read at once, and a rule by which something repeats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

MAX_ICAL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class IcalFile:
    """An iCal file as it was at the start."""

    path: str
    text: str


def read_ical(value: Any) -> Any:
    """Read an iCal file at once, so that what is wrong with it is known before anything starts."""
    if isinstance(value, IcalFile):
        return value
    try:
        path = Path(value)
        if path.stat().st_size > MAX_ICAL_BYTES:
            raise ValueError(f"should be an iCal file of at most {MAX_ICAL_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"should be a readable iCal file ({error})") from None
    import recurring_ical_events
    from icalendar import Calendar

    try:
        recurring_ical_events.of(Calendar.from_ical(text)).at(
            1970
        )  # an event without a start shows only when asked for
    except Exception as error:  # noqa: BLE001 - whatever it is, the file can't be used
        raise ValueError(f"should be an iCal file ({type(error).__name__}: {error!s:.80})") from None
    return IcalFile(str(value), text)


def check_rule(rule: str) -> str:
    """Check an RRULE; a rule repeats days, so nothing shorter."""
    from icalendar import vRecur

    frequencies = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
    try:
        if set(vRecur.from_ical(rule).get("FREQ", ())) & frequencies:
            return rule
    except ValueError as error:
        raise ValueError(f"should be an RRULE of iCal ({error})") from None
    raise ValueError("should be an RRULE of iCal by days or more, such as FREQ=MONTHLY;BYMONTHDAY=-1")


Ical = Annotated[IcalFile, BeforeValidator(read_ical), PlainSerializer(lambda file: file.path)]
RepeatRule = Annotated[str, AfterValidator(check_rule)]
