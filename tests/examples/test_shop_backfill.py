"""The past of the shop as a receiver sees it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from examples.shop.backfill import SPAN_MINUTE_EVERY, BackfillError, BackfillReport, backfill
from examples.shop.metrics import METRICS
from examples.shop.model import MINUTE_UNIX_NANO
from examples.shop.overhead import NO_OVERHEAD

from .conftest import Sink, attributes_of

NOW = 1_760_034_123_456_789_012
THREE_HOURS = timedelta(hours=3)
MINUTES = 180
START = (NOW // MINUTE_UNIX_NANO - MINUTES) * MINUTE_UNIX_NANO


def send(sink: Sink, **arguments: Any) -> BackfillReport:
    return backfill(sink.endpoint, NOW, history=THREE_HOURS, overhead=NO_OVERHEAD, **arguments)


@pytest.fixture(scope="module")
def sent() -> Iterator[tuple[Sink, BackfillReport]]:
    """One back-fill that tests only read."""
    sink = Sink()
    yield sink, send(sink)
    sink.close()


def series_of(sink: Sink, name: str, kind: str) -> dict[str, list[Any]]:
    series: dict[str, list[Any]] = defaultdict(list)
    for metric in sink.metrics_named(name):
        for point in getattr(metric, kind).data_points:
            series[str(attributes_of(point.attributes))].append(point)
    return series


def test_every_series_has_one_point_a_minute_up_to_now(sent: tuple[Sink, BackfillReport]) -> None:
    sink, report = sent
    expected = [START + minute * MINUTE_UNIX_NANO for minute in range(1, MINUTES + 1)]
    kinds = {"counter": "sum", "up/down counter": "sum", "gauge": "gauge", "histogram": "histogram"}
    for spec in METRICS:
        series = series_of(sink, spec.name, kinds[spec.kind.value])
        assert len(series) == len(spec.labels)
        assert all([point.time_unix_nano for point in points] == expected for points in series.values())
    assert report.points == MINUTES * sum(len(spec.labels) for spec in METRICS)


def test_counters_are_cumulative_since_the_start_of_the_history(sent: tuple[Sink, BackfillReport]) -> None:
    sink, _ = sent
    assert all(
        metric.sum.is_monotonic and metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
        for metric in sink.metrics_named("shop.orders")
    )
    for points in series_of(sink, "shop.orders", "sum").values():
        assert {point.start_time_unix_nano for point in points} == {START}
        assert all(before.as_int <= after.as_int for before, after in pairwise(points))
        assert points[-1].as_int > points[0].as_int


def test_the_histogram_is_cumulative_and_its_buckets_add_up(sent: tuple[Sink, BackfillReport]) -> None:
    sink, _ = sent
    (points,) = series_of(sink, "shop.order.value", "histogram").values()
    assert {point.start_time_unix_nano for point in points} == {START}
    assert all(sum(point.bucket_counts) == point.count for point in points)
    assert all(len(point.bucket_counts) == len(point.explicit_bounds) + 1 for point in points)
    for before, after in pairwise(points):
        assert before.sum <= after.sum
        assert all(b <= a for b, a in zip(before.bucket_counts, after.bucket_counts, strict=True))


def test_the_histogram_counts_the_orders(sent: tuple[Sink, BackfillReport]) -> None:
    sink, _ = sent
    (values,) = series_of(sink, "shop.order.value", "histogram").values()
    orders = series_of(sink, "shop.orders", "sum").values()
    assert values[-1].count == sum(points[-1].as_int for points in orders) > 100


def test_spans_fill_whole_minutes_one_in_five(sent: tuple[Sink, BackfillReport]) -> None:
    sink, report = sent
    spans = [received.span for received in sink.spans()]
    started = {span.start_time_unix_nano // MINUTE_UNIX_NANO for span in spans}
    ended = {span.end_time_unix_nano // MINUTE_UNIX_NANO for span in spans}
    assert started == ended
    assert len(started) == MINUTES // SPAN_MINUTE_EVERY
    assert all(minute % SPAN_MINUTE_EVERY == 0 for minute in started)
    assert report.spans == len(spans)
    assert report.requests == sum(not span.parent_span_id for span in spans)


def test_every_trace_is_complete_and_batches_ascend(sent: tuple[Sink, BackfillReport]) -> None:
    sink, _ = sent
    spans = [received.span for received in sink.spans()]
    ids = {(span.trace_id, span.span_id) for span in spans}
    roots = Counter(span.trace_id for span in spans if not span.parent_span_id)
    assert len(ids) == len(spans)
    assert set(roots.values()) == {1}
    assert all((span.trace_id, span.parent_span_id) in ids for span in spans if span.parent_span_id)
    ends = [
        max(s.end_time_unix_nano for r in batch.resource_spans for sc in r.scope_spans for s in sc.spans)
        for batch in sink.traces
    ]
    assert ends == sorted(ends)


def test_sending_again_sends_the_same(sink: Sink) -> None:
    send(sink)
    first = [request.SerializeToString(deterministic=True) for request in [*sink.traces, *sink.metrics]]
    sink.traces.clear()
    sink.metrics.clear()
    send(sink)
    assert [request.SerializeToString(deterministic=True) for request in [*sink.traces, *sink.metrics]] == first


def test_a_refused_back_fill_resumes_where_it_stopped(sink: Sink) -> None:
    send(sink)
    complete = [request.SerializeToString(deterministic=True) for request in sink.metrics]
    sink.traces.clear()
    sink.metrics.clear()
    sink.refuse_after = 3
    with pytest.raises(BackfillError, match="took no spans") as stopped:
        send(sink)
    assert stopped.value.done_unix_nano == START + 60 * MINUTE_UNIX_NANO
    sink.refuse_after = None
    sink.metrics.pop()
    send(sink, resume_unix_nano=stopped.value.done_unix_nano)
    assert [request.SerializeToString(deterministic=True) for request in sink.metrics] == complete


def test_progress_reaches_the_whole(sink: Sink) -> None:
    seen: list[float] = []
    report = send(sink, progress=lambda so_far: seen.append(so_far.fraction))
    assert seen == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert report.fraction == 1.0
