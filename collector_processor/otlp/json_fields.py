"""JSON values to protobuf messages, by the message's own descriptor.

Protobuf's mapping as OTLP has it: trace and span ids are hexadecimal, names are in lowerCamelCase or snake_case,
enumerations given by number or name, 64-bit integers and numbers that JSON has not may be text; unknown keys are
ignored, null is the default. (`json_format.ParseDict` takes a list or a text for a message, and drops it.)
"""

import math
import re
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from collector_processor.errors import MalformedRequestError

MAX_DEPTH = 100
"""Messages in each other, as in protobuf's own parser."""

_HEX_DIGITS = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Field(NamedTuple):
    """What is done with a key; `choice` is the oneof it belongs to, else its own name."""

    name: str
    choice: str
    is_list: bool
    read: Callable[[Any], Any] | None  # None: a message


def fill(message: Any, values: Any, depth: int = 0) -> None:
    """Set the fields of a message from a JSON object.

    Raises:
        MalformedRequestError: if it is none, a value does not fit its field, or a field is given twice.
    """
    if not isinstance(values, dict):
        raise MalformedRequestError(f"JSON: {message.DESCRIPTOR.name} should be an object, not {_shown(values)}")
    if depth > MAX_DEPTH:
        raise MalformedRequestError("JSON: nested too deep")
    fields, given = _fields(message.DESCRIPTOR), set()
    for key, value in values.items():
        field = fields.get(key)
        if field is None or value is None:
            continue
        if field.choice in given:
            raise MalformedRequestError(f"JSON: {key} is given twice, or beside another of the same choice")
        given.add(field.choice)
        _set(message, field, key, value, depth + 1)


def _set(message: Any, field: _Field, key: str, value: Any, depth: int) -> None:
    if field.is_list:
        if not isinstance(value, list):
            raise MalformedRequestError(f"JSON: {key} should be an array, not {_shown(value)}")
        found = getattr(message, field.name)
        if field.read is None:
            for item in value:
                fill(found.add(), item, depth)
        else:
            found.extend([field.read(item) for item in value])
    elif field.read is None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        fill(inner, value, depth)
    else:
        try:
            setattr(message, field.name, field.read(value))
        except (TypeError, ValueError, OverflowError):
            raise MalformedRequestError(f"JSON: {key} cannot be {_shown(value)}") from None


@cache
def _fields(descriptor: Descriptor) -> dict[str, _Field]:
    found = {}
    for field in descriptor.fields:
        choice = field.containing_oneof.name if field.containing_oneof else field.name
        described = _Field(field.name, choice, field.is_repeated, _reader(field))
        found[field.name] = found[field.json_name] = described
    return found


def _reader(field: FieldDescriptor) -> Callable[[Any], Any] | None:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return None
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return _number
        case FieldDescriptor.CPPTYPE_BOOL:
            return _exactly(bool)
        case FieldDescriptor.CPPTYPE_ENUM:
            kind: Any = field.enum_type
            names = {name: value.number for name, value in kind.values_by_name.items()}
            return lambda value: names.get(value, 0) if isinstance(value, str) else _integer(value)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            return _exactly(str)
        case FieldDescriptor.CPPTYPE_STRING:
            digits = _HEX_DIGITS.get(field.name)
            return _base64 if digits is None else lambda value: _hex(value, digits)
        case _:
            return _integer


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return read


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _number(value: Any) -> float:
    if isinstance(value, str):
        if value in _NOT_JSON:
            return _NOT_JSON[value]
        if not _NUMBER.fullmatch(value):
            raise ValueError
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    number = float(value)
    if math.isinf(number):
        raise ValueError
    return number


def _base64(value: Any) -> bytes:
    """Decode either alphabet, with or without padding."""
    text = _exactly(str)(value).translate(_URL_SAFE).rstrip("=")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _hex(value: Any, digits: int) -> bytes:
    if value and not (isinstance(value, str) and len(value) == digits and value.isalnum()):
        raise ValueError
    return bytes.fromhex(value)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return f"{value!r:.80}"


_URL_SAFE = str.maketrans("-_", "+/")
