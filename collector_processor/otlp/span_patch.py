"""Attributes appended to the raw bytes of spans, without decoding them.

Unknown fields, events, links, everything this module never looked at, leaves as it came.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from collector_processor.otlp import schema, wire
from collector_processor.otlp.additions import SPAN_KEYS, STOCK_ADDITIONS, Additions, Detail, Ours, attribute
from collector_processor.otlp.decode import ParsedTraces
from collector_processor.telemetry.points import Bool, Float64

_ATTRIBUTES = 9  # their field number in a span
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
    return [
        joined[at : at + width] + version_of[version] if is_scored else b""
        for at, version, is_scored in zip(
            range(0, len(joined), width), model_version, (~np.isnan(score)).tolist(), strict=True
        )
    ]


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
    is_ours_possible = ours.prefix in parsed.body
    done = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = list(scope_spans.spans)
            added = extra[done : done + len(spans)]
            done += len(spans)
            if is_ours_possible:
                spans = [
                    ours.taken_off(schema.SpliceSpan, span) if more else span
                    for span, more in zip(spans, added, strict=True)
                ]
            scope_spans.spans[:] = [span + more for span, more in zip(spans, added, strict=True)]
    patched: bytes = request.SerializeToString()
    return patched


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
