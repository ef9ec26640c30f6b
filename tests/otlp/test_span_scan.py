"""Compiled code and the parser find the same spans; what the former does not know it leaves to the latter."""

import random
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp import span_kernel
from collector_processor.otlp.span_scan import LEAST_BYTES, SpanScanner, scanned, spliced
from collector_processor.otlp.traces import SCANNER, decode_traces, parsed_arrivals, scanned_arrivals
from tests.otlp import stock
from tests.otlp.stock import ExportTraceServiceRequest, attribute, extras_of, spans_request
from tests.otlp.test_additions import canonical, extras_for, patched_by_stock
from tests.otlp.test_fuzz import damage
from tests.process import wait_until

KERNEL: ModuleType = span_kernel


def columns(arrivals: Any) -> dict[str, Any]:
    """Return what was found, names and resources in words."""
    found = {field.name: getattr(arrivals, field.name) for field in fields(arrivals)}
    found["resource"] = [found["resources"][i] for i in found.pop("resource")]
    found["name"] = [found["names"][i] for i in found.pop("name")]
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def assert_same(body: bytes) -> bool:
    """Assert that what is scanned is what is parsed; tell whether it was scanned and good."""
    table = scanned(KERNEL, body)
    if table is None:
        return False
    try:
        arrivals = scanned_arrivals(table)
    except MalformedRequestError as error:  # of a resource
        with pytest.raises(MalformedRequestError, match=str(error)):
            parsed_arrivals(body)
        return False
    assert columns(arrivals) == columns(parsed_arrivals(body))
    return True


def traced_shop(spans: int) -> ExportTraceServiceRequest:
    """Return requests with every kind of span, some that call, and names that come again."""
    request = spans_request()
    for i in range(spans):
        group = request.resource_spans[0].scope_spans[0] if i % 7 else request.resource_spans.add().scope_spans.add()
        span: Any = group.spans.add(
            name=f"GET /{i % 11}/é", kind=i % 6, start_time_unix_nano=i, end_time_unix_nano=2**63
        )
        span.trace_id, span.span_id = bytes(16), i.to_bytes(8, "big") if i % 5 else b"short"
        span.parent_span_id = (i - 1).to_bytes(8, "little", signed=True)
        span.status.code, span.status.message = i % 3, "what happened"
        span.attributes.append(attribute("peer.service", f"shop-{i % 3}"))
        span.events.add(name="event", time_unix_nano=i)
    return request


@settings(max_examples=40)
@given(stock.trace_requests())
def test_a_scan_finds_what_the_parser_finds(body: bytes) -> None:
    assert_same(body)


def test_a_plain_request_is_scanned_with_all_its_columns() -> None:
    assert assert_same(traced_shop(500).SerializeToString())


@pytest.mark.parametrize("seed", range(4))
def test_what_is_scanned_of_damaged_requests_the_parser_takes_and_finds_too(seed: int) -> None:
    draw, body = random.Random(seed), traced_shop(6).SerializeToString()
    assert sum(assert_same(damage(body, draw)) for _ in range(700)) > 50


@settings(max_examples=40)
@given(stock.trace_requests(), st.randoms(use_true_random=False))
def test_spliced_requests_equal_what_the_stock_classes_make(body: bytes, draw: random.Random) -> None:
    chosen = [draw.random() < 0.5 for _ in range(len(parsed_arrivals(body)))]
    extras = extras_for(chosen)
    found = spliced(KERNEL, body, extras.rows, extras.size)
    if found is not None:
        assert canonical(ExportTraceServiceRequest.FromString(found)) == canonical(patched_by_stock(body, chosen))


def test_sizes_of_messages_grow_with_what_is_spliced_into_them() -> None:
    body = traced_shop(500).SerializeToString()
    extras = extras_for([i % 3 > 0 for i in range(500)])
    found = spliced(KERNEL, body, extras.rows, extras.size)
    assert found is not None
    chosen = patched_by_stock(body, [i % 3 > 0 for i in range(500)])
    assert canonical(ExportTraceServiceRequest.FromString(found)) == canonical(chosen)


def test_bytes_are_spliced_behind_a_single_empty_span() -> None:
    extras = extras_of(b"\x4a\x00", 1)
    found = spliced(KERNEL, b"\x0a\x04\x12\x02\x12\x00", extras.rows, extras.size)
    assert found == b"\x0a\x06\x12\x04\x12\x02\x4a\x00"


@pytest.mark.parametrize("seed", range(4))
def test_splicing_changes_nothing_else_in_damaged_requests(seed: int) -> None:
    draw, body, taken = random.Random(seed), traced_shop(6).SerializeToString(), 0
    for _ in range(300):
        damaged = damage(body, draw)
        if assert_same(damaged):
            before = columns(parsed_arrivals(damaged))
            extras = extras_of(b"\x4a\x00", len(before["name"]))
            found = spliced(KERNEL, damaged, extras.rows, extras.size)
            assert found is not None
            assert columns(parsed_arrivals(found)) == before
            taken += 1
    assert taken > 20


def test_a_request_of_other_spans_than_expected_is_not_spliced() -> None:
    extras, body = extras_for([True] * 3), spans_request("a", "b", "c", "d").SerializeToString()
    assert spliced(KERNEL, body, extras.rows, extras.size) is None


@pytest.mark.parametrize(
    "span",
    [
        b"\x2a\x01a\x2a\x01b",  # two names
        b"\x2a\x02\xff\xfe",  # no UTF-8
        b"\x4a\x02\x0a\x00\x4a\x7f",  # an attribute beyond its end
        b"\x30" + b"\xff" * 9 + b"\x01",  # a kind of -1
        b"\x30\x80\x80\x80\x80\x20",  # a kind beyond 32 bits
        b"\xa3\x06\xa4\x06",  # an unknown group
        b"\x39\x00",  # a time that is cut short
        b"\x00\x00",  # field number 0
        b"\x2a\xff\x7f",  # longer than the request
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(span: bytes) -> None:
    inner = b"\x12" + bytes([len(span)]) + span
    scope = b"\x12" + bytes([len(inner)]) + inner
    assert scanned(KERNEL, b"\x0a" + bytes([len(scope)]) + scope) is None


def test_a_resource_in_pieces_is_left_to_the_parser() -> None:
    assert scanned(KERNEL, b"\x0a\x04\x0a\x00\x0a\x00") is None


def test_requests_are_parsed_until_much_came_in_and_scanned_from_then_on() -> None:
    scanner, body = SpanScanner(), 50 * traced_shop(1_000).SerializeToString()
    assert scanner.scan(body) is None
    assert wait_until(lambda: scanner.scan(body) is not None)
    assert scanner.scan(body[: LEAST_BYTES - 1]) is None


def test_large_requests_are_decoded_alike_with_and_without_the_scanner() -> None:
    body = traced_shop(1_000).SerializeToString()
    SCANNER.load()
    arrivals, parsed = decode_traces(body)
    assert parsed.spans == len(arrivals) == 1_000
    assert columns(arrivals) == columns(parsed_arrivals(body))
