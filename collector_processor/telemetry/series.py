"""What a series is: one number over time, and the exact identity it has.

One OTLP metric can yield several series: a histogram has a rate, a mean and quantiles. `statistic` says
which of them a series is, so `(metric identity, statistic)` is the whole identity.

Attribute values are typed: `1`, `"1"`, `1.0` and `True` name four different series, although Python
calls three of them equal. Identity is therefore held as canonical text, never as compared values.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from sys import intern
from typing import Any

import orjson

_SETS_SHARED, _PAIRS_SHARED = 2_000, 10_000

_TAGS: dict[type, str] = {
    bool: "b",
    int: "i",
    float: "d",
    str: "s",
    bytes: "x",
    tuple: "a",
    dict: "m",
    type(None): "n",
}

AttributeValue = str | bool | int | float | bytes | None | tuple["AttributeValue", ...] | dict[str, "AttributeValue"]
Attributes = tuple[tuple[str, AttributeValue], ...]
"""Sorted by key, keys unique."""


class Kind(StrEnum):
    """What the source of a series is; part of its identity."""

    GAUGE = "gauge"
    COUNTER_CUMULATIVE = "counter_cumulative"
    COUNTER_DELTA = "counter_delta"
    UPDOWN_CUMULATIVE = "updown_cumulative"
    UPDOWN_DELTA = "updown_delta"
    HISTOGRAM_CUMULATIVE = "histogram_cumulative"
    HISTOGRAM_DELTA = "histogram_delta"
    EXPONENTIAL_CUMULATIVE = "exponential_cumulative"
    EXPONENTIAL_DELTA = "exponential_delta"
    SUMMARY = "summary"
    SPAN = "span"
    LOG = "log"


class Statistic(StrEnum):
    """Which number of its source a series follows."""

    VALUE = "value"
    TOTAL = "total"  # a cumulative counter as it came; kept for rates, never modelled
    COUNT = "count"  # the count of a summary or cumulative histogram; kept for rates, never modelled
    SUM = "sum"  # the sum of a summary or cumulative histogram; kept for means, never modelled
    BUCKET = "bucket"  # what a cumulative histogram counts up to its attribute `le`; kept for quantiles, never modelled
    RATE = "rate"  # per second
    MEAN = "mean"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    ERROR_RATIO = "error_ratio"  # 0..1

    @property
    def is_modelled(self) -> bool:
        """Whether series of this statistic get a forecast and verdicts."""
        return self not in {Statistic.TOTAL, Statistic.COUNT, Statistic.SUM, Statistic.BUCKET}


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope a metric came from."""

    name: str = ""
    version: str = ""
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True, eq=False)
class SeriesKey:
    """Identity of a series; equal exactly when the canonical text is equal.

    The metric name is compared without case, as the OpenTelemetry metric specification asks; its
    spelling is kept. The description is not part of the identity.
    """

    resource: Attributes
    scope: Scope
    metric: str
    unit: str
    kind: Kind
    statistic: Statistic
    attributes: Attributes
    identity: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = [
            tagged(self.resource),
            [self.scope.name, self.scope.version, tagged(self.scope.attributes)],
            self.metric.lower(),
            self.unit,
            self.kind.value,
            self.statistic.value,
            tagged(self.attributes),
        ]
        object.__setattr__(self, "identity", _canonical(parts))
        for name in ("resource", "attributes"):
            object.__setattr__(self, name, _shared(getattr(self, name)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeriesKey) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def stable_id(self) -> str:
        """Return 16 hex digits that name this series in every store and after every restart."""
        return blake2b(self.identity, digest_size=8).hexdigest()

    @property
    def value_unit(self) -> str:
        """Return the unit of the numbers as shown: UCUM, annotations without braces, rates per second."""
        text = self.unit.replace("{", "").replace("}", "")
        if self.statistic is Statistic.ERROR_RATIO:
            return "1"
        if self.statistic is not Statistic.RATE or text.endswith("/s"):
            return text
        return f"{text}/s" if text not in {"", "1"} else "/s"

    @property
    def service(self) -> str:
        """Return `service.name`, or `unknown_service` where the sender set none."""
        name = dict(self.resource).get("service.name")
        return name if isinstance(name, str) and name else "unknown_service"

    def to_json(self) -> str:
        """Encode for a store; `SeriesKey.from_json` gives back an equal key."""
        fields = {
            "resource": tagged(self.resource),
            "scope": [self.scope.name, self.scope.version, tagged(self.scope.attributes)],
            "metric": self.metric,
            "unit": self.unit,
            "kind": self.kind.value,
            "statistic": self.statistic.value,
            "attributes": tagged(self.attributes),
        }
        return _canonical(fields).decode()

    @classmethod
    def from_json(cls, text: str) -> "SeriesKey":
        """Decode what `to_json` wrote.

        Raises:
            ValueError, KeyError: if the text is not such a key.
        """
        d = _decoded(text)
        name, version, scope_attributes = d["scope"]
        return cls(
            resource=untagged(d["resource"]),
            scope=Scope(name, version, untagged(scope_attributes)) if scope_attributes else _scope(name, version),
            metric=intern(d["metric"]),
            unit=intern(d["unit"]),
            kind=Kind(d["kind"]),
            statistic=Statistic(d["statistic"]),
            attributes=untagged(d["attributes"]),
        )


def _shared(attributes: Attributes) -> Attributes:
    """Return equal attributes: those of another key where that has the same, its pairs where it has some of them.

    Only texts, since numbers of other types are equal, too. What many series have takes memory once.
    """
    texts = tuple((name, value) for name, value in attributes if isinstance(value, str))
    if len(texts) == len(attributes):
        return _shared_texts(texts)
    return tuple(_shared_pair(name, value) if isinstance(value, str) else (name, value) for name, value in attributes)


@lru_cache(_SETS_SHARED)
def _shared_texts(texts: tuple[tuple[str, str], ...]) -> Attributes:
    return tuple(_shared_pair(name, text) for name, text in texts)


@lru_cache(_PAIRS_SHARED)
def _shared_pair(name: str, text: str) -> tuple[str, str]:
    return intern(name), text


@lru_cache(_SETS_SHARED)
def _scope(name: str, version: str) -> Scope:
    return Scope(name, version)


def _canonical(parts: list[Any] | dict[str, Any]) -> bytes:
    """Write JSON in printable ASCII without blanks; where there is nothing else orjson writes the same, and faster."""
    with suppress(orjson.JSONEncodeError):  # half of a surrogate pair
        written = orjson.dumps(parts)
        if written.isascii() and b"\x7f" not in written:
            return bytes(memoryview(written))  # orjson leaves it all 4 KiB that were reserved for writing it
    return json.dumps(parts, separators=(",", ":")).encode()


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def tagged(attributes: Attributes) -> list[list[Any]]:
    """Write attributes as `[key, tag, text]`, the canonical and type-preserving form."""
    return [[key, "s", value] if type(value) is str else [key, *_tag(value)] for key, value in attributes]


def untagged(rows: list[list[Any]]) -> Attributes:
    """Read what `tagged` wrote."""
    return tuple((key, _untag(tag, payload)) for key, tag, payload in rows)


def _tag(value: AttributeValue) -> tuple[str, Any]:
    tag = _TAGS[type(value)]
    if isinstance(value, bool) or value is None:
        return tag, int(bool(value))
    if isinstance(value, int):
        return tag, str(value)
    if isinstance(value, float):
        return tag, value.hex()
    if isinstance(value, bytes):
        return tag, value.hex()
    if isinstance(value, tuple):
        return tag, [list(_tag(item)) for item in value]
    if isinstance(value, dict):
        return tag, tagged(tuple(sorted(value.items())))
    return tag, value


def _untag(tag: str, payload: Any) -> AttributeValue:
    match tag:
        case "b":
            return bool(payload)
        case "i":
            return int(payload)
        case "d":
            return float.fromhex(payload)
        case "x":
            return bytes.fromhex(payload)
        case "a":
            return tuple(_untag(*item) for item in payload)
        case "m":
            return dict(untagged(payload))
        case "n":
            return None
        case "s":
            return str(payload)
        case _:
            raise ValueError(f"unknown attribute type tag {tag!r}")


def attribute_text(value: AttributeValue) -> str:
    """Write an attribute value as a label value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return "[" + ",".join(attribute_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}={attribute_text(v)}" for k, v in sorted(value.items())) + "}"
    return "" if value is None else str(value)
