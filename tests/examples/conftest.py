"""A real OTLP gRPC receiver built from the stock opentelemetry-proto classes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class ReceivedSpan(NamedTuple):
    service: str
    span: Span


class Sink:
    """Everything received, in order of arrival; `refuse_after` requests it answers INVALID_ARGUMENT."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.refuse_after: int | None = None
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        self._serve("trace.v1.TraceService", self._take_traces, ExportTraceServiceRequest, ExportTraceServiceResponse)
        self._serve(
            "metrics.v1.MetricsService", self._take_metrics, ExportMetricsServiceRequest, ExportMetricsServiceResponse
        )
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def spans(self) -> list[ReceivedSpan]:
        with self._lock:
            return [
                ReceivedSpan(_service(of_resource.resource), span)
                for request in self.traces
                for of_resource in request.resource_spans
                for of_scope in of_resource.scope_spans
                for span in of_scope.spans
            ]

    def resource_metrics(self) -> list[ResourceMetrics]:
        with self._lock:
            return [of_resource for request in self.metrics for of_resource in request.resource_metrics]

    def metrics_named(self, name: str) -> list[Metric]:
        return [
            metric
            for of_resource in self.resource_metrics()
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
            if metric.name == name
        ]

    def close(self) -> None:
        self._server.stop(grace=None).wait()

    def _serve(self, name: str, take: Callable[..., Any], request: Any, response: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(take, request.FromString, response.SerializeToString)
        service = grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{name}", {"Export": handler})
        self._server.add_generic_rpc_handlers((service,))

    def _take_traces(
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        with self._lock:
            self._check_room(context)
            self.traces.append(request)
        return ExportTraceServiceResponse()

    def _take_metrics(
        self, request: ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> ExportMetricsServiceResponse:
        with self._lock:
            self._check_room(context)
            self.metrics.append(request)
        return ExportMetricsServiceResponse()

    def _check_room(self, context: grpc.ServicerContext) -> None:
        if self.refuse_after is not None and len(self.traces) + len(self.metrics) >= self.refuse_after:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "told to refuse")


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


def attributes_of(pairs: Any) -> dict[str, str | int]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> str | int:
    return pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value


def _service(resource: Resource) -> str:
    return str(attributes_of(resource.attributes)["service.name"])
