"""Attributes appended to the raw bytes of spans, without decoding them.

Unknown fields, events, links, everything this module never looked at, leaves as it came.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import add

import numpy as np

from collector_processor.otlp import schema, wire
from collector_processor.otlp.additions import SPAN_KEYS, STOCK_ADDITIONS, Additions, Detail, Ours, attribute
from collector_processor.otlp.decode import ParsedTraces
from collector_processor.telemetry.points import Bool, Float64

_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS, _ATTRIBUTES = 1, 2, 2, 9  # field numbers, each in the message around it
_BOOL_VALUE, _DOUBLE_VALUE = b"\x10", b"\x21"  # tags in an AnyValue


def span_attributes(
    anomaly: Bool,
    score: Float64,
    lower: Float64,
    upper: Float64,
    model_version: Sequence[str],
    additions: Additions = STOCK_ADDITIONS,
) -> list[bytes]:
    """Encode the attributes of `n` spans, edges in seconds; empty where the score is NaN (no forecast)."""
    template, columns = _span_template(additions)
    rows = np.tile(np.frombuffer(template, np.uint8), (score.size, 1))
    rows[:, columns[0]] = anomaly
    for column, values in zip(columns[1:], (score, lower, upper), strict=False):
        rows[:, column : column + 8] = wire.little_endian(values)
    joined, width = rows.tobytes(), len(template)
    version_of = {version: _version_attribute(version, additions) for version in set(model_version)}
    found = [
        joined[at : at + width] + version_of[version]
        for at, version in zip(range(0, len(joined), width), model_version, strict=True)
    ]
    for unscored in np.flatnonzero(np.isnan(score)).tolist():
        found[unscored] = b""
    return found


def append_span_attributes(
    parsed: ParsedTraces, extra: Sequence[bytes], additions: Additions = STOCK_ADDITIONS
) -> bytes:
    """Return the request with `extra[i]` (as `span_attributes` encodes it) appended to span `i`.

    With nothing to add the request's own bytes are returned.
    """
    if len(extra) != parsed.spans:
        raise ValueError(f"{len(extra)} attribute sets for {parsed.spans} spans")
    if not any(extra):
        return parsed.body
    request = schema.SpliceRequest.FromString(parsed.body)
    ours = Ours(additions, SPAN_KEYS)
    is_ours_possible, done = ours.prefix in parsed.body, 0
    pieces: list[bytes] = []
    for resource_spans in request.resource_spans:
        scopes: list[bytes] = []
        for scope_spans in resource_spans.scope_spans:
            spans: Sequence[bytes] = list(scope_spans.spans)
            added = extra[done : done + len(spans)]
            done += len(spans)
            if is_ours_possible:
                spans = _without_ours(ours, spans, added)
            scope_spans.ClearField("spans")
            _put_message(scopes, _SCOPE_SPANS, [scope_spans.SerializeToString(), *_joined(spans, added)])
        resource_spans.ClearField("scope_spans")
        _put_message(pieces, _RESOURCE_SPANS, [resource_spans.SerializeToString(), *scopes])
    request.ClearField("resource_spans")
    return b"".join([request.SerializeToString(), *pieces])


def _without_ours(ours: Ours, spans: Sequence[bytes], added: Sequence[bytes]) -> list[bytes]:
    return [ours.taken_off(schema.SpliceSpan, span) if more else span for span, more in zip(spans, added, strict=True)]


def _joined(spans: Sequence[bytes], added: Sequence[bytes]) -> list[bytes]:
    """Return pieces of the field `spans`, three a span: so that only the bytes of the whole request are copied."""
    pieces = [b""] * (3 * len(spans))
    pieces[0::3] = map(_span_head, map(add, map(len, spans), map(len, added)))
    pieces[1::3], pieces[2::3] = spans, added
    return pieces


def _put_message(pieces: list[bytes], number: int, message: list[bytes]) -> None:
    """Add a length-delimited field whose payload is in pieces."""
    pieces.append(wire.varint(number << 3 | wire.LENGTH) + wire.varint(sum(map(len, message))))
    pieces += message


@lru_cache(maxsize=4096)
def _span_head(length: int) -> bytes:
    return wire.varint(_SPANS << 3 | wire.LENGTH) + wire.varint(length)


@lru_cache(maxsize=4)
def _span_template(additions: Additions) -> tuple[bytes, list[int]]:
    """Return the attributes of fixed size with zeros for values, and where each value begins."""
    values = (_BOOL_VALUE + b"\0", *[_DOUBLE_VALUE + bytes(8)] * (3 if additions.detail is Detail.FULL else 1))
    template, columns = b"", []
    for key, value in zip(SPAN_KEYS, values, strict=False):
        template += attribute(_ATTRIBUTES, additions.attribute(key), value)
        columns.append(len(template) - len(value) + 1)
    return template, columns


@lru_cache(maxsize=4096)
def _version_attribute(version: str, additions: Additions) -> bytes:
    if additions.detail is Detail.MINIMAL:
        return b""
    return attribute(_ATTRIBUTES, additions.attribute(SPAN_KEYS[-1]), wire.field(1, version.encode()))
