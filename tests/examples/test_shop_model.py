"""The shop's rhythm, traffic, books and simulated traces."""

from collections.abc import Iterator
from random import Random
from statistics import median

import pytest

from examples.shop.books import PackingQueue, Shelves, books_at
from examples.shop.metrics import CART_ITEMS, QUEUE_DEPTH, STOCK_LEVEL
from examples.shop.model import (
    DEFAULT_SEED,
    ENTRIES,
    FAULTS,
    MEAN_REQUEST_RATE,
    MINUTE_UNIX_NANO,
    NO_FAULTS,
    OPERATIONS,
    Faults,
    request_rate,
)
from examples.shop.overhead import NO_OVERHEAD, Overhead
from examples.shop.simulation import SimulatedSpan, simulate_trace
from examples.shop.traffic import Visit, draw_visit, fates_of, requests_in

MONDAY_MINUTE = 29_340_000 // 10_080 * 10_080 + 4 * 1_440
CHECKOUT = OPERATIONS["storefront.checkout"]
HTTP_COST = Overhead(server=(300_000,), client=((900_000, 200_000),))


def traces(number: int, faults: Faults = NO_FAULTS) -> Iterator[list[SimulatedSpan]]:
    rng = Random(5)
    for _ in range(number):
        yield simulate_trace(draw_visit(CHECKOUT, rng, faults), HTTP_COST, rng, faults)


def median_milliseconds(faults: Faults, service: str) -> float:
    spans = (span for trace in traces(300, faults) for span in trace)
    return median((s.end_nano - s.start_nano) / 1e6 for s in spans if s.service == service and not s.is_client)


def failure_ratio(faults: Faults) -> float:
    return sum(trace[-1].status >= 500 for trace in traces(600, faults)) / 600


def test_the_rate_averages_to_its_mean_over_a_week_and_repeats_after_it() -> None:
    start = MONDAY_MINUTE * 60.0
    week = [request_rate(start + 60.0 * minute) for minute in range(10_080)]
    assert sum(week) / len(week) == pytest.approx(MEAN_REQUEST_RATE, rel=0.01)
    assert request_rate(start) == pytest.approx(request_rate(start + 7 * 86_400))


def test_an_evening_is_busier_than_a_night_and_saturday_than_tuesday() -> None:
    start = MONDAY_MINUTE * 60.0
    assert request_rate(start + 18.5 * 3600) > 2.5 * request_rate(start + 3.5 * 3600)
    assert request_rate(start + 5.5 * 86_400) > 1.1 * request_rate(start + 1.5 * 86_400)


def test_the_rate_has_no_step_at_midnight() -> None:
    midnights = [(MONDAY_MINUTE + 1_440 * day) * 60.0 for day in range(1, 8)]
    assert all(request_rate(at - 1.0) == pytest.approx(request_rate(at), rel=1e-3) for at in midnights)


def test_traffic_is_a_function_of_seed_and_minute() -> None:
    minute = MONDAY_MINUTE + 900
    requests = requests_in(minute, DEFAULT_SEED)
    assert requests == requests_in(minute, DEFAULT_SEED)
    assert fates_of(requests, minute, DEFAULT_SEED) == fates_of(requests, minute, DEFAULT_SEED)
    assert requests != requests_in(minute, DEFAULT_SEED + 1)


def test_requests_of_a_minute_ascend_and_lie_within_it() -> None:
    for minute in range(MONDAY_MINUTE, MONDAY_MINUTE + 50):
        times = [request.time_unix_nano for request in requests_in(minute, DEFAULT_SEED)]
        assert times == sorted(times)
        assert all(minute <= time / MINUTE_UNIX_NANO < minute + 1 for time in times)


def test_a_day_of_traffic_has_the_rate_and_the_mix_of_the_model() -> None:
    minutes = range(MONDAY_MINUTE, MONDAY_MINUTE + 1_440)
    requests = [request for minute in minutes for request in requests_in(minute, DEFAULT_SEED)]
    expected = sum(60.0 * request_rate(60.0 * minute + 30.0) for minute in minutes)
    assert len(requests) == pytest.approx(expected, rel=0.03)
    for name, share in ENTRIES.items():
        assert sum(r.entry.name == name for r in requests) / len(requests) == pytest.approx(share, abs=0.02)


