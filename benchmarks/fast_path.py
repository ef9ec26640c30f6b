"""The whole fast path: decoded, derived, judged, durable, and enriched for forwarding; and spans to RED.

10,000 series with a model and calibration, requests of 1,000 points, on a real store. One request a commit is the
dearest way; eight is what a consumer finds waiting that is kept busy. The peer is the same before there are models,
when only the level of the last hours judges: what models and forwarding cost.

All compiled code is loaded before, as it is after some seconds of that many, and nothing is measured in a process that
has not done the same before.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.decode import trace_body
from benchmarks.figures import Figure
from collector_processor.detect import calm, silence
from collector_processor.ledger import Signal
from collector_processor.memory import give_back_large_blocks
from collector_processor.otlp import metrics, traces
from collector_processor.pipeline import PipelineSettings
from collector_processor.store import verdict_rows
from tests.otlp.stock import START, Metric, attribute, request_with
from tests.pipeline_room import NOW, SECOND, Room, calm_seed, flat_model, opened

SERIES, POINTS, TICKS = 10_000, 1_000, 6
SPANS, SPAN_REQUESTS = 1_000, 16


def measure() -> list[Figure]:
    """Return points and spans per CPU second, and the wall time of an acknowledgement."""
    give_back_large_blocks()  # as a server does
    for kernel in (metrics.SCANNER, traces.SCANNER, calm.KERNEL, silence.KERNEL, verdict_rows.KERNEL):
        kernel.load()
    _run(8, is_judged=True, is_forwarding=True)
    figures = []
    for together in (1, 8):
        plain, latency = _run(together)
        judged, _ = _run(together, is_judged=True)
        enriched, slowest = _run(together, is_judged=True, is_forwarding=True)
        of = f"{together} a commit"
        figures += [
            Figure(f"points stored, {of}", plain, "points/s"),
            Figure(f"points stored and judged, {of}", judged, "points/s", peer=plain, ratio=judged / plain),
            Figure(f"points stored, judged, enriched, {of}", enriched, "points/s", peer=plain, ratio=enriched / plain),
            Figure(f"acknowledgement of {together} x {POINTS} points, median", 1e3 * latency, "ms"),
            Figure(f"the same judged and enriched, {of}", 1e3 * slowest, "ms"),
        ]
    for n in (1, 8):
        plain, enriched = _spans(n), _spans(n, is_forwarding=True)
        figures += [
            Figure(f"spans to RED, {n} a commit", plain, "spans/s"),
            Figure(
                f"spans judged, enriched, queued, {n} a commit", enriched, "spans/s", peer=plain, ratio=enriched / plain
            ),
        ]
    return figures


def _run(together: int, *, is_judged: bool = False, is_forwarding: bool = False) -> tuple[float, float]:
    with (
        tempfile.TemporaryDirectory() as directory,
        opened(Path(directory), _settings(is_forwarding=is_forwarding)) as room,
    ):
        _send(room, 0, together)
        if is_judged:
            ids = range(SERIES)
            room.publish([flat_model(i, 10.0) for i in ids], [(i, calm_seed(1.0)) for i in ids])
        cpu, wall = zip(*(_send(room, tick, together) for tick in range(1, TICKS)), strict=True)
    return SERIES / statistics.median(cpu), statistics.median(wall) / (SERIES / POINTS / together)


def _settings(*, is_forwarding: bool) -> PipelineSettings:
    return PipelineSettings(destinations=dict.fromkeys(Signal, ("default",)) if is_forwarding else {})


def _send(room: Room, tick: int, together: int) -> tuple[float, float]:
    """Send one point of every series; return CPU and wall seconds."""
    bodies = [_body(first, tick) for first in range(0, SERIES, POINTS)]
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(0, len(bodies), together):
        room.send(Signal.METRICS, *bodies[first : first + together], now=NOW + tick * 60 * SECOND)
    return time.process_time() - cpu, time.perf_counter() - wall


def _spans(together: int, *, is_forwarding: bool = False) -> float:
    """Return spans per CPU second, from the bytes of a request to durable events, and to a verdict on each span."""
    settings, rates = _settings(is_forwarding=is_forwarding), []
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory), settings) as room:
        for run in range(TICKS):
            if run == 1 and is_forwarding:
                ids = range(len(room.names()))
                room.publish([flat_model(i, 1e-7) for i in ids], [(i, calm_seed(1e-7)) for i in ids])
            # a field nobody knows makes each request another one, or it would be taken for a repeat
            bodies = [trace_body(SPANS) + b"\xc0\x3e" + bytes([run, 0xC0, 0x3E, i]) for i in range(SPAN_REQUESTS)]
            began = time.process_time()
            for first in range(0, len(bodies), together):
                room.send(Signal.TRACES, *bodies[first : first + together], now=START + 10 * SECOND)
            rates.append(SPANS * SPAN_REQUESTS / (time.process_time() - began))
    return statistics.median(rates[1:])


def _body(first: int, tick: int) -> bytes:
    metric = Metric(name="load")
    for i in range(first, first + POINTS):
        point = metric.gauge.data_points.add(
            time_unix_nano=NOW + tick * 60 * SECOND, as_double=10 + (i + tick) % 7 / 10
        )
        point.attributes.extend([attribute("host.name", f"host-{i}"), attribute("zone", "eu-1")])
    return bytes(request_with(metric, **{"service.name": "shop"}).SerializeToString())
