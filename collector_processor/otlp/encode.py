"""Canonical attributes back to raw protobuf bytes, for series that no sender's bytes stand for."""

from typing import Any

from collector_processor.otlp import schema
from collector_processor.otlp.attributes import framed
from collector_processor.telemetry.series import Attributes, AttributeValue


def encode_resource(attributes: Attributes) -> bytes:
    """Encode a `Resource` message; `parse_resource` gives the attributes back."""
    encoded: bytes = schema.Resource(attributes=_key_values(attributes)).SerializeToString()
    return encoded


def encode_attributes(attributes: Attributes) -> bytes:
    """Encode the attributes of a point; `parse_attributes` gives them back."""
    return framed([kv.SerializeToString() for kv in _key_values(attributes)])


def _key_values(attributes: Attributes) -> list[Any]:
    return [schema.KeyValue(key=key, value=_any_value(value)) for key, value in attributes]


def _any_value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"bool_value": value}
        case int():
            return {"int_value": value}
        case float():
            return {"double_value": value}
        case str():
            return {"string_value": value}
        case bytes():
            return {"bytes_value": value}
        case tuple():
            return {"array_value": {"values": [_any_value(item) for item in value]}}
        case dict():
            return {"kvlist_value": {"values": _key_values(tuple(value.items()))}}
