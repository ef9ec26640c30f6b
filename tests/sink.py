"""A real OTLP gRPC receiver that keeps what it gets: the downstream of a Foreband under test."""

from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Sink:
    """Keeps every request it takes; `wait_for` waits until a question about them is answered."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.requests: list[Any] = []
        self._changed = Condition()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        adders: list[tuple[Any, Any]] = [
            (metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server, _Metrics(self)),
            (trace_service_pb2_grpc.add_TraceServiceServicer_to_server, _Traces(self)),
            (logs_service_pb2_grpc.add_LogsServiceServicer_to_server, _Logs(self)),
        ]
        for add, servicer in adders:
            add(servicer, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port(address)}"
        self._server.start()

    def take(self, request: Any) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def wait_for(self, is_enough: Any, timeout: float = 20.0) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: is_enough(self.requests), timeout))

    def close(self) -> None:
        self._server.stop(None).wait()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._sink.take(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._sink.take(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._sink.take(request)
        return logs_service_pb2.ExportLogsServiceResponse()
