"""Marks that tell an instance that its own telemetry comes back."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.ledger import Signal
from collector_processor.otlp.loops import LoopMark
from tests.otlp.stock import NOW

STOCK: Any = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


@pytest.mark.parametrize("signal", list(Signal))
def test_a_canary_is_found_wherever_a_collector_puts_it(signal: Signal) -> None:
    mark = LoopMark("me")
    whole = STOCK[signal].FromString(mark.canary(signal, "tempo", NOW))
    whole.MergeFrom(STOCK[signal].FromString(mark.canary(signal, "tempo", NOW + 1)))
    assert mark.destination_in(whole.SerializeToString()) == "tempo"


@pytest.mark.parametrize("signal", list(Signal))
def test_the_canary_of_another_instance_is_no_loop(signal: Signal) -> None:
    body = LoopMark("you").canary(signal, "tempo", NOW)
    assert LoopMark("me").destination_in(body) is None
    assert LoopMark("yo").destination_in(body) is None


def test_canaries_are_what_the_stock_classes_would_write() -> None:
    metrics, traces, logs = (STOCK[s].FromString(LoopMark("me").canary(s, "a", NOW)) for s in Signal)
    metric = metrics.resource_metrics[0].scope_metrics[0].metrics[0]
    point = metric.gauge.data_points[0]
    assert (metric.name, point.time_unix_nano, point.as_int) == ("foreband.loop", NOW, 1)
    span = traces.resource_spans[0].scope_spans[0].spans[0]
    assert (span.name, span.start_time_unix_nano, span.end_time_unix_nano) == ("foreband.loop", NOW, NOW)
    assert (len(span.trace_id), len(span.span_id)) == (16, 8)
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    assert (record.event_name, record.time_unix_nano, record.severity_number) == ("foreband.loop", NOW, 5)
    for item in (point, span, record):
        assert item.attributes[0].value.string_value == "foreband.loop/me/a."


def test_a_canary_names_the_instance_and_nothing_else_of_it() -> None:
    mark = LoopMark("me")
    assert mark.destination_in(b"foreband.loop/me/") is None
    assert mark.destination_in(b"service.instance.id me") is None
