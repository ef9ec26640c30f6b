"""OTLP requests of a made-up fleet, encoded once: only times and values are written anew for each tick."""

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector_processor.clock import DAY
from collector_processor.telemetry.points import Float64, Int64

POINTS = 1_000
"""Points of one request: as many series, one point each."""

_TIME, _VALUE = 0x1122334455667788, -1.2345678901234567e-300


class Fleet:
    """Series with a day and noise; request `i` holds those from `i * POINTS` on, each like its fellow in the others.

    So a history of `POINTS` series is that of all: `benchmarks.fleet_store` writes it for each of them.
    """

    def __init__(self, series: int) -> None:
        if series % POINTS:
            raise ValueError(f"a fleet is a multiple of {POINTS} series, not {series}")
        random = np.random.default_rng(7)
        self.series = series
        self._level, self._swing = random.uniform(20, 80, POINTS), random.uniform(1, 10, POINTS)
        self._phase, self._noise = random.random(POINTS), random.uniform(0.1, 1.0, POINTS)
        self._random = random
        self._bodies = [np.frombuffer(_template(i), np.uint8).copy() for i in range(series // POINTS)]
        self._times = [_places(body, np.int64(_TIME)) for body in self._bodies]
        self._values = [_places(body, np.float64(_VALUE)) for body in self._bodies]

    @property
    def requests(self) -> int:
        """How many requests hold one point of every series."""
        return len(self._bodies)

    def body(self, request: int, time_unix_nano: int) -> bytes:
        """Return the request with one point of each of its series."""
        body, value = self._bodies[request], self.values(np.array([time_unix_nano]))[:, 0]
        body[self._times[request]] = np.frombuffer(np.int64(time_unix_nano).tobytes(), np.uint8)
        body[self._values[request]] = value.view(np.uint8).reshape(POINTS, 8)
        return body.tobytes()

    def values(self, time_unix_nano: Int64) -> Float64:
        """Return values of the series of one request `(POINTS, times)`, to two decimals, as most telemetry has."""
        day = 2 * np.pi * (time_unix_nano / DAY + self._phase[:, np.newaxis])
        value = self._level[:, np.newaxis] + self._swing[:, np.newaxis] * np.sin(day)
        return np.round(value + self._noise[:, np.newaxis] * self._random.normal(size=value.shape), 2)


def _template(request: int) -> bytes:
    """Return an encoded request of about 180 bytes a point."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = f"service-{request}"
    metrics = resource.scope_metrics.add().metrics
    for m in range(10):
        data = metrics.add(name=f"fleet.metric.{m}", unit="1").gauge
        for i in range(POINTS // 10):
            point = data.data_points.add(time_unix_nano=_TIME, as_double=_VALUE)
            for key, value in (("host.name", f"host-{i}"), ("zone", f"eu-{i % 3}"), ("device", f"disk-{i % 7}")):
                point.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def _places(body: "np.ndarray[tuple[int], np.dtype[np.uint8]]", sentinel: np.generic) -> Int64:
    """Return where each of the POINTS sentinels lies, `(POINTS, 8)`."""
    needle, text, at, found = sentinel.tobytes(), body.tobytes(), -1, []
    while (at := text.find(needle, at + 1)) >= 0:
        found.append(at)
    if len(found) != POINTS:
        raise ValueError(f"{len(found)} places found, not {POINTS}")
    return np.array(found)[:, np.newaxis] + np.arange(8)
