"""Which source the points of a metric are of, or why they can't be taken."""

from functools import lru_cache
from typing import Any

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp.attributes import MAX_VALUE_BYTES, TOO_LONG
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.series import Kind

MAX_NAME_LENGTH = 1024
MAX_UNIT_LENGTH = 256

_DELTA, _CUMULATIVE = 1, 2
_SUM_KINDS = {
    (True, _CUMULATIVE): Kind.COUNTER_CUMULATIVE,
    (True, _DELTA): Kind.COUNTER_DELTA,
    (False, _CUMULATIVE): Kind.UPDOWN_CUMULATIVE,
    (False, _DELTA): Kind.UPDOWN_DELTA,
}
_HISTOGRAM_KINDS = {_CUMULATIVE: Kind.HISTOGRAM_CUMULATIVE, _DELTA: Kind.HISTOGRAM_DELTA}
_EXPONENTIAL_KINDS = {_CUMULATIVE: Kind.EXPONENTIAL_CUMULATIVE, _DELTA: Kind.EXPONENTIAL_DELTA}

_UNSPECIFIED = "temporality_unspecified"


NumberHeader = tuple[bool, bytes, bytes, int, bool]
"""Of a gauge or sum: whether it is a sum, its raw name and unit, its temporality, whether it is monotonic."""


def kind_of(choice: str, data: Any) -> Kind | str:
    """Return the kind of a metric, or the reason why it has none."""
    match choice:
        case "gauge":
            return Kind.GAUGE
        case "sum":
            return _SUM_KINDS.get((data.is_monotonic, data.aggregation_temporality), _UNSPECIFIED)
        case "histogram":
            return _HISTOGRAM_KINDS.get(data.aggregation_temporality, _UNSPECIFIED)
        case "exponential_histogram":
            return _EXPONENTIAL_KINDS.get(data.aggregation_temporality, _UNSPECIFIED)
        case _:
            return Kind.SUMMARY


def source_of(resource: bytes, scope: bytes, name: str, unit: str, kind: Kind | str, shared: int) -> Source | str:
    """Return the source of a metric, or the reason why it can't be taken; `shared` as in `NumberGroup`, or TOO_LONG."""
    reason = _objection(name, unit) or ("attribute_too_long" if shared == TOO_LONG else None)
    if reason or not isinstance(kind, Kind):
        return reason or str(kind)
    return Source(resource, scope, name, unit, kind)


def scanned_source(resource: bytes, scope: bytes, header: NumberHeader, shared: int) -> Source | str:
    """Return the same of a scanned gauge or sum; of those that come again it is the same object.

    Raises:
        MalformedRequestError: if name or unit is no UTF-8.
    """
    _, name, unit, _, _ = header
    size = len(resource) + len(scope) + len(name) + len(unit)
    read = _known_source if size <= MAX_VALUE_BYTES else _known_source.__wrapped__
    return read(resource, scope, header, shared)


@lru_cache(maxsize=8192)
def _known_source(resource: bytes, scope: bytes, header: NumberHeader, shared: int) -> Source | str:
    is_sum, name, unit, temporality, is_monotonic = header
    try:
        texts = str(name, "utf-8"), str(unit, "utf-8")
    except UnicodeDecodeError:
        raise MalformedRequestError("metrics request: a string is not valid UTF-8") from None
    kind = _SUM_KINDS.get((is_monotonic, temporality), _UNSPECIFIED) if is_sum else Kind.GAUGE
    return source_of(resource, scope, *texts, kind, shared)


def _objection(name: str, unit: str) -> str | None:
    if not name:
        return "name_missing"
    if len(unit) > MAX_UNIT_LENGTH:
        return "unit_too_long"
    return "name_too_long" if len(name) > MAX_NAME_LENGTH else None
