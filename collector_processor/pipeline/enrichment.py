"""What the telemetry itself is told: bands beside metrics, a verdict on spans."""

from collections.abc import Sequence

import numpy as np

from collector_processor.otlp.additions import STOCK_ADDITIONS, Additions, Which
from collector_processor.otlp.band_metrics import BandGroup, Piece, ScoredPoints, band_metrics, frame_of
from collector_processor.otlp.decode import ParsedTraces
from collector_processor.otlp.encode import encode_attributes, encode_resource
from collector_processor.otlp.span_patch import append_span_attributes, span_attributes
from collector_processor.pipeline.durations import ExpectedDurations
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.columns import grown
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Float64, Int32, PointBatch
from collector_processor.telemetry.series import Statistic
from collector_processor.telemetry.verdict import VerdictBatch

_UNKNOWN = -1
_DIMENSIONLESS = {Statistic.ERROR_RATIO}
_PER_SECOND = {Statistic.RATE}


class Enricher:
    """Encodes verdicts; remembers what the bands of a series have in common."""

    def __init__(self, catalog: Catalog, additions: Additions = STOCK_ADDITIONS) -> None:
        self._catalog = catalog
        self._additions = additions
        self._groups: list[BandGroup] = []
        self._places: dict[tuple[Source, Statistic], int] = {}
        self._group = np.empty(0, np.int32)  # by series: place in `_groups`, or _UNKNOWN; and its frame
        self._frame = np.empty(0, np.object_)
        self._head = np.empty(0, np.int64)

    def band_metrics(
        self, points: PointBatch, verdicts: VerdictBatch, origin: Int32, origins: int
    ) -> list[list[Piece]]:
        """Return, for each origin 0..origins-1, the band metrics of its scored points (`origin[i]` of row i)."""
        is_chosen = ~np.isnan(verdicts.yhat)
        if self._additions.metrics is not Which.ALL:
            is_chosen &= (verdicts.anomaly != 0) & (self._additions.metrics is Which.ANOMALOUS)
        rows = np.flatnonzero(is_chosen)
        if not rows.size:
            return [[] for _ in range(origins)]
        group = self._groups_of(points.series[rows])
        order = np.lexsort((group, origin[rows]))
        rows, group = rows[order], group[order]
        of, series = origin[rows], points.series[rows]
        begin = np.append(0, np.flatnonzero(np.diff(group) | np.diff(of)) + 1)
        scored = ScoredPoints(
            groups=[self._groups[place] for place in group[begin].tolist()],
            begin=begin,
            frames=self._frame[series].tolist(),
            head=self._head[series],
            time_unix_nano=points.time_unix_nano[rows],
            verdicts=verdicts.take(rows),
        )
        edges = np.searchsorted(of[begin], np.arange(origins + 1)).tolist()
        return band_metrics(scored, list(map(range, edges, edges[1:])), self._additions)

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

    def _groups_of(self, series: Int32) -> Int32:
        """Return the places `(n,)` of the groups of series, which have frames afterwards."""
        size = len(self._catalog)
        self._group = grown(self._group, size, _UNKNOWN)
        self._frame, self._head = grown(self._frame, size, None), grown(self._head, size, 0)
        for new in np.unique(series[self._group[series] == _UNKNOWN]).tolist():
            self._recall(new)
        return self._group[series]

    def _recall(self, series: int) -> None:
        """Make the frame of a series from the bytes of its sender, or from its key where it is our own."""
        key = self._catalog.keys[series]
        alias = self._catalog.alias_of(series)
        if alias is None:
            source = Source(encode_resource(key.resource), b"", key.metric, key.unit, key.kind)
            alias = (source, encode_attributes(key.attributes))
        source, raw = alias
        group = BandGroup(source, key.statistic, unit_of(source.unit, key.statistic))
        place = self._places.setdefault((source, key.statistic), len(self._groups))
        if place == len(self._groups):
            self._groups.append(group)
        self._group[series] = place
        self._frame[series], self._head[series] = frame_of(group, raw, self._additions)


def unit_of(unit: str, statistic: Statistic) -> str:
    """Return the unit of a statistic of a metric."""
    if statistic in _DIMENSIONLESS:
        return "1"
    if statistic in _PER_SECOND and not unit.endswith("/s"):
        return f"{unit}/s" if unit not in {"", "1"} else "1/s"
    return unit
