"""A sender that follows OTLP's rules on retries to the letter, and no further.

Over gRPC: CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE and DATA_LOSS are sent again, and
RESOURCE_EXHAUSTED only with RetryInfo. Over HTTP: 429, 502, 503 and 504. It waits as long as it is told, else ever
longer. Everything else is dropped, a partial success is never sent again.
"""

import random
import struct
from collections import Counter
from collections.abc import Callable
from threading import Event

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.otlp.status import retry_delay
from tests.raw_http import exchange, posted

PATIENCE = 60.0
HURRY = 100.0
"""Waits are so many times shorter than told: what is tested is the order of things, not their pace."""

_RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRYABLE_OVER_HTTP = {429, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT, _MOST_TRIES = 1.0, 30.0, 200


class StrictSender:
    """Sends metrics one request after the other; `dropped` holds what it had to give up and why."""

    def __init__(self) -> None:
        self.answers: Counter[object] = Counter()
        self.dropped: list[tuple[bytes, object]] = []
        self.rejected = 0
        self._chance = random.Random(1)
        self._pause = Event()

    def over_grpc(self, address: str) -> Callable[[bytes], None]:
        """Return what sends one request to a gRPC door, on a connection of its own."""
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        call = grpc.insecure_channel(address, options).unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)

        def attempt(body: bytes) -> tuple[bool, object, float | None]:
            outcome = call.future(body, timeout=PATIENCE)
            code, told = outcome.code(), retry_delay(outcome.trailing_metadata())
            if code is grpc.StatusCode.OK:
                self._note(outcome.result())
            is_retryable = code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and told is not None)
            return is_retryable, code, told

        return lambda body: self._send(body, attempt, grpc.StatusCode.OK)

    def over_http(self, address: str) -> Callable[[bytes], None]:
        """Return what sends one request to an HTTP door."""

        def attempt(body: bytes) -> tuple[bool, object, float | None]:
            try:
                answer = exchange(address, posted("/v1/metrics", body))
            except (OSError, struct.error):
                return True, "connection", None
            if answer.code == 200:
                self._note(answer.body)
            told = answer.headers.get("retry-after")
            return answer.code in _RETRYABLE_OVER_HTTP, answer.code, None if told is None else float(told)

        return lambda body: self._send(body, attempt, 200)

    def _send(
        self, body: bytes, attempt: Callable[[bytes], tuple[bool, object, float | None]], accepted: object
    ) -> None:
        wait, answer = _FIRST_WAIT, None
        for _ in range(_MOST_TRIES):
            is_retryable, answer, told = attempt(body)
            self.answers[answer] += 1
            if answer == accepted:
                return
            if not is_retryable:
                break
            self._pause.wait((told or wait * self._chance.uniform(0.8, 1.2)) / HURRY)
            wait = min(1.5 * wait, _LONGEST_WAIT)
        self.dropped.append((body, answer))

    def _note(self, body: bytes) -> None:
        self.rejected += ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points
