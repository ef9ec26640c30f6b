"""Raw attribute bytes to the canonical, typed form of which identities are made; and the limits on them.

Three framings occur. A resource and a scope are whole messages. The attributes of a data point are its `KeyValue`s as
fields number 7, exactly as they stand in a `NumberDataPoint`; those of histogram points are re-tagged to that.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Generic, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp import schema, wire
from collector_processor.otlp.elements import MAX_ATTRIBUTES, Budget
from collector_processor.telemetry.points import Int64
from collector_processor.telemetry.series import Attributes, AttributeValue, Scope

MAX_DEPTH = 32
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 4096

TOO_LONG = -1
"""The size of a set in which a key or a value exceeds its limit."""
UNKNOWN = -2
"""The size of a set that nobody measured yet."""

POINT_TAG = 7 << 3 | wire.LENGTH

V = TypeVar("V")


def parse(message_class: Any, raw: bytes, what: str) -> Any:
    """Parse protobuf bytes.

    Raises:
        MalformedRequestError: if they are not such a message.
    """
    try:
        return message_class.FromString(raw)
    except DecodeError as error:
        if "UTF-8" in str(error):
            raise MalformedRequestError(f"{what}: a string is not valid UTF-8") from None
        raise MalformedRequestError(f"{what}: not a valid protobuf message") from None


def parse_resource(raw: bytes, budget: Budget | None = None) -> Attributes:
    """Return the attributes of a raw `Resource` message: sorted, of equal keys the last."""
    return _canonical(parse(schema.Resource, raw, "resource").attributes, budget)


def parse_scope(raw: bytes, budget: Budget | None = None) -> Scope:
    """Return a raw `InstrumentationScope` message."""
    scope = parse(schema.ScopeMessage, raw, "scope")
    return Scope(scope.name, scope.version, _canonical(scope.attributes, budget))


def parse_attributes(raw: bytes, budget: Budget | None = None) -> Attributes:
    """Return the attributes of a point, given as `KeyValue` fields with number 7: sorted, of equal keys the last."""
    return _canonical(parse(schema.PointAttributes, raw, "attributes").attributes, budget)


def framed(key_values: Iterable[bytes]) -> bytes:
    """Frame raw `KeyValue` messages as `parse_attributes` reads them."""
    encoded: bytes = schema.RawPointAttributes(attributes=key_values).SerializeToString()
    return encoded


def is_framed(raw: bytes, tag: int = POINT_TAG) -> bool:
    """Tell whether `raw` consists of attribute fields (those with `tag`) and nothing else."""
    position, end = 0, len(raw)
    try:
        while position < end:
            if raw[position] != tag:
                return False
            length, position = wire.read_varint(raw, position + 1)
            position += length
    except IndexError:
        return False
    return position == end


class Memo(Generic[V]):
    """Values by byte string, bounded in bytes: past the bound it starts again from nothing."""

    def __init__(self, max_bytes: int) -> None:
        self.known: dict[bytes, V] = {}
        self._max_bytes = max_bytes
        self._bytes = 0

    def remember(self, raw: bytes, value: V) -> None:
        """Keep a value, unless its key is so long that it is better found again each time."""
        if self._bytes > self._max_bytes:
            self.known, self._bytes = {}, 0
        if len(raw) <= MAX_VALUE_BYTES:
            self.known[raw] = value
            self._bytes += len(raw) + 100  # what an entry costs beside its bytes


class AttributeSizes:
    """Measure attribute sets, each distinct one once.

    A size is the number of attributes, or `TOO_LONG`. To be measured a set is parsed, so a known set is well formed.
    """

    def __init__(self, parse_set: Callable[[bytes, Budget], Attributes], *, max_bytes: int) -> None:
        self._parse = parse_set
        self._memo: Memo[int] = Memo(max_bytes)

    def known(self, sets: Sequence[bytes]) -> Int64:
        """Return the size of each set `(n,)`, `UNKNOWN` where it was never measured."""
        return np.fromiter(map(self._memo.known.get, sets, repeat(UNKNOWN)), np.int64, len(sets))

    def measure(self, raw: bytes, budget: Budget) -> int:
        """Return the size of a set; one not known yet is parsed at the cost of `budget`.

        Raises:
            MalformedRequestError: if it can't be parsed.
            TooLargeError: if the budget is spent.
        """
        size = self.look_at(raw, budget)
        if raw not in self._memo.known:
            self._memo.remember(raw, size)
        return size

    def look_at(self, raw: bytes, budget: Budget) -> int:
        """Measure a set as `measure` does, and do not remember it.

        Raises:
            MalformedRequestError, TooLargeError: as `measure`.
        """
        size = self._memo.known.get(raw)
        return _size(self._parse(raw, budget)) if size is None else size


def _canonical(key_values: Any, budget: Budget | None) -> Attributes:
    return tuple(sorted(_mapping(key_values, 1, budget or Budget(MAX_ATTRIBUTES)).items()))


def _mapping(key_values: Any, depth: int, budget: Budget) -> dict[str, AttributeValue]:
    budget.spend(len(key_values))
    return {kv.key: _value(kv.value, depth, budget) for kv in key_values}


def _value(value: Any, depth: int, budget: Budget) -> AttributeValue:
    if depth > MAX_DEPTH:
        raise MalformedRequestError(f"attributes: a value is nested deeper than {MAX_DEPTH} levels")
    choice = value.WhichOneof("choice")
    if choice is None:
        return None
    content = getattr(value, choice)
    if choice == "array_value":
        budget.spend(len(content.values))
        return tuple(_value(item, depth + 1, budget) for item in content.values)
    if choice == "kvlist_value":
        return _mapping(content.values, depth + 1, budget)
    scalar: AttributeValue = content
    return scalar


def _size(attributes: Attributes) -> int:
    too_long = any(
        len(key.encode()) > MAX_KEY_BYTES or _value_bytes(value) > MAX_VALUE_BYTES for key, value in attributes
    )
    return TOO_LONG if too_long else len(attributes)


def _value_bytes(value: AttributeValue) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple):
        return sum(2 + _value_bytes(item) for item in value)
    if isinstance(value, dict):
        return sum(4 + len(key.encode()) + _value_bytes(item) for key, item in value.items())
    return 8


RESOURCE_SIZES = AttributeSizes(parse_resource, max_bytes=4 << 20)
"""Of the resources that requests of any signal came with."""
