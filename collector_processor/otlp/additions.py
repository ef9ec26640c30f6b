"""What Foreband adds to telemetry on its way through, and under which names."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from collector_processor.otlp import schema, wire

SPAN_KEYS = ("anomaly", "score", "expected.lower", "expected.upper", "model.version")
"""Attributes of a judged span, behind the prefix; two of them in the minimal set."""

BAND_METRICS = ("yhat", "lower", "upper", "score", "anomaly")
"""Gauges that carry what is expected of a point, behind the prefix: three in its unit, score and anomaly dimensionless;
the last two in the minimal set."""

POINT_KEYS = ("metric", "statistic")


class Which(StrEnum):
    """What is enriched of what was judged."""

    ALL = "all"
    ANOMALOUS = "anomalous"
    NONE = "none"


class Detail(StrEnum):
    """How much is said about each."""

    FULL = "full"
    MINIMAL = "minimal"


@dataclass(frozen=True, slots=True)
class Additions:
    """What is added, and under which names.

    Attribute keys are unique in OTLP: where a span carries keys of the prefix already, all of those named in
    SPAN_KEYS give way to what is added, so that no mixture of two verdicts is left. What nothing is added to stays.
    """

    spans: Which = Which.ALL
    metrics: Which = Which.ALL
    detail: Detail = Detail.FULL
    attribute_prefix: str = "foreband"
    metric_prefix: str = "foreband"

    def attribute(self, key: str) -> str:
        """Return the whole key of an attribute."""
        return f"{self.attribute_prefix}.{key}"

    @property
    def gauges(self) -> tuple[bool, ...]:
        """Tell for each of BAND_METRICS whether it is sent."""
        return (self.detail is Detail.FULL,) * 3 + (True,) * 2


STOCK_ADDITIONS = Additions()


class Ours:
    """Takes attributes with our keys off messages that carry them already."""

    def __init__(self, additions: Additions, keys: Sequence[str]) -> None:
        self._prefix = f"{additions.attribute_prefix}.".encode()
        self._keys = {additions.attribute(key) for key in keys}

    def may_be_in(self, raw: bytes) -> bool:
        """Tell whether our prefix is in there; what has not even its ends is known in a third of the time."""
        data, apart = np.frombuffer(raw, np.uint8), len(self._prefix) - 1
        has_ends = data[:-apart] == self._prefix[0]
        has_ends &= data[apart:] == self._prefix[-1]
        return bool(has_ends.any()) and self._prefix in raw

    def taken_off(self, message_class: Any, raw: bytes) -> bytes:
        """Return a message without those of its attributes."""
        if self._prefix not in raw:
            return raw
        message = message_class.FromString(raw)
        message.attributes[:] = [kv for kv in message.attributes if _key(kv) not in self._keys]
        encoded: bytes = message.SerializeToString()
        return encoded


def _key(key_value: bytes) -> str | None:
    """Return the key of an attribute nobody has looked into yet, None where it is broken (and stays as it is)."""
    try:
        return str(schema.KeyValue.FromString(key_value).key)
    except DecodeError:
        return None


def attribute(number: int, key: str, any_value: bytes) -> bytes:
    """Encode an attribute as the field of this number; `any_value` is an encoded AnyValue."""
    return wire.field(number, wire.field(1, key.encode()) + wire.field(2, any_value))
