"""Metric requests read by compiled code: what it takes equals what the parser makes of the same bytes."""

import random
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.errors import MalformedRequestError, TooLargeError
from collector_processor.otlp import point_kernel, wire
from collector_processor.otlp.elements import Budget
from collector_processor.otlp.metrics import SCANNER, decode_metrics, parsed_arrivals, scanned_arrivals
from collector_processor.otlp.point_scan import LEAST_BYTES, PointScanner, scanned
from collector_processor.otlp.raw_points import POINT_ATTRIBUTES
from collector_processor.otlp.set_table import SetTable
from collector_processor.telemetry.arrival import MetricArrivals
from tests.otlp import stock
from tests.otlp.stock import ExportMetricsServiceRequest, Metric, attribute, gauge, histogram, request_with
from tests.otlp.test_fuzz import damage, metrics_body
from tests.process import wait_until

KERNEL: ModuleType = point_kernel


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    SCANNER.load()


def plain(value: Any) -> Any:
    """Return what was found as something that equals itself, NaN or not."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return repr(value)


def outcome(read: Callable[[], MetricArrivals]) -> Any:
    try:
        return plain(read())
    except (MalformedRequestError, TooLargeError) as error:
        return type(error)  # of several faults it may be another that is named first


def assert_same(body: bytes) -> bool:
    """Assert that what is scanned is what is parsed; tell whether it was scanned and good."""
    table = scanned(KERNEL, body)
    if table is None:
        return False
    found = outcome(lambda: scanned_arrivals(table))
    assert found == outcome(lambda: parsed_arrivals(body))
    return isinstance(found, dict)


def fleet(points: int) -> ExportMetricsServiceRequest:
    """Return a request of several resources and scopes, with gauges and sums, and a histogram among them."""
    request = ExportMetricsServiceRequest()
    for place in range(3):
        group: Any = request.resource_metrics.add()
        group.resource.attributes.append(attribute("service.name", f"shop-{place}"))
        for scope in range(2):
            metrics = group.scope_metrics.add()
            metrics.scope.name, metrics.scope.version = f"meter-{scope}", "1.2"
            metrics.metrics.append(gauge(1.0, name="empty"))
            metrics.metrics[0].gauge.ClearField("data_points")
            metrics.metrics.append(histogram([1, 2, 3], [0.5, 1.0]))
            for monotonic in (False, True):
                metric = metrics.metrics.add(name=f"sum.é.{monotonic}", unit="By", description="what it is")
                metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2 - place % 2, monotonic
                _fill(metric.sum, points // 18)
            _fill(metrics.metrics.add(name="level").gauge, points // 18)
    return request


def _fill(data: Any, points: int) -> None:
    for i in range(points):
        point = data.data_points.add(time_unix_nano=stock.NOW + i)
        point.start_time_unix_nano = 0 if i % 3 else stock.START
        if i % 2:
            point.as_double = i / 7
        else:
            point.as_int = 2**60 + i
        point.attributes.extend(attribute(f"key-{k}", f"value-{i % 50}") for k in range(i % 5))


def in_a_metric(metric: bytes) -> bytes:
    return wire.field(1, wire.field(2, wire.field(2, metric)))


def with_point(point: bytes) -> bytes:
    return in_a_metric(wire.field(1, b"m") + wire.field(5, wire.field(1, point)))


@settings(max_examples=40)
@given(stock.metrics_requests())
def test_a_scan_finds_what_the_parser_finds(body: bytes) -> None:
    assert_same(body)


def test_a_plain_request_is_scanned_with_all_its_columns() -> None:
    assert assert_same(fleet(1_800).SerializeToString())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [metrics_body, lambda: fleet(36).SerializeToString()])
def test_of_damaged_requests_the_scan_finds_what_the_parser_finds(make: Callable[[], bytes], seed: int) -> None:
    draw, body = random.Random(seed), make()
    assert sum(assert_same(damage(body, draw)) for _ in range(200)) > 20


TIME = b"\x19" + bytes(range(8))
ONE, TWO = b"\x21" + bytes(8), b"\x31" + bytes(range(8))


@pytest.mark.parametrize(
    "point",
    [
        b"",  # nothing
        TIME,  # no value
        TIME + ONE + b"\x40\x01",  # flags: no recorded value
        TIME + ONE + b"\x2a\x00",  # an exemplar
        ONE + TIME,  # another order
        TIME + ONE + TWO,  # two values: the last counts
        TIME + TWO + ONE,
        TIME + TIME[::-1].replace(b"\x19", b"") + ONE,
        b"\x3a\x02\x0a\x00" + TIME + ONE,  # attributes before
        b"\x3a\x02\x0a\x00" + TIME + ONE + b"\x3a\x02\x0a\x00",  # and after
        TIME + ONE + b"\xba\x00\x02\x0a\x00",  # a tag with a byte too many
        TIME + ONE + b"\x3a\x82\x00\x0a\x00",  # a size with a byte too many
        TIME + ONE + b"\xc2\x3e\x02hi",  # an unknown field
        TIME + ONE + b"\x1a\x00",  # a known field of another type
        TIME + b"\x21" + bytes(7),  # a value that is cut short
        TIME + ONE + b"\x3a",  # no size
        TIME + ONE + b"\x3a\x05\x0a",  # attributes that are cut short
        TIME + ONE + b"\x3a\x02\x0a\x05",  # an attribute that is broken inside
        TIME + ONE + b"\x3a\x04\x0a\x02\xff\xfe",  # a key that is no UTF-8
        b"\x11" + b"\xff" * 8 + TIME + ONE,  # a start that is later
        TIME + b"\x31" + b"\xff" * 8,  # an integer of -1
        TIME + b"\x31\x01" + bytes(5) + b"\x20\x00",  # an integer that no double holds
    ],
)
def test_a_point_of_another_shape_is_what_the_parser_makes_of_it(point: bytes) -> None:
    body = with_point(point) + with_point(TIME + ONE + b"\x3a\x02\x0a\x00")
    table = scanned(KERNEL, body)
    assert table is not None
    assert table.start.size == 2
    assert_same(body)


def test_points_that_are_read_are_not_parsed() -> None:
    table = scanned(KERNEL, fleet(1_800).SerializeToString())
    assert table is not None
    assert table.start.size == 1_800
    assert not table.is_odd.any()


@pytest.mark.parametrize(
    "metric",
    [
        b"\x0a\x01a\x0a\x01b",  # two names
        b"\x0a\x01a\x2a\x00\x2a\x00",  # a gauge in two pieces
        b"\x0a\x01a\x2a\x00\x3a\x00",  # a gauge that is a sum, too
        b"\x0a\x01a\x3a\x00\x4a\x00",  # a sum that is a histogram, too
        b"\x0a\x01a\x3a\x04\x10\x01\x10\x02",  # two temporalities
        b"\x0a\x01a\x3a\x0b\x10" + b"\xff" * 9 + b"\x01",  # a temporality of -1
        b"\xa3\x06\xa4\x06",  # an unknown group
        b"\x00\x00",  # field number 0
        b"\x0a\xff\x7f",  # longer than the request
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(metric: bytes) -> None:
    assert scanned(KERNEL, in_a_metric(metric)) is None


def test_a_resource_in_pieces_is_left_to_the_parser() -> None:
    assert scanned(KERNEL, b"\x0a\x04\x0a\x00\x0a\x00") is None


@pytest.mark.parametrize("name", [b"", b"\xff\xfe", b"x" * 1025, "é".encode() * 1024])
def test_names_are_objected_to_as_the_parser_does(name: bytes) -> None:
    metric = wire.field(1, name) + wire.field(5, wire.field(1, TIME + ONE))
    assert scanned(KERNEL, in_a_metric(metric)) is not None
    assert_same(in_a_metric(metric) + with_point(TIME + ONE))


def test_points_of_metrics_that_are_not_taken_are_not_read() -> None:
    metric = Metric(name="no.temporality")
    metric.sum.data_points.add(time_unix_nano=1).attributes.append(attribute("a", 1))
    body = b"".join(request_with(each).SerializeToString() for each in (metric, gauge(1.0, 2.0), metric, gauge(3.0)))
    assert assert_same(body)


SETS = st.lists(
    st.binary(max_size=3).map(lambda raw: wire.field(7, wire.field(1, b"k" * (raw[0] % 40) if raw else b"")))
)


@given(st.lists(SETS.map(b"".join), max_size=30), st.lists(SETS.map(b"".join), max_size=30))
def test_sets_are_told_apart_by_their_bytes(first: list[bytes], second: list[bytes]) -> None:
    table = SetTable(POINT_ATTRIBUTES, max_bytes=2_000)
    for sets in (first, second, first):
        found, size = _measured(table, sets)
        assert found == sets
        assert size == [POINT_ATTRIBUTES.measure(raw, Budget(100)) for raw in sets]


def test_known_sets_are_the_same_object_and_cost_nothing() -> None:
    table = SetTable(POINT_ATTRIBUTES, max_bytes=64 << 20)
    sets = [wire.field(7, wire.field(1, b"%d" % i)) for i in range(5_000)]
    first, _ = _measured(table, sets + sets)
    again, _ = _measured(table, sets, Budget(0))
    assert all(one is other is third for one, other, third in zip(first, first[5_000:], again, strict=False))


def test_new_sets_are_bounded() -> None:
    with pytest.raises(TooLargeError):
        _measured(SetTable(POINT_ATTRIBUTES, max_bytes=1 << 20), [wire.field(7, wire.field(1, b"new"))], Budget(0))


def test_requests_are_parsed_until_much_came_in_and_scanned_from_then_on() -> None:
    scanner, body = PointScanner(), fleet(1_800).SerializeToString() * 50
    assert scanner.scan(body) is None
    assert wait_until(lambda: scanner.scan(body) is not None)
    assert scanner.scan(body[: LEAST_BYTES - 1]) is None


def test_large_requests_are_decoded_alike_with_and_without_the_scanner() -> None:
    body = fleet(1_800).SerializeToString()
    arrivals = decode_metrics(body)
    assert arrivals.received == 1_806
    assert plain(arrivals) == plain(parsed_arrivals(body))


def _measured(table: SetTable, sets: list[bytes], budget: Budget | None = None) -> tuple[list[bytes], list[int]]:
    size = np.array([len(raw) for raw in sets], np.int32)
    places = np.stack([np.cumsum(size, dtype=np.int32) - size, size])
    found, sizes = table.measured(KERNEL, b"".join(sets) or b"\0", places, budget or Budget(10_000))
    return found, sizes.tolist()
