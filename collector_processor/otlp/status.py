"""The only table from errors to gRPC status and from that to HTTP codes, and the answer a sender gets.

A sender decides on retrying from the code alone: UNAVAILABLE with RetryInfo means later, INVALID_ARGUMENT never.
UNKNOWN and RESOURCE_EXHAUSTED are not in the table: senders drop data on them although the next try might succeed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from collector_processor.errors import (
    MalformedRequestError,
    PermanentError,
    RetryableError,
    TooLargeError,
)
from collector_processor.otlp import schema

DETAILS_KEY = "grpc-status-details-bin"
MAX_REASON_BYTES = 1000

REASON_TEXT = {
    "attribute_too_long": "an attribute key is longer than 256 bytes, or a value or the scope's name longer than 4 KiB",
    "bad_attributes": "the attributes can't be read, or what names the service is longer than 4 KiB",
    "bad_buckets": "the histogram's buckets, bounds and count contradict each other",
    "bad_quantiles": "the summary has a quantile twice or outside 0 to 1, or more than 32",
    "bad_histogram": "the histogram's buckets, bounds and count contradict each other",
    "bad_span_times": "the span has no start, no end, or ends before it starts",
    "bucket_out_of_range": "a bucket of the exponential histogram lies beyond the range of doubles",
    "late": "the window of that time is closed",
    "name_missing": "the metric has no name",
    "name_too_long": "the metric name is longer than 1024 characters",
    "negative_delta": "the increase of a monotonic sum or histogram is negative",
    "negative_total": "the total of a monotonic sum or histogram is negative",
    "no_data": "the metric has no data",
    "no_value": "the data point has no value",
    "not_finite": "a cumulative sum is not finite",
    "out_of_order": "the time is more than an hour before the newest point of its series",
    "scale_out_of_range": "the scale of the exponential histogram is not in -10 to 20",
    "series_limit": "no more distinct series are taken: a limit of their number, their names or memory is reached",
    "start_after_time": "the start time is after the time",
    "temporality_unspecified": "the aggregation temporality is not specified",
    "time_in_future": "the time is more than 10 minutes ahead",
    "time_missing": "the time is 0",
    "time_out_of_range": "the time does not fit into 64 bits",
    "too_many_attributes": "resource, scope and point have more than 64 attributes",
    "too_old": "the time is before what is kept",
    "unit_too_long": "the unit is longer than 256 characters",
}
"""What each reason of a rejected item says to the sender."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request that was taken: how many of its items were not, by reason."""

    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def partial_success(self) -> tuple[int, str] | None:
        """Return how many items were not taken, and why in words; None where everything was."""
        rejected = sum(self.rejected.values())
        return (rejected, _reasons(self.rejected)) if rejected else None

    def encode(self) -> bytes:
        """Encode the export response; `partial_success` is unset where everything was taken."""
        if self.partial_success is None:
            return b""
        response = schema.ExportResponse()
        response.partial_success.rejected, response.partial_success.error_message = self.partial_success
        encoded: bytes = response.SerializeToString()
        return encoded


class StatusAnswer(NamedTuple):
    """A `grpc.Status`, for `context.abort_with_status`."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...] = ()

    def message(self) -> Any:
        """Return it as `google.rpc.Status`, the body of a refusal over HTTP."""
        for key, value in self.trailing_metadata:
            if key == DETAILS_KEY:
                return Status.FromString(value)
        return Status(code=self.code.value[0], message=self.details)


HTTP_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 413,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
}
"""What a sender over HTTP gets for each code: of these only 503 is retryable."""

UNAUTHENTICATED = StatusAnswer(grpc.StatusCode.UNAUTHENTICATED, "a valid bearer token is required")
FORBIDDEN = StatusAnswer(grpc.StatusCode.PERMISSION_DENIED, "this token may not send telemetry")
NOT_READ = StatusAnswer(grpc.StatusCode.INVALID_ARGUMENT, "no request message was received")


def status_of(error: Exception) -> StatusAnswer:
    """Return the status a sender gets for an error; texts that are not ours are not told."""
    match error:
        case MalformedRequestError() | TooLargeError():
            return StatusAnswer(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case PermanentError():
            return StatusAnswer(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        case RetryableError():
            return retry_later(str(error), error.retry_after_seconds)
        case _:
            return StatusAnswer(grpc.StatusCode.INTERNAL, "internal error")


def retry_later(text: str, seconds: float) -> StatusAnswer:
    """Return UNAVAILABLE with the time to wait as RetryInfo."""
    whole = math.floor(seconds)
    info = RetryInfo(retry_delay=Duration(seconds=whole, nanos=round((seconds - whole) * 1e9)))
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=text)
    status.details.add().Pack(info)
    return StatusAnswer(grpc.StatusCode.UNAVAILABLE, text, ((DETAILS_KEY, status.SerializeToString()),))


def retry_delay(trailing_metadata: object) -> float | None:
    """Return the seconds RetryInfo asks for in the trailing metadata of a failed call, None where it says nothing."""
    for key, value in trailing_metadata or ():  # type: ignore[attr-defined]
        if key == DETAILS_KEY:
            return _delay_in(value)
    return None


def _delay_in(raw: bytes) -> float | None:
    info = RetryInfo()
    try:
        for detail in Status.FromString(raw).details:
            if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return max(0.0, seconds)
    except DecodeError:
        return None
    return None


def _reasons(rejected: Mapping[str, int]) -> str:
    ranked = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    text = "; ".join(f"{count} not taken: {REASON_TEXT.get(reason, reason)}" for reason, count in ranked if count)
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
