"""OTLP/JSON requests to the protobuf bytes that the other door receives, so that all behind is shared.

JSON costs a hundred times what protobuf does, so its size and the number of its parts are bounded before it is parsed.
"""

import json
from typing import Any, NoReturn

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.errors import MalformedRequestError, TooLargeError
from collector_processor.ledger import Signal
from collector_processor.otlp.json_fields import fill

MAX_JSON_BYTES = 4 << 20
MAX_JSON_PARTS = 300_000
"""Objects and arrays: an honest body of `MAX_JSON_BYTES` has 115,000 to 200,000."""
JSON_WEIGHT = 4
"""How much more memory a byte of JSON takes than a byte of protobuf."""

_REQUESTS = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def protobuf_of(signal: Signal, raw: bytes) -> bytes:
    """Return an OTLP/JSON request as protobuf bytes.

    Raises:
        MalformedRequestError: if it is not valid JSON, says something twice, or is not such a request.
        TooLargeError: if it has too many parts.
    """
    if raw.count(b"{") + raw.count(b"[") > MAX_JSON_PARTS:
        raise TooLargeError("too many elements in one JSON request: send smaller batches, or protobuf")
    request = _REQUESTS[signal]()
    try:
        values = json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise MalformedRequestError("JSON: nested too deep") from None
    except ValueError as error:
        raise MalformedRequestError(f"JSON: {error}") from None
    fill(request, values)
    encoded: bytes = request.SerializeToString()
    return encoded


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise MalformedRequestError("JSON: an object has a key twice")
    return values


def _refuse_constant(token: str) -> NoReturn:
    raise MalformedRequestError(f'JSON: {token} is not JSON; write "{token}"')
