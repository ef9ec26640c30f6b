from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from collector_processor.otlp.schema import MESSAGES

STOCK: list[tuple[str, Any]] = [
    ("MetricsRequest", metrics_service_pb2.ExportMetricsServiceRequest),
    ("ResourceMetrics", metrics_pb2.ResourceMetrics),
    ("ScopeMetrics", metrics_pb2.ScopeMetrics),
    ("Metric", metrics_pb2.Metric),
    ("Data", metrics_pb2.Sum),
    ("NumberPoint", metrics_pb2.NumberDataPoint),
    ("HistogramPoint", metrics_pb2.HistogramDataPoint),
    ("ExponentialPoint", metrics_pb2.ExponentialHistogramDataPoint),
    ("ExponentialBuckets", metrics_pb2.ExponentialHistogramDataPoint.Buckets),
    ("SummaryPoint", metrics_pb2.SummaryDataPoint),
    ("QuantileValue", metrics_pb2.SummaryDataPoint.ValueAtQuantile),
    ("Exemplar", metrics_pb2.Exemplar),
    ("TraceRequest", trace_service_pb2.ExportTraceServiceRequest),
    ("ResourceSpans", trace_pb2.ResourceSpans),
    ("ScopeSpans", trace_pb2.ScopeSpans),
    ("SpanHead", trace_pb2.Span),
    ("SpanStatus", trace_pb2.Status),
    ("SpliceRequest", trace_service_pb2.ExportTraceServiceRequest),
    ("SpliceResourceSpans", trace_pb2.ResourceSpans),
    ("SpliceScopeSpans", trace_pb2.ScopeSpans),
    ("SpliceSpan", trace_pb2.Span),
    ("LogsRequest", logs_service_pb2.ExportLogsServiceRequest),
    ("ResourceLogs", logs_pb2.ResourceLogs),
    ("ScopeLogs", logs_pb2.ScopeLogs),
    ("LogHead", logs_pb2.LogRecord),
    ("Resource", resource_pb2.Resource),
    ("Scope", common_pb2.InstrumentationScope),
    ("PointAttributes", metrics_pb2.NumberDataPoint),
    ("RawPointAttributes", metrics_pb2.NumberDataPoint),
    ("KeyValue", common_pb2.KeyValue),
    ("AnyValue", common_pb2.AnyValue),
    ("ArrayValue", common_pb2.ArrayValue),
    ("KeyValueList", common_pb2.KeyValueList),
    ("ExportResponse", metrics_service_pb2.ExportMetricsServiceResponse),
    ("PartialSuccess", metrics_service_pb2.ExportMetricsPartialSuccess),
]
RENAMED = {"rejected": "rejected_data_points"}


def test_every_message_is_held_against_the_stock_one() -> None:
    assert {name for name, _ in STOCK} == set(MESSAGES)


@pytest.mark.parametrize(("name", "stock"), STOCK)
def test_every_field_has_the_number_and_the_wire_type_of_the_stock_field(name: str, stock: Any) -> None:
    theirs: Descriptor = stock.DESCRIPTOR
    for ours in MESSAGES[name].DESCRIPTOR.fields:
        field = theirs.fields_by_name[RENAMED.get(ours.name, ours.name)]
        assert ours.number == field.number
        assert wire_type(ours) == wire_type(field), ours.name
        assert ours.is_repeated >= field.is_repeated


@pytest.mark.parametrize(
    "service", [trace_service_pb2.ExportTracePartialSuccess, logs_service_pb2.ExportLogsPartialSuccess]
)
def test_the_answer_has_one_shape_for_all_signals(service: Any) -> None:
    assert [(f.number, f.type) for f in service.DESCRIPTOR.fields] == [
        (f.number, f.type) for f in MESSAGES["PartialSuccess"].DESCRIPTOR.fields
    ]


def wire_type(field: Any) -> str:
    """Group field types by what stands on the wire: a message is a byte string, an enumeration an integer."""
    groups = {
        "length": {field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE},
        "varint": {field.TYPE_BOOL, field.TYPE_INT32, field.TYPE_INT64, field.TYPE_UINT32, field.TYPE_ENUM},
    }
    return next((name for name, types in groups.items() if field.type in types), str(field.type))
