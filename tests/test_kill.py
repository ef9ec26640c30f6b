"""Nothing acknowledged is lost: `kill -9` under load, twenty times on one directory."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from collector_processor.ledger import Signal
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.series import SeriesKey
from tests.house import SECOND, Moment
from tests.process import Process, Sender, wait_until

KILLS = 20
SPANS = 3
WINDOW = 2.0
SHOP = "shop"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, f"series.window={WINDOW:g}s", "series.grace=1s")
    process.run()
    yield process
    process.kill()


class Load:
    """Three senders, and what each of them sent."""

    def __init__(self, address: str) -> None:
        self.began = time.time_ns()
        self.gauge: list[int] = []  # times; the value is the place in the list
        self.counter: dict[int, int] = {}  # time to total
        self.senders = {
            "gauge": Sender(address, Signal.METRICS, self._gauge),
            "counter": Sender(address, Signal.METRICS, self._counter),
            "spans": Sender(address, Signal.TRACES, self._spans),
        }

    def _gauge(self, number: int) -> bytes:
        self.gauge.append(time.time_ns())
        body: bytes = Moment(self.gauge[-1], SHOP).gauge("gauge", (0, number)).SerializeToString()
        return body

    def _counter(self, number: int) -> bytes:
        now = time.time_ns()
        self.counter[now] = max(self.counter.values(), default=1000) + number % 7
        begin = (self.began - now) / SECOND
        request = Moment(now, SHOP).sum("counter", (0, self.counter[now]), start=begin)
        body: bytes = request.SerializeToString()
        return body

    def _spans(self, number: int) -> bytes:
        now = Moment(time.time_ns(), SHOP)
        times = {"start_time_unix_nano": now.at(-0.1), "end_time_unix_nano": now.now}
        spans = [{**times, "trace_id": number.to_bytes(16), "span_id": bytes([i] * 8)} for i in range(SPANS)]
        body: bytes = now.spans(*spans).SerializeToString()
        return body


@pytest.mark.timeout(180)
def test_kill_9_under_load_twenty_times_loses_nothing_and_counts_nothing_twice(process: Process) -> None:
    chance = random.Random(1)
    load = Load(process.otlp)
    catalog: list[tuple[int, SeriesKey]] = []
    for _ in range(KILLS):
        assert wait_until(lambda: process.code() is not None or process.is_ready())
        assert load.senders[chance.choice([*load.senders])].wait_for(chance.randint(1, 60)), process.log()
        process.assert_balanced()
        process.kill()
        known = catalog_of(process)
        assert known[: len(catalog)] == catalog
        catalog = known
        process.run()
    for sender in load.senders.values():
        sender.finish()
        assert sender.rejected == 0
        assert {code for code, _ in sender.codes} == {grpc.StatusCode.UNAVAILABLE}
    assert wait_until(lambda: not has_open_windows(process))
    process.assert_balanced()
    process.assert_log_is_calm()
    assert catalog_of(process)[: len(catalog)] == catalog

    gauge = points(process, "gauge")
    assert gauge.time_unix_nano.tolist() == load.gauge
    assert gauge.value.tolist() == list(range(len(load.gauge)))
    total = points(process, "counter", "total")
    assert dict(zip(total.time_unix_nano.tolist(), total.value.tolist(), strict=True)) == load.counter
    increases, expected = increases_of(points(process, "counter", "rate"), load.counter)
    assert np.allclose(increases, expected, rtol=1e-6, atol=1e-6)
    calls = points(process, "traces.span.calls", "rate").value
    assert round(calls.sum() * WINDOW) == SPANS * len(load.senders["spans"].acknowledged)

    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def points(process: Process, metric: str, statistic: str = "value") -> PointBatch:
    (series,) = [i for i, key in catalog_of(process) if (key.metric, key.statistic) == (metric, statistic)]
    reader = open_reader(process.store)
    try:
        return reader.read_points(np.array([series], np.int32), 0, 2**62)
    finally:
        reader.close()


def increases_of(rate: PointBatch, totals: dict[int, int]) -> tuple[Float64, Float64]:
    """Return what each rate says the counter grew by since the rate before, and what it grew by.

    Short intervals have no rate of their own, so rates are of fewer times than totals: together they cover them all.
    """
    times = np.concatenate([[next(iter(totals))], rate.time_unix_nano])
    return rate.value * np.diff(times) / SECOND, np.diff([float(totals[time]) for time in times.tolist()])


def catalog_of(process: Process) -> list[tuple[int, SeriesKey]]:
    reader = open_reader(process.store)
    try:
        return reader.catalog()
    finally:
        reader.close()


def has_open_windows(process: Process) -> bool:
    reader = open_reader(process.store)
    try:
        return len(reader.events()) > 0
    finally:
        reader.close()
