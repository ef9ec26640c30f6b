"""The running shop: real HTTP on loopback, the official SDK, a real gRPC receiver."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from examples.shop.backfill import backfill
from examples.shop.books import Books
from examples.shop.control import Control
from examples.shop.http import call
from examples.shop.model import FAULTS, NO_BASKET, OPERATIONS, Basket, Faults, Operation
from examples.shop.overhead import NO_OVERHEAD, measure_overhead
from examples.shop.service import Providers, Shop
from examples.shop.telemetry import meter_provider, tracer_provider

from .conftest import ReceivedSpan, Sink, attributes_of

ROOT = Path(__file__).parents[2]
ORDER = Basket("card", "books", value=42.0, items=2)
CHECKOUT = OPERATIONS["storefront.checkout"]


def quick_work(operation: Operation, _rng: object, faults: Faults) -> float:
    """Work of one millisecond, or of thirty where a fault is active."""
    return 0.030 if operation.name in faults else 0.001


@contextmanager
def open_shop(sink: Sink) -> Iterator[Shop]:
    def providers(service: str) -> Providers:
        return Providers(tracer_provider(service, sink.endpoint), meter_provider(service, sink.endpoint, 3_600.0))

    shop = Shop(providers, Books(), work=quick_work)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def silent_shop() -> Iterator[Shop]:
    no_telemetry = Providers(TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False))
    shop = Shop(lambda _: no_telemetry, Books(), work=quick_work)
    yield shop
    shop.close()


def check_out(shop: Shop, times: int = 1) -> list[int]:
    return [call(CHECKOUT, shop.ports["storefront"], ORDER, {}) for _ in range(times)]


def a_served_trace(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    traces: dict[bytes, list[ReceivedSpan]] = defaultdict(list)
    for received in spans:
        traces[received.span.trace_id].append(received)
    return next(t for t in traces.values() if all(r.span.status.code != Status.STATUS_CODE_ERROR for r in t))


def median_milliseconds(spans: list[ReceivedSpan], service: str) -> float:
    durations = [
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
        for of_service, span in spans
        if of_service == service and span.kind == Span.SPAN_KIND_SERVER
    ]
    return median(durations)


def post(url: str, body: str) -> tuple[int, dict[str, bool | str]]:
    try:
        with urlopen(Request(url, body.encode(), method="POST"), timeout=5) as response:
            return response.status, json.load(response)
    except HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_checkout_is_one_connected_trace_through_four_services(sink: Sink) -> None:
    with open_shop(sink) as shop:
        assert 200 in check_out(shop, times=5)
    trace = a_served_trace(sink.spans())
    by_id = {received.span.span_id: received for received in trace}
    assert {received.service for received in trace} == {"storefront", "checkout", "inventory", "payment"}
    assert len(trace) == 7
    (root,) = [received for received in trace if not received.span.parent_span_id]
    assert root.service == "storefront"
    for _, span in trace:
        assert span == root.span or span.parent_span_id in by_id


def test_live_spans_carry_what_the_simulated_ones_carry(sink: Sink) -> None:
    backfill(sink.endpoint, time.time_ns(), history=timedelta(minutes=20), overhead=NO_OVERHEAD)
    simulated = {_identity(received) for received in sink.spans()}
    sink.traces.clear()
    with open_shop(sink) as shop:
        check_out(shop, times=5)
    live = {_identity(received) for received in a_served_trace(sink.spans())}
    assert len(live) == 7
    assert live <= simulated


def test_live_metrics_continue_the_back_filled_series(sink: Sink) -> None:
    backfill(sink.endpoint, time.time_ns(), history=timedelta(minutes=20), overhead=NO_OVERHEAD)
    simulated = _series(sink)
    sink.metrics.clear()
    with open_shop(sink) as shop:
        assert 200 in check_out(shop, times=5)
    live = _series(sink)
    assert {"shop.orders", "shop.order.value", "shop.payments", "shop.stock.level"} <= {name for _, _, name, _ in live}
    assert live <= simulated


def test_a_client_error_is_an_error_in_both_spans_of_a_failed_call(sink: Sink) -> None:
    with open_shop(sink) as shop:
        shop.set_fault(FAULTS["inventory-errors"], active=True)
        statuses = check_out(shop, times=25)
    assert 502 in statuses
    failed = [r.span for r in sink.spans() if r.span.name == "POST /reservations" and r.span.status.code]
    assert {span.kind for span in failed} == {Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER}
    assert {attributes_of(span.attributes)["error.type"] for span in failed} == {"500"}


def test_a_fault_raises_durations_upstream_and_switching_it_off_ends_it(sink: Sink) -> None:
    with open_shop(sink) as shop:
        check_out(shop, times=8)
        shop.set_fault(FAULTS["payment-latency"], active=True)
        switched_on = time.time_ns()
        check_out(shop, times=8)
        shop.set_fault(FAULTS["payment-latency"], active=False)
        switched_off = time.time_ns()
        check_out(shop, times=8)
    spans = sink.spans()
    before = [r for r in spans if r.span.start_time_unix_nano < switched_on]
    during = [r for r in spans if switched_on <= r.span.start_time_unix_nano < switched_off]
    after = [r for r in spans if r.span.start_time_unix_nano >= switched_off]
    for service in ("payment", "checkout", "storefront"):
        assert median_milliseconds(during, service) > median_milliseconds(before, service) + 25
        assert median_milliseconds(during, service) > median_milliseconds(after, service) + 25
    assert median_milliseconds(during, "inventory") < 20


def test_faults_are_switched_over_http(silent_shop: Shop) -> None:
    control = Control(silent_shop)
    status, state = post(control.url, '{"name": "payment-latency", "active": true}')
    assert (status, state["payment-latency"], state["cart-latency"]) == (200, True, False)
    assert silent_shop.faults == {"payment.charge": FAULTS["payment-latency"]}
    status, state = post(control.url, '{"name": "payment-latency", "active": false}')
    assert (status, state["payment-latency"]) == (200, False)
    assert silent_shop.faults == {}
    control.close()


def test_the_control_explains_what_it_does_not_understand(silent_shop: Shop) -> None:
    control = Control(silent_shop)
    for body in ('{"name": "gremlins", "active": true}', '{"name": 1}', "not json", "[]", " " * 2_000):
        status, answer = post(control.url, body)
        assert status == 400, body
        assert answer["error"], body
    control.close()
    assert silent_shop.faults == {}


def test_a_service_refuses_a_basket_it_cannot_sell(silent_shop: Shop) -> None:
    strange = Basket("shells", "books", value=1.0, items=1)
    assert call(CHECKOUT, silent_shop.ports["storefront"], strange, {}) == 400
    assert call(CHECKOUT, silent_shop.ports["storefront"], NO_BASKET, {}) == 400
    assert call(CHECKOUT, silent_shop.ports["cart"], ORDER, {}) == 404


def test_the_measured_overhead_is_milliseconds_for_every_span() -> None:
    overhead = measure_overhead(rounds=1)
    assert len(overhead.server) >= 5
    assert len(overhead.client) >= 3
    assert 0 < median(overhead.server) < 50e6
    assert 0 < median(before + after for before, after in overhead.client) < 50e6


@pytest.mark.parametrize("module", ["examples.shop", "examples.host"])
def test_a_program_reports_and_stops_cleanly_on_sigterm(sink: Sink, module: str) -> None:
    command = [sys.executable, "-m", module, "--endpoint", sink.endpoint]
    program = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
    assert program.stderr
    opening = program.stderr.readline()
    assert sink.endpoint in opening
    program.send_signal(signal.SIGTERM)
    rest = program.communicate(timeout=20)[1]
    assert program.returncode == 0, rest
    assert "Traceback" not in rest
    assert sink.resource_metrics()


def _identity(received: ReceivedSpan) -> tuple[str, str, int, tuple[tuple[str, str | int], ...], int]:
    span = received.span
    attributes = tuple(sorted(attributes_of(span.attributes).items()))
    return received.service, span.name, span.kind, attributes, span.flags


def _series(sink: Sink) -> set[tuple[bytes, bytes, str, str]]:
    return {
        (
            str(sorted(attributes_of(of_resource.resource.attributes).items())).encode(),
            of_scope.scope.SerializeToString(),
            metric.name,
            f"{metric.unit} {metric.description} {metric.WhichOneof('data')} {attributes_of(point.attributes)}",
        )
        for of_resource in sink.resource_metrics()
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
    }
