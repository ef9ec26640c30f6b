"""A whole Foreband with a clock of its own and a real gRPC client, and requests built with the stock classes."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from collector_processor.app import Addresses, Foreband
from collector_processor.clock import MINUTE, ManualClock
from collector_processor.config import load_config
from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.store.sqlite import open_reader
from tests.otlp.stock import ExportLogsServiceRequest, ExportTraceServiceRequest, Metric, attribute, request_with
from tests.raw_http import PROTOBUF, Answer, exchange, posted

SECOND = 1_000_000_000
NOW = 1_800_000_000 // 60 * 60 * SECOND
PATIENCE = 60.0

Points = dict[str, list[tuple[float, float]]]
"""(seconds from some moment, value), by `metric/statistic[/attribute values]`."""


@dataclass(frozen=True)
class Moment:
    """When something is sent and by which service; times are seconds from then."""

    now: int
    service: str

    def at(self, seconds: float) -> int:
        return self.now + round(seconds * SECOND)

    def metric(self, metric: Metric, **resource: Any) -> Any:
        return request_with(metric, **{"service.name": self.service, **resource})

    def gauge(self, name: str, *points: tuple[float, float], **attributes: Any) -> Any:
        fields = [{"time_unix_nano": self.at(seconds), "as_double": value} for seconds, value in points]
        return self.points(name, *fields, **attributes)

    def points(self, name: str, *points: Mapping[str, Any], **attributes: Any) -> Any:
        """Build a gauge from the fields of its data points as they are."""
        metric: Any = Metric(name=name)
        metric.gauge.SetInParent()
        for fields in points:
            point = metric.gauge.data_points.add(**{"time_unix_nano": self.now, **fields})
            point.attributes.extend(attribute(k, v) for k, v in attributes.items())
        return self.metric(metric)

    def sum(
        self,
        name: str,
        *points: tuple[float, float],
        start: float | None = -3600,
        temporality: int = 2,
        is_monotonic: bool = True,
    ) -> Any:
        metric: Any = Metric(name=name)
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = is_monotonic, temporality
        begin = 0 if start is None else self.at(start)
        for seconds, value in points:
            metric.sum.data_points.add(start_time_unix_nano=begin, time_unix_nano=self.at(seconds), as_double=value)
        return self.metric(metric)

    def histogram(self, counts: list[int], bounds: list[float], **fields: Any) -> Any:
        metric: Any = Metric(name="latency")
        metric.histogram.aggregation_temporality = 1
        times = {"start_time_unix_nano": self.at(-60), "time_unix_nano": self.now}
        values = {"count": sum(counts), "sum": 6.0, **times, **fields}
        metric.histogram.data_points.add(bucket_counts=counts, explicit_bounds=bounds, **values)
        return self.metric(metric)

    def spans(self, *spans: Mapping[str, Any]) -> Any:
        """Build server spans of 0.1 s that end half a minute ago, unless their fields say something else."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.append(attribute("service.name", self.service))
        found: Any = group.scope_spans.add().spans
        times = {"start_time_unix_nano": self.at(-30.1), "end_time_unix_nano": self.at(-30)}
        for fields in spans:
            found.add(**{"name": "GET /", "kind": 2, "trace_id": bytes(16), "span_id": bytes(8), **times, **fields})
        return request

    def logs(self, *records: Mapping[str, Any]) -> Any:
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.append(attribute("service.name", self.service))
        found: Any = group.scope_logs.add().log_records
        for fields in records:
            found.add(**{"time_unix_nano": self.at(-30), "severity_number": 9, **fields})
        return request


class House:
    """A Foreband on free ports, and a client that does not retry by itself."""

    def __init__(self, directory: Path, *overrides: str) -> None:
        self.directory = directory / "data"
        self.clock = ManualClock(NOW)
        doors = ("receiver.listen", "receiver.http_listen", "grafana.listen")
        listen = [*(f"{door}=127.0.0.1:0" for door in doors), f"store.directory={self.directory}"]
        patient = "forecast.fit_timeout=1h"  # minutes pass in no time here
        config = load_config(overrides=[*listen, patient, *overrides], environ={})
        self.foreband = Foreband(config, clock=self.clock, environ={})
        self.addresses: Addresses = self.foreband.start()
        self.channel = grpc.insecure_channel(self.addresses.otlp, [("grpc.enable_retries", 0)])

    def moment(self, service: str) -> Moment:
        """Return the next whole minute, having waited for it."""
        self.clock.advance(-self.clock.now_unix_nano() % MINUTE)
        return Moment(self.clock.now_unix_nano(), service)

    def send(self, signal: Signal, request: Any, **call: Any) -> bytes:
        body = request if isinstance(request, bytes) else request.SerializeToString()
        answer: bytes = self.method(signal)(body, timeout=PATIENCE, **call)
        return answer

    def fail(self, signal: Signal, request: Any, **call: Any) -> Any:
        """Send what must be refused; return the error, never one on which a sender would draw a wrong conclusion."""
        with pytest.raises(grpc.RpcError) as caught:
            self.send(signal, request, **call)
        error: Any = caught.value
        assert error.code() not in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
        return error

    def post(self, signal: Signal, body: bytes, content_type: str = PROTOBUF) -> Answer:
        """Send a request over HTTP."""
        return exchange(self.addresses.otlp_http, posted(f"/v1/{signal}", body, content_type))

    def method(self, signal: Signal) -> Any:
        return self.channel.unary_unary(EXPORT_METHODS[signal], None, None)

    def stored(self, moment: Moment) -> Points:
        """Return all points of a service."""
        keys = {
            series: "/".join([key.metric, key.statistic.value, *(str(v) for _, v in key.attributes)])
            for series, key in self.read(lambda reader: reader.catalog())
            if key.service == moment.service
        }
        ids = np.array(sorted(keys), np.int32)
        points = self.read(lambda reader: reader.read_points(ids, 0, 2**62))
        found: Points = {name: [] for name in keys.values()}
        columns = points.series.tolist(), points.time_unix_nano.tolist(), points.value.tolist()
        for series, at, value in zip(*columns, strict=True):
            found[keys[series]].append(((at - moment.now) / SECOND, value))
        return found

    def read(self, question: Callable[[Any], Any]) -> Any:
        reader = open_reader(self.directory)
        try:
            return question(reader)
        finally:
            reader.close()

    def close_windows(self) -> None:
        """Let two minutes pass, and wait until every span and log record is in a closed window."""
        self.clock.advance(2 * MINUTE)
        deadline = time.monotonic() + PATIENCE
        while len(self.read(lambda reader: reader.events())):
            assert time.monotonic() < deadline, "windows stay open"
            self.clock.advance(SECOND)
            threading.Event().wait(0.02)

    def assert_balanced(self) -> None:
        assert all(self.foreband.ledger.row(signal).is_balanced for signal in Signal)

    def close(self) -> None:
        self.channel.close()
        self.foreband.stop()
        self.assert_balanced()


def same(
    found: Mapping[str, Sequence[tuple[float, float]]], expected: Mapping[str, Sequence[tuple[float, float]]]
) -> bool:
    """Compare exactly, NaN with NaN and -0.0 unlike 0.0."""

    return _spelled(found) == _spelled(expected)


def _spelled(points: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, list[tuple[float, str]]]:
    return {name: [(round(at, 6), repr(float(value))) for at, value in pairs] for name, pairs in points.items()}
