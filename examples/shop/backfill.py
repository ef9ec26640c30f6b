"""Send the shop's past through the official OTLP exporters.

Metrics get one point per series and minute. Spans get one whole minute in every ten: within such a minute all rates,
error ratios and durations are those of live traffic, and the whole past fits in seconds.

    report = backfill("http://127.0.0.1:4317", now_unix_nano=time.time_ns(), progress=print)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from examples.shop.books import books_at
from examples.shop.history import MetricHistory, spans_of_minute
from examples.shop.model import DEFAULT_SEED, MINUTE_UNIX_NANO
from examples.shop.overhead import Overhead, measure_overhead
from examples.shop.tally import Tally

HISTORY: Final = timedelta(days=14)
SPAN_MINUTE_EVERY: Final = 10
"""Spans are sent for Unix minutes divisible by this."""
_EXPORT_MINUTES: Final = 60
_LARGEST_SPAN_BATCH: Final = 4_000
_EXPORT_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """How far a back-fill has come, and what it took; all before `done_unix_nano` is sent."""

    start_unix_nano: int
    end_unix_nano: int
    done_unix_nano: int
    requests: int
    """Those whose spans are sent."""
    spans: int
    points: int
    cpu_seconds: float
    wall_seconds: float

    @property
    def fraction(self) -> float:
        """The share of the history that is sent, 0 to 1."""
        length = self.end_unix_nano - self.start_unix_nano
        return (self.done_unix_nano - self.start_unix_nano) / length if length else 1.0


class BackfillError(RuntimeError):
    """The receiver did not take a batch; resume from `done_unix_nano`."""

    def __init__(self, message: str, done_unix_nano: int) -> None:
        super().__init__(message)
        self.done_unix_nano = done_unix_nano


def backfill(
    endpoint: str,
    now_unix_nano: int,
    *,
    history: timedelta = HISTORY,
    resume_unix_nano: int | None = None,
    overhead: Overhead | None = None,
    seed: int = DEFAULT_SEED,
    progress: Callable[[BackfillReport], object] | None = None,
) -> BackfillReport:
    """Send the history before now in ascending time, an hour per export; the same arguments send the same data.

    Args:
        endpoint: OTLP gRPC endpoint, as `http://host:port`.
        now_unix_nano: End of the history; the minute it lies in is not sent.
        history: How far back to begin.
        resume_unix_nano: `done_unix_nano` of an earlier attempt with the same `now_unix_nano`; what lies before it is
            counted again for the cumulative values but not sent.
        overhead: What HTTP adds to the work of an operation; measured first if not given.
        seed: Of all random numbers.
        progress: Called after every export.

    Raises:
        BackfillError: The receiver refused a batch or stayed away.
    """
    end = now_unix_nano // MINUTE_UNIX_NANO
    start = end - int(history.total_seconds()) // 60
    sender = _Sender(endpoint, start, end, overhead or measure_overhead(), seed)
    resume = start if resume_unix_nano is None else max(start, resume_unix_nano // MINUTE_UNIX_NANO)
    try:
        sender.pass_silently(range(start, resume))
        for first in range(resume, end, _EXPORT_MINUTES):
            sender.send(range(first, min(first + _EXPORT_MINUTES, end)))
            if progress:
                progress(sender.report())
    finally:
        sender.close()
    return sender.report()


class _Sender:
    """The simulated shop at one minute of its history, and the exporters it sends through."""

    def __init__(self, endpoint: str, start: int, end: int, overhead: Overhead, seed: int) -> None:
        self._start, self._end, self._done = start, end, start
        self._overhead, self._seed = overhead, seed
        self._tally = Tally(books_at(start, seed))
        self._metrics = MetricHistory(self._tally, start * MINUTE_UNIX_NANO)
        self._span_exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_SECONDS)
        self._metric_exporter = OTLPMetricExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_SECONDS)
        self._requests = self._spans = self._points = 0
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def pass_silently(self, minutes: range) -> None:
        """Let minutes pass that have been sent before."""
        for minute in minutes:
            self._tally.record_minute(minute, self._seed)
        self._done = minutes.stop

    def send(self, minutes: range) -> None:
        """Let a run of minutes pass and send their points and spans."""
        spans: list[ReadableSpan] = []
        points = 0
        for minute in minutes:
            requests, visits = self._tally.record_minute(minute, self._seed)
            points += self._metrics.collect((minute + 1) * MINUTE_UNIX_NANO)
            if minute % SPAN_MINUTE_EVERY == 0:
                spans += spans_of_minute(minute, self._seed, requests, visits, self._overhead)
                self._requests += len(requests)
        self._export_metrics(self._metrics.take())
        for first in range(0, len(spans), _LARGEST_SPAN_BATCH):
            self._export_spans(spans[first : first + _LARGEST_SPAN_BATCH])
        self._points += points
        self._spans += len(spans)
        self._done = minutes.stop

    def report(self) -> BackfillReport:
        return BackfillReport(
            self._start * MINUTE_UNIX_NANO,
            self._end * MINUTE_UNIX_NANO,
            self._done * MINUTE_UNIX_NANO,
            self._requests,
            self._spans,
            self._points,
            time.process_time() - self._cpu,
            time.monotonic() - self._wall,
        )

    def close(self) -> None:
        self._span_exporter.shutdown()
        self._metric_exporter.shutdown()

    def _export_metrics(self, data: MetricsData) -> None:
        if self._metric_exporter.export(data) is not MetricExportResult.SUCCESS:
            self._fail("metrics")

    def _export_spans(self, spans: list[ReadableSpan]) -> None:
        if self._span_exporter.export(spans) is not SpanExportResult.SUCCESS:
            self._fail("spans")

    def _fail(self, what: str) -> None:
        done = self._done * MINUTE_UNIX_NANO
        raise BackfillError(f"the receiver took no {what} of the hour that begins at {done}", done)
