"""The demo's fault, through the pipeline: one incident, and the service that is broken is its cause."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from collector_processor.clock import MINUTE, ManualClock
from collector_processor.demo import FAULT
from collector_processor.incident_keeper import IncidentKeeper, Sources
from collector_processor.incidents.correlate import CorrelationSettings
from examples.shop.model import FAULTS, NO_FAULTS, OPERATIONS, Faults
from examples.shop.overhead import NO_OVERHEAD
from examples.shop.simulation import SimulatedSpan, simulate_trace
from examples.shop.traffic import draw_visit
from tests.otlp.stock import ExportTraceServiceRequest, attribute
from tests.pipeline_room import NOW, Room, calm_seed, flat_model, opened

ORDERS_A_MINUTE = 24
BROKEN: Faults = {FAULTS[FAULT].operation: FAULTS[FAULT]}


def minute_of_orders(minute: int, rng: Random, faults: Faults) -> Any:
    """Return a request with the spans of a minute in which orders come at an even pace."""
    request = ExportTraceServiceRequest()
    groups: dict[str, Any] = {}
    for number in range(ORDERS_A_MINUTE):
        visit = draw_visit(OPERATIONS["storefront.checkout"], rng, faults)
        start = NOW + minute * MINUTE + number * MINUTE // ORDERS_A_MINUTE
        for span in simulate_trace(visit, NO_OVERHEAD, rng, faults):
            if span.service not in groups:
                groups[span.service] = request.resource_spans.add()
                groups[span.service].resource.attributes.append(attribute("service.name", span.service))
                groups[span.service].scope_spans.add()
            _add(groups[span.service].scope_spans[0].spans, span, start)
    return request


def _add(spans: Any, span: SimulatedSpan, start: int) -> None:
    added = spans.add(
        name=span.operation.span_name,
        kind=3 if span.is_client else 2,
        trace_id=span.trace_id.to_bytes(16, "big"),
        span_id=span.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        start_time_unix_nano=start + span.start_nano,
        end_time_unix_nano=start + span.end_nano,
    )
    added.status.code = 2 if span.status >= 500 else 0


def run(room: Room, minutes: range, rng: Random, faults: Faults) -> None:
    for minute in minutes:
        now = NOW + (minute + 1) * MINUTE
        room.spans(minute_of_orders(minute, rng, faults), now=now)
        room.pipeline.tick(now)


def teach(room: Room) -> None:
    """Let every series of the shop have a model of what it did so far, twice as wide as that."""
    series = np.array([series for series, key in room.writer.catalog() if key.statistic.is_modelled], np.int32)
    points = room.writer.read_points(series, 0, 2**62)
    records, seeds = [], []
    for each in np.unique(points.series).tolist():
        values = points.value[points.series == each]
        level = float(np.median(values))
        spread = max(2.0 * float(np.abs(values - level).max()), 0.05 * level, 0.02)
        records.append(flat_model(each, level, std=spread / 2))
        seeds.append((each, calm_seed(spread)))
    room.publish(records, seeds)


def test_the_demos_fault_is_one_incident_whose_cause_is_the_broken_service(tmp_path: Path) -> None:
    rng = Random(4)
    with opened(tmp_path) as room:
        run(room, range(-20, 0), rng, NO_FAULTS)
        teach(room)
        desk, reports = room.desk, room.desk.reports
        sources = Sources(
            reports.take_episodes,
            reports.take_strains,
            lambda: desk.keys,
            lambda: desk.saved_bands,
            desk.keep_incidents,
        )
        keeper = IncidentKeeper(tmp_path, sources, ManualClock(NOW), CorrelationSettings())
        keeper.look(NOW)
        assert room.writer.incidents(0, 2**62) == []
        for minute in range(6):
            run(room, range(minute, minute + 1), rng, BROKEN)
            keeper.look(NOW + (minute + 1) * MINUTE)
        (found,) = (each for each in room.writer.incidents(0, 2**62) if not each.merged_into)
        assert {"storefront", "checkout", "payment"} <= set(found.entities)
        assert found.cause is not None
        assert found.cause.entity == "payment"
        assert found.cause.score > 0.5
        assert "payment" in found.sentence
