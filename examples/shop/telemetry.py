"""What the shop's telemetry looks like: resources, scope and attributes, the same for live and simulated data."""

import uuid
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_SCHEME

from examples.shop.model import ENVIRONMENT, VERSION, Operation

SCOPE: Final = "examples.shop"
_EXPORT_TIMEOUT_SECONDS: Final = 4
"""For all tries of one batch."""

AttributeMap = dict[str, str | int]


def resource_of(service: str) -> Resource:
    """Return who a service is; a restart keeps the instance id, so its series go on."""
    return Resource.create(
        {
            SERVICE_NAME: service,
            SERVICE_VERSION: VERSION,
            "service.instance.id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{service}.shop.example")),
            "deployment.environment.name": ENVIRONMENT,
        }
    )


def tracer_provider(service: str, endpoint: str) -> TracerProvider:
    """Return a provider that exports spans in batches to an OTLP gRPC endpoint."""
    provider = TracerProvider(resource=resource_of(service), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    return provider


def meter_provider(service: str, endpoint: str, interval_seconds: float) -> MeterProvider:
    """Return a provider that exports every series at a fixed interval to an OTLP gRPC endpoint."""
    exporter = OTLPMetricExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_SECONDS)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=interval_seconds * 1e3)
    return MeterProvider(metric_readers=[reader], resource=resource_of(service), shutdown_on_exit=False)


def server_attributes(operation: Operation) -> AttributeMap:
    """Return what the server knows when a request arrives."""
    return {
        HTTP_REQUEST_METHOD: operation.method,
        HTTP_ROUTE: operation.route,
        URL_PATH: operation.route,
        URL_SCHEME: "http",
        SERVER_ADDRESS: operation.service,
    }


def client_attributes(operation: Operation) -> AttributeMap:
    """Return what a client knows when it calls an operation; it addresses services by name, as in a cluster."""
    return {
        HTTP_REQUEST_METHOD: operation.method,
        SERVER_ADDRESS: operation.service,
        SERVER_PORT: 80,
        URL_FULL: f"http://{operation.service}{operation.route}",
    }


def response_attributes(status: int) -> AttributeMap:
    """Return what an answer adds; a server error names its type."""
    attributes: AttributeMap = {HTTP_RESPONSE_STATUS_CODE: status}
    if status >= 500:
        attributes[ERROR_TYPE] = str(status)
    return attributes
