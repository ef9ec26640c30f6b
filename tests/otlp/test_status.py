import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector_processor import errors
from collector_processor.otlp.status import (
    DETAILS_KEY,
    MAX_REASON_BYTES,
    REASON_TEXT,
    Answer,
    retry_delay,
    retry_later,
    status_of,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MalformedRequestError("ours"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.TooLargeError("ours"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.PermanentError("ours"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.InvalidQueryError("ours"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.RetryableError("ours"), grpc.StatusCode.UNAVAILABLE),
        (errors.StoreError("ours"), grpc.StatusCode.UNAVAILABLE),
        (errors.NotEnoughDataError("theirs"), grpc.StatusCode.INTERNAL),
        (ValueError("theirs"), grpc.StatusCode.INTERNAL),
        (RecursionError("theirs"), grpc.StatusCode.INTERNAL),
        (MemoryError("theirs"), grpc.StatusCode.INTERNAL),
    ],
)
def test_every_error_has_a_code_and_only_our_own_texts_are_told(error: Exception, code: grpc.StatusCode) -> None:
    answer = status_of(error)
    assert answer.code is code
    assert ("ours" in answer.details) == ("ours" in str(error))
    assert "theirs" not in answer.details


def test_no_error_of_ours_is_answered_with_unknown_or_exhausted() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    codes = {status_of(kind("text")).code for kind in kinds}
    assert len(kinds) >= 8
    assert not codes & {grpc.StatusCode.UNKNOWN, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_retryable_error_says_when_to_come_again() -> None:
    answer = status_of(errors.RetryableError("full", retry_after_seconds=2.25))
    ((key, raw),) = answer.trailing_metadata
    status = Status.FromString(raw)
    info = RetryInfo()
    assert key == DETAILS_KEY
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert status.details[0].Unpack(info)
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (2, 250_000_000)
    assert retry_delay(answer.trailing_metadata) == 2.25


@pytest.mark.parametrize("seconds", [0.0, 0.9999999999, 1.0, 29.9999999999, 30.0])
def test_any_delay_is_a_valid_duration(seconds: float) -> None:
    assert retry_delay(retry_later("x", seconds).trailing_metadata) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "metadata", [None, (), (("other", "x"),), ((DETAILS_KEY, b"\xff\xff"),), ((DETAILS_KEY, b""),)]
)
def test_metadata_without_retry_info_asks_for_nothing(metadata: object) -> None:
    assert retry_delay(metadata) is None


def test_an_answer_without_rejections_is_empty() -> None:
    assert Answer().encode() == b""
    assert Answer({"no_value": 0}).encode() == b""


def test_rejections_are_counted_and_explained() -> None:
    encoded = Answer({"no_value": 1, "start_after_time": 2, "made_up": 1}).encode()
    for response, count in (
        (ExportMetricsServiceResponse.FromString(encoded), "rejected_data_points"),
        (ExportTraceServiceResponse.FromString(encoded), "rejected_spans"),
    ):
        assert getattr(response.partial_success, count) == 4
        assert response.partial_success.error_message == (
            "2 not taken: the start time is after the time; 1 not taken: made_up; "
            "1 not taken: the data point has no value"
        )


def test_the_reason_is_never_longer_than_a_kilobyte() -> None:
    rejected = {f"{'ü' * 100}{i}": 1 for i in range(100)}
    message = ExportMetricsServiceResponse.FromString(Answer(rejected).encode()).partial_success.error_message
    assert MAX_REASON_BYTES - 2 <= len(message.encode()) <= MAX_REASON_BYTES


def test_every_reason_has_an_english_text() -> None:
    assert all(text and text.isascii() for text in REASON_TEXT.values())
