"""The whole fast path: decoded, derived, judged, enriched, durable; one request a commit, which is the dearest way.

10,000 series with a model and calibration, requests of 1,000 points, on a real store. The peer is the same without
judging and forwarding: what the verdicts cost.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from collector_processor.ledger import Signal
from collector_processor.pipeline import PipelineSettings
from tests.otlp.stock import Metric, attribute, request_with
from tests.pipeline_room import NOW, SECOND, Room, calm_seed, flat_model, opened

SERIES, POINTS, TICKS = 10_000, 1_000, 6


def measure() -> list[Figure]:
    """Return points per CPU second with and without verdicts, and the wall time of an acknowledgement."""
    plain, _ = _run(is_judged=False)
    judged, latency = _run(is_judged=True)
    return [
        Figure("points stored, judged, enriched", judged, "points/s", peer=plain, ratio=judged / plain),
        Figure("points stored only", plain, "points/s"),
        Figure(f"acknowledgement of {POINTS} points, median", 1e3 * latency, "ms"),
    ]


def _run(*, is_judged: bool) -> tuple[float, float]:
    settings = PipelineSettings(destinations=dict.fromkeys(Signal, ("default",)) if is_judged else {})
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory), settings) as room:
        _send(room, 0)
        if is_judged:
            ids = range(SERIES)
            room.publish([flat_model(i, 10.0) for i in ids], [(i, calm_seed(1.0)) for i in ids])
        cpu, wall = zip(*(_send(room, tick) for tick in range(1, TICKS)), strict=True)
    return SERIES / statistics.median(cpu), statistics.median(wall) / (SERIES / POINTS)


def _send(room: Room, tick: int) -> tuple[float, float]:
    """Send one point of every series; return CPU and wall seconds."""
    bodies = [_body(first, tick) for first in range(0, SERIES, POINTS)]
    cpu, wall = time.process_time(), time.perf_counter()
    for body in bodies:
        room.send(Signal.METRICS, body, now=NOW + tick * 60 * SECOND)
    return time.process_time() - cpu, time.perf_counter() - wall


def _body(first: int, tick: int) -> bytes:
    metric = Metric(name="load")
    for i in range(first, first + POINTS):
        point = metric.gauge.data_points.add(
            time_unix_nano=NOW + tick * 60 * SECOND, as_double=10 + (i + tick) % 7 / 10
        )
        point.attributes.extend([attribute("host.name", f"host-{i}"), attribute("zone", "eu-1")])
    return bytes(request_with(metric, **{"service.name": "shop"}).SerializeToString())
