"""This machine's metrics as a reader of the SDK sees them."""

import pytest

pytest.importorskip("psutil")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from examples.host.metrics import create_instruments


def read_points(reader: InMemoryMetricReader) -> dict[str, list[NumberDataPoint]]:
    data = reader.get_metrics_data()
    assert data
    points: dict[str, list[NumberDataPoint]] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        points[metric.name] = [point for point in metric.data.data_points if isinstance(point, NumberDataPoint)]
    return points


@pytest.fixture
def reader() -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    create_instruments(MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("test"))
    return reader


def test_cpu_modes_share_the_whole_time(reader: InMemoryMetricReader) -> None:
    sum(range(3_000_000))  # a clock tick or more of work
    points = read_points(reader)["system.cpu.utilization"]
    assert sum(point.value for point in points) == pytest.approx(1.0)
    assert {"user", "system", "idle"} <= {str((point.attributes or {})["cpu.mode"]) for point in points}


def test_the_basic_metrics_are_there_with_their_attributes(reader: InMemoryMetricReader) -> None:
    points = read_points(reader)
    assert {(p.attributes or {})["network.io.direction"] for p in points["system.network.io"]} == {
        "receive",
        "transmit",
    }
    assert {"used", "free"} <= {(p.attributes or {})["system.memory.state"] for p in points["system.memory.usage"]}
    assert points["system.process.count"][0].value > 0
    assert points["system.cpu.load_average.1m"][0].value >= 0


def test_shares_lie_between_nothing_and_all(reader: InMemoryMetricReader) -> None:
    points = read_points(reader)
    for name in ("system.memory.utilization", "system.filesystem.utilization"):
        assert all(0.0 <= point.value <= 1.0 for point in points.get(name, []))


def test_byte_counters_never_fall(reader: InMemoryMetricReader) -> None:
    def totals() -> dict[str, float]:
        return {str(point.attributes): point.value for point in read_points(reader)["system.network.io"]}

    first, second = totals(), totals()
    assert all(second[series] >= first[series] for series in first.keys() & second.keys())
