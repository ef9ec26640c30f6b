"""The live shop: five HTTP services on loopback, instrumented by hand with the official OpenTelemetry SDK."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from random import Random
from typing import NamedTuple

from opentelemetry import metrics, propagate
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from examples.shop.books import Books
from examples.shop.http import OperationServer, call
from examples.shop.metrics import METRICS, ORDER_VALUE_BOUNDS, MetricKind, MetricSpec, measurements_of
from examples.shop.model import (
    OPERATIONS,
    SERVICES,
    VERSION,
    Basket,
    Fault,
    Faults,
    Operation,
    draw_error,
    operations_of,
    work_seconds,
)
from examples.shop.telemetry import SCOPE, client_attributes, response_attributes, server_attributes

Work = Callable[[Operation, Random, Faults], float]


class Providers(NamedTuple):
    """Where one service sends its telemetry."""

    tracer: TracerProvider
    meter: MeterProvider


class Shop:
    """The running services with their shared addresses, faults and books."""

    def __init__(self, providers: Callable[[str], Providers], books: Books, work: Work = work_seconds) -> None:
        self.work = work
        self.ports: dict[str, int] = {}
        self._books, self._books_lock = books, threading.Lock()
        self._faults: dict[str, Fault] = {}
        self._services = [_Service(name, self, providers(name)) for name in SERVICES]
        for service in self._services:
            service.start()

    @property
    def faults(self) -> Faults:
        """The active faults by operation."""
        return self._faults

    def set_fault(self, fault: Fault, *, active: bool) -> None:
        """Switch a fault on or off; requests already being served are not affected."""
        others = {name: other for name, other in self._faults.items() if other != fault}
        self._faults = others | {fault.operation: fault} if active else others

    def record(self, operation: Operation, basket: Basket, rng: Random) -> None:
        """Enter a served operation into the books."""
        with self._books_lock:
            self._books.record(time.time_ns(), operation, basket, rng)

    def read(self, spec: MetricSpec, label: str) -> int:
        """Read the present value of a gauge from the books."""
        with self._books_lock:
            return self._books.read(spec, label, time.time_ns())

    def close(self) -> None:
        """Stop answering, then send what telemetry is left."""
        for service in self._services:
            service.stop_serving()
        with ThreadPoolExecutor(len(self._services)) as each:  # at once: a receiver that is gone costs its timeout once
            list(each.map(_Service.shut_down_telemetry, self._services))


class _Service:
    """One service: its HTTP server, its tracer and its instruments."""

    def __init__(self, name: str, shop: Shop, providers: Providers) -> None:
        self._shop, self._providers = shop, providers
        self._tracer = providers.tracer.get_tracer(SCOPE, VERSION)
        self._instruments = _create_instruments(name, providers.meter.get_meter(SCOPE, VERSION), shop)
        routes = {(operation.method, operation.route): operation for operation in operations_of(name)}
        self._server = OperationServer(routes, self._serve)
        shop.ports[name] = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop_serving(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def shut_down_telemetry(self) -> None:
        self._providers.tracer.shutdown()
        self._providers.meter.shutdown()

    def _serve(self, operation: Operation, basket: Basket, headers: dict[str, str]) -> int:
        """Do the work of an operation inside a server span and return the HTTP status."""
        with self._tracer.start_as_current_span(
            operation.span_name,
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes=server_attributes(operation),
        ) as span:
            rng = Random()
            status = self._perform(operation, basket, rng, span)
            _set_response(span, status)
        for spec, label, amount in measurements_of(operation, status, basket):
            self._instruments[spec.name](amount, spec.attributes(label))
        return status

    def _perform(self, operation: Operation, basket: Basket, rng: Random, span: Span) -> int:
        time.sleep(self._shop.work(operation, rng, self._shop.faults))
        if draw_error(operation, rng, self._shop.faults):
            return 500
        for name in operation.calls:
            if self._call(OPERATIONS[name], basket, span) >= 500:
                return 502
        self._shop.record(operation, basket, rng)
        return 200

    def _call(self, operation: Operation, basket: Basket, parent: Span) -> int:
        with self._tracer.start_as_current_span(
            operation.span_name,
            context=set_span_in_context(parent),
            kind=SpanKind.CLIENT,
            attributes=client_attributes(operation),
        ) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            try:
                status = call(operation, self._shop.ports[operation.service], basket, headers)
            except (OSError, HTTPException) as error:
                span.set_attribute(ERROR_TYPE, type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                return 503
            _set_response(span, status)
            return status


_Record = Callable[[float, dict[str, str]], None]


def _create_instruments(service: str, meter: metrics.Meter, shop: Shop) -> dict[str, _Record]:
    """Create the service's instruments; return how to record on those that are not observed."""
    records: dict[str, _Record] = {}
    for spec in (spec for spec in METRICS if spec.service == service):
        about = {"name": spec.name, "unit": spec.unit, "description": spec.description}
        if spec.kind is MetricKind.COUNTER:
            records[spec.name] = meter.create_counter(**about).add
        elif spec.kind is MetricKind.HISTOGRAM:
            histogram = meter.create_histogram(**about, explicit_bucket_boundaries_advisory=ORDER_VALUE_BOUNDS)
            records[spec.name] = histogram.record
        elif spec.kind is MetricKind.UP_DOWN_COUNTER:
            meter.create_observable_up_down_counter(**about, callbacks=[_observe(spec, shop)])
        else:
            meter.create_observable_gauge(**about, callbacks=[_observe(spec, shop)])
    return records


def _observe(spec: MetricSpec, shop: Shop) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
    def observations(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        return [metrics.Observation(shop.read(spec, label), spec.attributes(label)) for label in spec.labels]

    return observations


def _set_response(span: Span, status: int) -> None:
    span.set_attributes(response_attributes(status))
    if status >= 500:
        span.set_status(StatusCode.ERROR)