def test_a_failing_call_fails_its_callers_and_ends_their_calls() -> None:
    broken = {"inventory.reserve": FAULTS["inventory-errors"]}
    rng = Random(1)
    visits = [draw_visit(CHECKOUT, rng, broken) for _ in range(200)]
    orders = [visit.calls[0] for visit in visits if visit.calls and visit.calls[0].calls]
    stopped = [order for order in orders if order.calls[0].is_failure]
    assert stopped
    assert all([call.operation.name for call in order.calls] == ["inventory.reserve"] for order in stopped)
    assert {order.status for order in stopped} == {502}
    assert {visit.status for visit in visits if visit.calls and visit.calls[0].is_failure} == {502}


def test_a_simulated_trace_is_one_tree_through_four_services() -> None:
    trace = next(trace for trace in traces(20) if trace[-1].status == 200)
    by_id = {span.span_id: span for span in trace}
    roots = [span for span in trace if not span.parent_id]
    assert len(by_id) == len(trace) == 7
    assert roots == [trace[-1]]
    assert {span.trace_id for span in trace} == {trace[0].trace_id}
    assert {span.service for span in trace} == {"storefront", "checkout", "inventory", "payment"}


def test_every_simulated_span_lies_within_its_parent() -> None:
    for trace in traces(20):
        by_id = {span.span_id: span for span in trace}
        for span in (span for span in trace if span.parent_id):
            parent = by_id[span.parent_id]
            assert parent.start_nano <= span.start_nano < span.end_nano <= parent.end_nano
            assert parent.is_client != span.is_client


def test_a_call_costs_its_measured_overhead() -> None:
    trace = next(traces(1))
    client = next(span for span in trace if span.is_client)
    server = next(span for span in trace if span.parent_id == client.span_id)
    assert server.start_nano - client.start_nano == 900_000
    assert client.end_nano - server.end_nano == 200_000


def test_the_same_random_numbers_give_the_same_trace() -> None:
    visit = Visit(CHECKOUT, 200, ())
    assert simulate_trace(visit, NO_OVERHEAD, Random(3)) == simulate_trace(visit, NO_OVERHEAD, Random(3))


@pytest.mark.parametrize("service", ["payment", "checkout", "storefront"])
def test_a_slow_payment_slows_everybody_who_waits_for_it(service: str) -> None:
    slow = {"payment.charge": FAULTS["payment-latency"]}
    added = median_milliseconds(slow, service) - median_milliseconds(NO_FAULTS, service)
    assert 200.0 < added < 340.0


def test_a_slow_payment_leaves_the_inventory_alone() -> None:
    slow = {"payment.charge": FAULTS["payment-latency"]}
    assert median_milliseconds(slow, "inventory") == pytest.approx(median_milliseconds(NO_FAULTS, "inventory"), rel=0.1)


def test_failing_payments_fail_orders() -> None:
    assert failure_ratio(NO_FAULTS) < 0.05
    assert 0.15 < failure_ratio({"payment.charge": FAULTS["payment-latency"]}) < 0.28


def test_orders_wait_for_the_one_packer() -> None:
    queue = PackingQueue()
    for time in (0, 1, 2):
        queue.add(time, work_nano=10)
    assert [queue.depth(now) for now in (3, 10, 19, 20, 29, 30)] == [3, 2, 2, 1, 1, 0]


def test_shelves_are_filled_up_every_six_hours() -> None:
    shelves = Shelves()
    morning = 20_000 * 1_440 * MINUTE_UNIX_NANO
    full = shelves.level(morning, "books")
    shelves.take(morning, "books", 10)
    assert shelves.level(morning + 359 * MINUTE_UNIX_NANO, "books") == full - 10
    assert shelves.level(morning + 360 * MINUTE_UNIX_NANO, "books") == full


def test_a_shop_that_opens_now_takes_over_the_books_of_the_simulated_one() -> None:
    start, now = MONDAY_MINUTE, MONDAY_MINUTE + 500
    books = books_at(start, DEFAULT_SEED)
    for minute in range(start, now):
        requests = requests_in(minute, DEFAULT_SEED)
        books.record_minute(minute, DEFAULT_SEED, requests, fates_of(requests, minute, DEFAULT_SEED))
    opened, at = books_at(now, DEFAULT_SEED), now * MINUTE_UNIX_NANO
    for spec in (CART_ITEMS, QUEUE_DEPTH, STOCK_LEVEL):
        assert [opened.read(spec, x, at) for x in spec.labels] == [books.read(spec, x, at) for x in spec.labels]
