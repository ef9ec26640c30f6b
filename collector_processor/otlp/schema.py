"""OTLP as coarse protobuf messages: the same field numbers, but what need not be looked into stays bytes.

Attributes, resources and scopes are `repeated bytes`: on the wire a message is a byte string, and the pieces of a split
singular message joined are, by protobuf's own rule, the merged message. The messages are declared here in a
private descriptor pool, so they live beside the generated OTLP classes without a conflict of names.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "foreband.otlp"

_Field = tuple[str, int, str]
"""Name, number, type: `bytes`, `*bytes` (repeated), `?double` (with presence), `|double` (of the oneof), `*Message`."""

_MESSAGES: dict[str, list[_Field]] = {
    # metrics
    "MetricsRequest": [("resource_metrics", 1, "*ResourceMetrics")],
    "ResourceMetrics": [("resource", 1, "*bytes"), ("scope_metrics", 2, "*ScopeMetrics")],
    "ScopeMetrics": [("scope", 1, "*bytes"), ("metrics", 2, "*Metric")],
    "Metric": [
        ("name", 1, "string"),
        ("unit", 3, "string"),
        ("gauge", 5, "|Data"),
        ("sum", 7, "|Data"),
        ("histogram", 9, "|Data"),
        ("exponential_histogram", 10, "|Data"),
        ("summary", 11, "|Data"),
    ],
    "Data": [("data_points", 1, "*bytes"), ("aggregation_temporality", 2, "int32"), ("is_monotonic", 3, "bool")],
    "NumberPoint": [
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("as_double", 4, "|double"),
        ("exemplars", 5, "*bytes"),
        ("as_int", 6, "|sfixed64"),
        ("attributes", 7, "*bytes"),
        ("flags", 8, "uint32"),
    ],
    "HistogramPoint": [
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("count", 4, "fixed64"),
        ("sum", 5, "?double"),
        ("bucket_counts", 6, "*fixed64"),
        ("explicit_bounds", 7, "*double"),
        ("exemplars", 8, "*bytes"),
        ("attributes", 9, "*bytes"),
        ("flags", 10, "uint32"),
    ],
    "ExponentialPoint": [
        ("attributes", 1, "*bytes"),
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("count", 4, "fixed64"),
        ("sum", 5, "?double"),
        ("scale", 6, "sint32"),
        ("zero_count", 7, "fixed64"),
        ("positive", 8, "*bytes"),
        ("negative", 9, "*bytes"),
        ("flags", 10, "uint32"),
        ("exemplars", 11, "*bytes"),
        ("zero_threshold", 14, "double"),
    ],
    "ExponentialBuckets": [("offset", 1, "sint32"), ("bucket_counts", 2, "*uint64")],
    "SummaryPoint": [
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("count", 4, "fixed64"),
        ("sum", 5, "double"),
        ("quantile_values", 6, "*QuantileValue"),
        ("attributes", 7, "*bytes"),
        ("flags", 8, "uint32"),
    ],
    "QuantileValue": [("quantile", 1, "double"), ("value", 2, "double")],
    "Exemplar": [
        ("time_unix_nano", 2, "fixed64"),
        ("as_double", 3, "|double"),
        ("span_id", 4, "bytes"),
        ("trace_id", 5, "bytes"),
        ("as_int", 6, "|sfixed64"),
    ],
    # traces
    "TraceRequest": [("resource_spans", 1, "*ResourceSpans")],
    "ResourceSpans": [("resource", 1, "*bytes"), ("scope_spans", 2, "*ScopeSpans")],
    "ScopeSpans": [("spans", 2, "*SpanHead")],
    "SpanHead": [
        ("span_id", 2, "bytes"),
        ("parent_span_id", 4, "bytes"),
        ("name", 5, "string"),
        ("kind", 6, "int32"),
        ("start_time_unix_nano", 7, "fixed64"),
        ("end_time_unix_nano", 8, "fixed64"),
        ("status", 15, "SpanStatus"),
    ],
    "SpanStatus": [("code", 3, "int32")],
    # traces again, to append to spans: everything but the spans is an unknown field and survives
    "SpliceRequest": [("resource_spans", 1, "*SpliceResourceSpans")],
    "SpliceResourceSpans": [("scope_spans", 2, "*SpliceScopeSpans")],
    "SpliceScopeSpans": [("spans", 2, "*bytes")],
    "SpliceSpan": [("attributes", 9, "*bytes")],
    # logs
    "LogsRequest": [("resource_logs", 1, "*ResourceLogs")],
    "ResourceLogs": [("resource", 1, "*bytes"), ("scope_logs", 2, "*ScopeLogs")],
    "ScopeLogs": [("log_records", 2, "*LogHead")],
    "LogHead": [
        ("time_unix_nano", 1, "fixed64"),
        ("severity_number", 2, "int32"),
        ("observed_time_unix_nano", 11, "fixed64"),
    ],
    # attributes, read only where a set of them is new
    "Resource": [("attributes", 1, "*KeyValue")],
    "Scope": [("name", 1, "string"), ("version", 2, "string"), ("attributes", 3, "*KeyValue")],
    "PointAttributes": [("attributes", 7, "*KeyValue")],
    "RawPointAttributes": [("attributes", 7, "*bytes")],
    "KeyValue": [("key", 1, "string"), ("value", 2, "AnyValue")],
    "AnyValue": [
        ("string_value", 1, "|string"),
        ("bool_value", 2, "|bool"),
        ("int_value", 3, "|int64"),
        ("double_value", 4, "|double"),
        ("array_value", 5, "|ArrayValue"),
        ("kvlist_value", 6, "|KeyValueList"),
        ("bytes_value", 7, "|bytes"),
    ],
    "ArrayValue": [("values", 1, "*AnyValue")],
    "KeyValueList": [("values", 1, "*KeyValue")],
    # answers; one shape for the three signals
    "ExportResponse": [("partial_success", 1, "PartialSuccess")],
    "PartialSuccess": [("rejected", 1, "int64"), ("error_message", 2, "string")],
}


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="foreband/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for described in fields:
            _add_field(message, *described)
    return file


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    mark, kind = (kind[0], kind[1:]) if kind[0] in "*?|" else ("", kind)
    field = message.field.add(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if mark == "*" else FieldDescriptorProto.LABEL_OPTIONAL
    if kind in _MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    if mark == "|":
        field.oneof_index = _oneof(message, "choice")
    if mark == "?":
        field.proto3_optional, field.oneof_index = True, _oneof(message, f"_{name}")


def _oneof(message: DescriptorProto, name: str) -> int:
    names = [declared.name for declared in message.oneof_decl]
    if name not in names:
        message.oneof_decl.add(name=name)
        return len(names)
    return names.index(name)


def _classes() -> dict[str, Any]:
    pool = DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


MESSAGES = _classes()
"""Every message declared above as a class, by name."""

MetricsRequest = MESSAGES["MetricsRequest"]
Metric = MESSAGES["Metric"]
NumberPoint = MESSAGES["NumberPoint"]
HistogramPoint = MESSAGES["HistogramPoint"]
ExponentialPoint = MESSAGES["ExponentialPoint"]
ExponentialBuckets = MESSAGES["ExponentialBuckets"]
SummaryPoint = MESSAGES["SummaryPoint"]
ExemplarMessage = MESSAGES["Exemplar"]
TraceRequest = MESSAGES["TraceRequest"]
SpliceRequest = MESSAGES["SpliceRequest"]
SpliceSpan = MESSAGES["SpliceSpan"]
LogsRequest = MESSAGES["LogsRequest"]
Resource = MESSAGES["Resource"]
ScopeMessage = MESSAGES["Scope"]
PointAttributes = MESSAGES["PointAttributes"]
RawPointAttributes = MESSAGES["RawPointAttributes"]
KeyValue = MESSAGES["KeyValue"]
ExportResponse = MESSAGES["ExportResponse"]
