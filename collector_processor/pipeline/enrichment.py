"""What the telemetry itself is told: bands beside metrics, a verdict on spans."""

from collections.abc import Sequence

import numpy as np

from collector_processor.otlp.additions import STOCK_ADDITIONS, Additions, Which
from collector_processor.otlp.band_metrics import ScoredPoints, band_metrics
from collector_processor.otlp.decode import ParsedTraces
from collector_processor.otlp.encode import encode_attributes, encode_resource
from collector_processor.otlp.span_patch import append_span_attributes, span_attributes
from collector_processor.pipeline.durations import ExpectedDurations
from collector_processor.signals.catalog import Catalog
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch

_DIMENSIONLESS = {Statistic.ERROR_RATIO}
_PER_SECOND = {Statistic.RATE}


class Enricher:
    """Encodes verdicts; remembers the raw identity bytes of series that Foreband made itself."""

    def __init__(self, catalog: Catalog, additions: Additions = STOCK_ADDITIONS) -> None:
        self._catalog = catalog
        self._additions = additions
        self._known: dict[int, tuple[int, bytes]] = {}  # by series: place in `_groups`, raw attributes
        self._groups: list[tuple[Source, Statistic]] = []
        self._places: dict[tuple[Source, Statistic], int] = {}

    def band_metrics(self, points: PointBatch, verdicts: VerdictBatch, origin: Int32, origins: int) -> list[bytes]:
        """Return, for each origin 0..origins-1, the band metrics of its scored points (`origin[i]` of row i)."""
        is_chosen = ~np.isnan(verdicts.yhat)
        if self._additions.metrics is not Which.ALL:
            is_chosen &= (verdicts.anomaly != 0) & (self._additions.metrics is Which.ANOMALOUS)
        scored = np.flatnonzero(is_chosen)
        return [self._encode(points, verdicts, scored[origin[scored] == i]) for i in range(origins)]

    def enrich_spans(
        self, requests: Sequence[ParsedTraces], duration: Float64, expected: ExpectedDurations
    ) -> list[bytes]:
        """Return each request with a verdict appended to every chosen span whose operation has a forecast.

        Rows are the spans of all requests one after the other; `duration` is in seconds.
        """
        above = duration >= expected.yhat
        edge = np.where(above, expected.upper, expected.lower)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (duration - expected.yhat) / np.abs(edge - expected.yhat)
        is_anomaly = duration > expected.upper
        if self._additions.spans is Which.ANOMALOUS:
            score = np.where(is_anomaly, score, np.nan)
        if np.isnan(score).all():
            return [parsed.body for parsed in requests]
        extras = span_attributes(
            is_anomaly, score, expected.lower, expected.upper, expected.model_version, self._additions
        )
        last = np.cumsum([parsed.spans for parsed in requests]).tolist()
        return [
            append_span_attributes(parsed, extras.part(end - parsed.spans, end), self._additions)
            for parsed, end in zip(requests, last, strict=True)
        ]

    def _encode(self, points: PointBatch, verdicts: VerdictBatch, rows: Int64) -> bytes:
        if not rows.size:
            return b""
        places, attributes = zip(*map(self._identity, points.series[rows].tolist()), strict=True)
        place = np.array(places)
        order = np.argsort(place, kind="stable")
        runs = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
        found = [
            self._group(place[run[0]], [attributes[i] for i in run.tolist()], points, verdicts, rows[run])
            for run in runs
        ]
        return band_metrics(found, self._additions)

    def _group(
        self, place: int, attributes: list[bytes], points: PointBatch, verdicts: VerdictBatch, rows: Int64
    ) -> ScoredPoints:
        source, statistic = self._groups[place]
        return ScoredPoints(
            source=source,
            statistic=statistic,
            unit=unit_of(source.unit, statistic),
            attributes=attributes,
            time_unix_nano=points.time_unix_nano[rows],
            verdicts=verdicts.take(rows),
        )

    def _identity(self, series: int) -> tuple[int, bytes]:
        """Return the place of a series' group, and the bytes of its attributes."""
        return self._known.get(series) or self._recall(series)

    def _recall(self, series: int) -> tuple[int, bytes]:
        """Find the bytes that stand for a series: its sender's, or made from its key where it is our own."""
        key = self._catalog.keys[series]
        alias = self._catalog.alias_of(series)
        if alias is None:
            source = Source(encode_resource(key.resource), b"", key.metric, key.unit, key.kind)
            alias = (source, encode_attributes(key.attributes))
        group = (alias[0], key.statistic)
        if group not in self._places:
            self._places[group] = len(self._groups)
            self._groups.append(group)
        known = self._known[series] = (self._places[group], alias[1])
        return known


def unit_of(unit: str, statistic: Statistic) -> str:
    """Return the unit of a statistic of a metric."""
    if statistic in _DIMENSIONLESS:
        return "1"
    if statistic in _PER_SECOND and not unit.endswith("/s"):
        return f"{unit}/s" if unit not in {"", "1"} else "1/s"
    return unit
