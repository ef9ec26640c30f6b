"""What leaves: the requests that came in, with the verdicts on what they hold, to the destinations of their signal."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.detect.detector import Detector
from collector_processor.forecast.fleet import FleetModel
from collector_processor.ledger import Signal
from collector_processor.otlp.additions import Additions, Which
from collector_processor.pipeline.durations import Durations
from collector_processor.pipeline.enrichment import Enricher
from collector_processor.pipeline.request import Request
from collector_processor.signals.catalog import Catalog
from collector_processor.store.base import OutboxItem
from collector_processor.telemetry.points import Int32, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

MOST_TOGETHER = 1 << 20
"""Bytes of requests that leave as one: there are destinations that take no more."""


class Outgoing:
    """Makes the outbox items of a micro-batch; none for a signal that leads nowhere."""

    def __init__(self, catalog: Catalog, destinations: Mapping[Signal, Sequence[str]], additions: Additions) -> None:
        self._enricher = Enricher(catalog, additions)
        self._durations = Durations()
        self._additions = additions
        self._destinations = {signal: tuple(destinations.get(signal, ())) for signal in Signal}

    def leads_anywhere(self, signal: Signal) -> bool:
        """Tell whether anybody gets this signal."""
        return bool(self._destinations[signal])

    def metrics(
        self, requests: Sequence[Request], origin: Int32, points: PointBatch, verdicts: VerdictBatch
    ) -> list[OutboxItem]:
        """Append to each request's bytes the bands of its points.

        `origin` `(k,)` are the places of requests that the first points are of; the bands of the others, those of
        closed windows, leave by themselves.
        """
        if not self.leads_anywhere(Signal.METRICS):
            return []
        n = len(requests)
        origin = np.concatenate([origin, np.full(len(points) - origin.size, n, np.int32)])
        *extras, closed = self._enricher.band_metrics(points, verdicts, origin, n + 1)
        bodies = [
            b"".join([request.body, *extra]) if extra else request.body
            for request, extra in zip(requests, extras, strict=True)
        ]
        return self._items(Signal.METRICS, requests, [*bodies, b"".join(closed)] if closed else bodies)

    def traces(
        self,
        requests: Sequence[Request],
        stream: Int32,
        duration_series: Callable[[Int32], Int32],
        fleet: FleetModel,
        detector: Detector,
    ) -> list[OutboxItem]:
        """Append a verdict to the spans of requests; `duration_series` finds those `(n, 3)` of their streams `(n,)`."""
        if not requests or not self.leads_anywhere(Signal.TRACES):
            return []
        bodies = [request.body for request in requests]
        if self._additions.spans is not Which.NONE:
            start = np.concatenate([request.spans.start_unix_nano for request in requests])
            end = np.concatenate([request.spans.end_unix_nano for request in requests])
            expected = self._durations.expected(stream, end, duration_series, fleet, detector)
            parsed = [request.parsed for request in requests if request.parsed is not None]
            bodies = self._enricher.enrich_spans(parsed, (end - start) / NANOS_PER_SECOND, expected)
        return self._items(Signal.TRACES, requests, bodies)

    def logs(self, requests: Sequence[Request]) -> list[OutboxItem]:
        """Pass on the bytes that came."""
        if not self.leads_anywhere(Signal.LOGS):
            return []
        return self._items(Signal.LOGS, requests, [request.body for request in requests])

    def _items(self, signal: Signal, requests: Sequence[Request], bodies: Sequence[bytes]) -> list[OutboxItem]:
        """Return an item for each body, those of requests first; what came together leaves together, up to a size."""
        counts = [request.items for request in requests]
        counts += [0] * (len(bodies) - len(counts))
        found, size = list[OutboxItem](), 0
        for items, body in zip(counts, bodies, strict=True):
            joins = bool(found) and size + len(body) <= MOST_TOGETHER
            size = len(body) + (size if joins else 0)
            found.append(OutboxItem(signal, items, body, self._destinations[signal], joins))
        return found
