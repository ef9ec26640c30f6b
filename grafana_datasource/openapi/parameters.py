"""Every parameter there is, by the limits that requests are held to."""

from typing import Any

from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.series import Statistic
from grafana_datasource.openapi.operation import Parameter
from grafana_datasource.query import LONGEST_REGEX, Limits

_LIMITS = Limits()
_LATEST = 9_223_372_036
_STABLE_ID = {"type": "string", "pattern": "^[0-9a-f]{16}$", "examples": ["dcb3665ebd371e51"]}
_TIME: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": _LATEST},
        {"type": "string", "format": "date-time"},
    ]
}
_DURATION: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "minimum": 0.001, "maximum": 31_536_000},
        {"type": "string", "pattern": "^[1-9][0-9]{0,3}(ms|s|m|h|d|w|y)$"},
    ]
}


def _text(name: str, text: str, **schema: Any) -> Parameter:
    return Parameter(name, text, {"type": "string", **schema})


def _whole(name: str, text: str, smallest: int, largest: int) -> Parameter:
    return Parameter(name, text, {"type": "integer", "minimum": smallest, "maximum": largest})


def _choice(name: str, text: str, *allowed: str) -> Parameter:
    return Parameter(name, text, {"type": "string", "enum": list(allowed)})


_WHEN = "ISO-8601 (no zone means UTC), epoch seconds or epoch milliseconds"

QUERY = _text("query", "PromQL", maxLength=65_536, examples=["foreband_anomaly != 0"])
TIME = Parameter("time", f"when; {_WHEN}; absent means now", _TIME)
START = Parameter("start", f"first step; {_WHEN}", _TIME)
END = Parameter("end", f"last step, may lie ahead; {_WHEN}", _TIME)
STEP = Parameter("step", "distance of steps: seconds or a duration like 1m", _DURATION)
TIMEOUT = Parameter("timeout", "seconds or a duration; shortens the time there is", _DURATION)
LOOKBACK_DELTA = Parameter("lookback_delta", "for how long a stored sample stands; absent means 5m", _DURATION)
STATS = _text("stats", "say what the query cost", examples=["all"])
MATCH = Parameter(
    "match[]",
    "a selector; may be repeated",
    {"type": "string", "maxLength": 65_536, "examples": ["foreband_yhat"]},
    is_repeated=True,
)
NAMES = _whole("limit", "how many at most; 0 and absent mean as many as there may be", 0, 2**31)
HOW = (TIMEOUT, NAMES, LOOKBACK_DELTA, STATS)
METRIC_NAME = _text("metric", "of this metric only")
LABEL = _text("label", "name of a label; `U__service_2e_name` is `service.name`", minLength=1)

FROM = Parameter("from", f"begin; {_WHEN}", _TIME)
TO = Parameter("to", f"end, not included, may lie ahead; {_WHEN}; absent means now", _TIME)
SERIES = Parameter(
    "series",
    "id of a series, or ids separated by commas; may be repeated",
    {"type": "string", "pattern": "^[0-9a-f]{16}(,[0-9a-f]{16}){0,9}$", "examples": ["dcb3665ebd371e51"]},
    is_repeated=True,
)
SERVICE = _text("service", "of this service only")
SERVICE_PATTERN = _text(
    "service_pattern", "of services whose whole names this regular expression matches", maxLength=LONGEST_REGEX
)
METRIC = _text("metric", "of this OpenTelemetry metric only")
STATISTIC = _choice("statistic", "of this statistic only", *(each.value for each in Statistic))
CHOSEN = (SERIES, SERVICE, SERVICE_PATTERN, METRIC, STATISTIC)
SPAN = (FROM, TO)
KIND = _choice("kind", "which number", "value", "yhat", "lower", "upper", "score", "anomaly", "state")
BAND = _choice("band", "whose edge", "alert", "calibrated", "prophet")
INTERVAL_WIDTH = _choice("interval_width", "of the band", *(f"{width:g}" for width in INTERVAL_WIDTHS))
MAX_POINTS = _whole("max_points", "points of a series at most", 1, _LIMITS.points_per_series)
MANY = _whole("limit", "how many at most; 0 and absent mean as many as there may be", 0, 2**31)
SERIES_ID = Parameter("series", "id of a series", _STABLE_ID)
INCIDENT_ID = _text("incident", "id of an incident", minLength=1)
EPISODE_ID = _text("episode", "id of an episode", minLength=1)
FEEDBACK_ID = _text("feedback", "id of an answer", minLength=1)
SERIES_OF_ANSWERS = Parameter("series", "of this series only", _STABLE_ID)
RULE = _text("rule", "uid of an alert rule", minLength=1, examples=["foreband-outside-band"])
