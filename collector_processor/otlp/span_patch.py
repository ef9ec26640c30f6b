"""Attributes appended to the raw bytes of spans, without decoding them.

Unknown fields, events, links, everything this module never looked at, leaves as it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add

import numpy as np
import numpy.typing as npt

from collector_processor.otlp import schema, wire
from collector_processor.otlp.additions import SPAN_KEYS, STOCK_ADDITIONS, Additions, Detail, Ours, attribute
from collector_processor.otlp.traces import SCANNER, ParsedTraces
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS, _ATTRIBUTES = 1, 2, 2, 9  # field numbers, each in the message around it
_BOOL_VALUE, _DOUBLE_VALUE = b"\x10", b"\x21"  # tags in an AnyValue


@dataclass(frozen=True, slots=True)
class SpanExtras:
    """What is appended to spans: of row `i` of `rows (n, width)` the first `size[i]` bytes to span `i`."""

    rows: npt.NDArray[np.uint8]
    size: Int32

    def __len__(self) -> int:
        return self.size.size

    def part(self, first: int, last: int) -> "SpanExtras":
        """Return those of spans `first` to `last`, that one excluded."""
        return SpanExtras(self.rows[first:last], self.size[first:last])

    def pieces(self) -> list[bytes]:
        """Return the bytes for each span."""
        joined, width = self.rows.tobytes(), self.rows.shape[1]
        return [joined[i * width : i * width + size] for i, size in enumerate(self.size.tolist())]


def span_attributes(
    anomaly: Bool,
    score: Float64,
    lower: Float64,
    upper: Float64,
    model_version: Int64,
    additions: Additions = STOCK_ADDITIONS,
) -> SpanExtras:
    """Encode the attributes of `n` spans, edges in seconds; none where the score is NaN (no forecast)."""
    template, columns = _span_template(additions)
    versions, version_of = np.unique(model_version, return_inverse=True)
    wholes = [template + _version_attribute(version, additions) for version in versions.tolist()]
    width = max(map(len, wholes), default=len(template))
    padded = np.frombuffer(b"".join(whole.ljust(width, b"\0") for whole in wholes), np.uint8)
    rows = padded.reshape(len(wholes), width)[version_of]
    rows[:, columns[0]] = anomaly
    for column, values in zip(columns[1:], (score, lower, upper), strict=False):
        rows[:, column : column + 8] = wire.little_endian(values)
    sizes = np.array([len(whole) for whole in wholes], np.int32)
    return SpanExtras(rows, np.where(np.isnan(score), np.int32(0), sizes[version_of]))


def append_span_attributes(parsed: ParsedTraces, extras: SpanExtras, additions: Additions = STOCK_ADDITIONS) -> bytes:
    """Return the request with what `extras` holds for each span appended to it.

    With nothing to add the request's own bytes are returned.
    """
    if len(extras) != parsed.spans:
        raise ValueError(f"{len(extras)} attribute sets for {parsed.spans} spans")
    if not extras.size.any():
        return parsed.body
    ours = Ours(additions, SPAN_KEYS)
    if ours.may_be_in(parsed.body):
        return _patched(parsed.body, extras.pieces(), ours)
    spliced = SCANNER.splice(parsed.body, extras.rows, extras.size)
    return _patched(parsed.body, extras.pieces()) if spliced is None else spliced


def _patched(body: bytes, extra: Sequence[bytes], ours: Ours | None = None) -> bytes:
    """Append to spans by the parser; `ours` takes attributes off them first."""
    request = schema.SpliceRequest.FromString(body)
    done = 0
    pieces: list[bytes] = []
    for resource_spans in request.resource_spans:
        scopes: list[bytes] = []
        for scope_spans in resource_spans.scope_spans:
            spans: Sequence[bytes] = list(scope_spans.spans)
            added = extra[done : done + len(spans)]
            done += len(spans)
            if ours is not None:
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
def _version_attribute(version: int, additions: Additions) -> bytes:
    if additions.detail is Detail.MINIMAL:
        return b""
    text = str(version) if version else ""
    return attribute(_ATTRIBUTES, additions.attribute(SPAN_KEYS[-1]), wire.field(1, text.encode()))
