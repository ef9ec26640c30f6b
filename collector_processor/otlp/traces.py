"""Trace requests to columns: large ones by compiled code where that is loaded, all others by the parser."""

from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import RESOURCE_SIZES, parse
from collector_processor.otlp.calls import PeerReader, choose_links, links_of, read_links
from collector_processor.otlp.elements import (
    MAX_ATTRIBUTES,
    MAX_ELEMENTS,
    MAX_POINTS,
    RECORDS_SHAPE,
    Budget,
    check_elements,
)
from collector_processor.otlp.records import Columns, flattened, small_numbers
from collector_processor.otlp.span_scan import SpanScanner, SpanTable
from collector_processor.telemetry.arrival import SpanArrivals
from collector_processor.telemetry.points import Int32

SCANNER = SpanScanner()
"""One for all doors."""

_STATUS_ERROR = 2
_HIGHEST_KIND = 5


@dataclass(frozen=True, slots=True)
class ParsedTraces:
    """A trace request as it came, known to be valid; `spans` of them, in the order of the message."""

    body: bytes
    spans: int


def decode_traces(body: bytes) -> tuple[SpanArrivals, ParsedTraces]:
    """Decode an ExportTraceServiceRequest; the attributes of spans are not looked into.

    Raises:
        MalformedRequestError: if the bytes are not such a request.
        TooLargeError: if it has too many elements.
    """
    check_elements(body, RECORDS_SHAPE)
    table = SCANNER.scan(body)
    arrivals = parsed_arrivals(body) if table is None else scanned_arrivals(table)
    return arrivals, ParsedTraces(body, len(arrivals))


def parsed_arrivals(body: bytes) -> SpanArrivals:
    """Return what the parser finds."""
    request = parse(schema.TraceRequest, body, "trace request")
    peers = PeerReader()
    resources, index, (name, kind, start, end, status, link) = flattened(
        request.resource_spans, "scope_spans", "spans", partial(_span_columns, peers)
    )
    numbers = dict(zip(dict.fromkeys(name), count()))
    return SpanArrivals(
        resources,
        index,
        list(numbers),
        np.array([numbers[text] for text in name], np.int32),
        small_numbers(kind, _HIGHEST_KIND),
        wire.signed_times(start),
        wire.signed_times(end),
        np.array(status, np.int64) == _STATUS_ERROR,
        links_of(link),
        peers.peers,
    )


def scanned_arrivals(table: SpanTable) -> SpanArrivals:
    """Return what the scanner found."""
    resources, number = _resources(table)
    link = choose_links(table.kind, table.own_id, table.parent_id)
    peers = PeerReader()
    peers.read_columns(table.kind, link, table.span)
    return SpanArrivals(
        resources,
        number[table.group],
        table.names,
        table.name,
        small_numbers(table.kind, _HIGHEST_KIND),
        table.start,
        table.end,
        table.status == _STATUS_ERROR,
        link,
        peers.peers,
    )


def _resources(table: SpanTable) -> tuple[list[bytes], Int32]:
    """Return the distinct resources, and the place of each of the request's among them; check all that is limited."""
    elements, attributes = Budget(MAX_ELEMENTS), Budget(MAX_ATTRIBUTES)
    elements.spend(len(table.resources) + table.scopes)
    Budget(MAX_POINTS).spend(len(table.place))
    for resource in table.resources:
        RESOURCE_SIZES.measure(resource, attributes)
    numbers = dict(zip(dict.fromkeys(table.resources), count()))
    return list(numbers), np.array([numbers[resource] for resource in table.resources], np.int32)


def _span_columns(peers: PeerReader, spans: list[Any]) -> Columns:
    kinds = [span.kind for span in spans]
    peers.read(spans, kinds)
    return (
        [span.name for span in spans],
        kinds,
        [span.start_time_unix_nano for span in spans],
        [span.end_time_unix_nano for span in spans],
        [span.status.code for span in spans],
        [read_links(spans, kinds)],
    )
