"""What blocks of settings are made of: durations and sizes with a unit, addresses, and no unknown keys."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_SECONDS = 36525 * 86400
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration(value: Any) -> Any:
    """Read `90s`, `15m`, `1.5h`, `14d`; anything but such a text (or a timedelta) is refused."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("should be a duration with a unit, such as 30s, 15m, 1h or 14d")
    seconds = float(found.group(1)) * _DURATION_UNITS[found.group(2)]
    if seconds > _LONGEST_SECONDS:
        raise ValueError("should be a duration of a century at most")
    return timedelta(seconds=seconds)


def parse_size(value: Any) -> Any:
    """Read `16MiB`; a bare number is bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("should be a size with a unit, such as 512KiB, 16MiB or 1GiB")
    return int(found.group(1)) * _SIZE_UNITS[found.group(2)]


def parse_listen(value: Any) -> Any:
    """Check `host:port`; port 0 lets the system choose."""
    host, separator, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("should be host:port, such as 127.0.0.1:4317")
    return value


def _text_of_duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{int(seconds // _DURATION_UNITS[unit])}{unit}"
    return f"{int(seconds * 1000)}ms"


def _text_of_size(value: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}"
    return f"{value}B"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(_text_of_duration)]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(_text_of_size)]
Listen = Annotated[str, BeforeValidator(parse_listen)]


class Section(BaseModel):
    """A block of settings: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
