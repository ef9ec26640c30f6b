"""OTLP export requests to columns.

Everything that identifies a series stays raw bytes here; it is checked when it is first seen, then only looked up. What
nobody reads is not decoded: span attributes, log bodies.
"""

from typing import Any

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import parse, parse_attributes, parse_resource, parse_scope
from collector_processor.otlp.elements import RECORDS_SHAPE, check_elements
from collector_processor.otlp.metrics import decode_metrics
from collector_processor.otlp.records import Columns, flattened, small_numbers
from collector_processor.otlp.traces import ParsedTraces, decode_traces
from collector_processor.telemetry.arrival import LogArrivals

__all__ = [
    "ParsedTraces",
    "decode_logs",
    "decode_metrics",
    "decode_traces",
    "parse_attributes",
    "parse_resource",
    "parse_scope",
]


def decode_logs(body: bytes) -> LogArrivals:
    """Decode an ExportLogsServiceRequest; bodies and attributes of log records are not looked into.

    Raises:
        MalformedRequestError: if the bytes are not such a request.
        TooLargeError: if it has too many elements.
    """
    check_elements(body, RECORDS_SHAPE)
    request = parse(schema.LogsRequest, body, "logs request")
    resources, index, (severity, time) = flattened(request.resource_logs, "scope_logs", "log_records", _log_columns)
    return LogArrivals(resources, index, small_numbers(severity, 24), wire.signed_times(time))


def _log_columns(records: list[Any]) -> Columns:
    return (
        [record.severity_number for record in records],
        [record.time_unix_nano or record.observed_time_unix_nano for record in records],
    )
