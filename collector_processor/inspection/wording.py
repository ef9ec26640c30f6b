"""How moments and lengths of time are written for people."""

from datetime import UTC, datetime

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.incident import Incident


def moment(unix_nano: int) -> str:
    """Return a moment to the second, in UTC."""
    return datetime.fromtimestamp(unix_nano / NANOS_PER_SECOND, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def length(nanos: int) -> str:
    """Return a length of time in minutes, from two hours on in hours."""
    minutes = nanos / MINUTE
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def lasted(what: Episode | Incident, now: int) -> str:
    """Say how long something went on, or has been open where it has no end yet."""
    end = what.end_unix_nano
    return f"open for {length(now - what.start_unix_nano)}" if end is None else length(end - what.start_unix_nano)
