"""A micro-batch's data points of one kind as rows: blocks of many metrics and requests joined, ids beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.signals.admit import check_starts
from collector_processor.signals.catalog import REFUSED, Catalog
from collector_processor.signals.exponential import SparseBuckets
from collector_processor.signals.histogram import BucketBlock, is_consistent
from collector_processor.signals.outcome import Outcome, first_of, where
from collector_processor.telemetry.arrival import (
    ExponentialPoints,
    HistogramPoints,
    MetricArrivals,
    NumberPoints,
    SummaryPoints,
)
from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64
from collector_processor.telemetry.series import Kind, Statistic

OWN_PREFIX = "foreband."
"""Metrics of this name pass through and count as stored, but make no series: no bands of bands."""

Block = NumberPoints | HistogramPoints | ExponentialPoints | SummaryPoints

DELTAS = {Kind.COUNTER_DELTA, Kind.UPDOWN_DELTA, Kind.HISTOGRAM_DELTA, Kind.EXPONENTIAL_DELTA}
"""Kinds whose points are increases themselves."""


@dataclass(frozen=True, slots=True)
class MetricRows:
    """Points of one kind; `kind` is None for Foreband's own metrics. `value` is the count of a histogram or summary.

    `value` and `sum` are NaN in gaps; `sum` is NaN for numbers, and where the sender gave none. `low` is what `value`
    lacks of an integer beyond 2^53. `sparse` are the buckets of exponential histograms, and nothing of other kinds.
    """

    kind: Kind | None
    request: Int32
    start: Int64
    time: Int64
    value: Float64
    low: Float64
    is_gap: Bool
    sum: Float64
    sources: Sequence[tuple[int, Block]]
    """Which block begins at which row."""
    buckets: Sequence[BucketBlock]
    sparse: SparseBuckets | None

    def __len__(self) -> int:
        return self.time.size

    def buckets_at(self, at: Int64) -> list[BucketBlock]:
        """Return the buckets of the rows `at` `(m,)`, renumbered to places in `at`."""
        place = np.full(len(self), -1, np.int64)
        place[at] = np.arange(at.size)
        blocks = []
        for block in self.buckets:
            chosen = place[block.rows] >= 0
            if chosen.any():
                blocks.append(BucketBlock(block.bounds, place[block.rows[chosen]], block.counts[chosen]))
        return blocks


def gather(arrivals: Sequence[MetricArrivals], own: str = OWN_PREFIX) -> list[MetricRows]:
    """Join the blocks of all arrivals by kind; metrics that begin with `own` are ours, too."""
    by_kind: dict[Kind | None, list[tuple[int, Block]]] = {}
    for request, a in enumerate(arrivals):
        blocks: list[Block] = [*a.numbers, *a.histograms, *a.exponentials, *a.summaries]
        for block in blocks:
            is_own = block.source.metric.startswith((OWN_PREFIX, own))
            by_kind.setdefault(None if is_own else block.source.kind, []).append((request, block))
    return [_join(kind, blocks) for kind, blocks in by_kind.items()]


def resolve(catalog: Catalog, rows: MetricRows, statistics: tuple[Statistic, ...], wanted: Bool) -> Int32:
    """Return series ids `(n, k)` of the `wanted` rows, `REFUSED` for the others, which make no series."""
    ids = np.full((len(rows), len(statistics)), REFUSED, np.int32)
    all_wanted = bool(wanted.all())
    for first, block in rows.sources:
        part = slice(first, first + len(block.attributes))
        if all_wanted or wanted[part].all():
            ids[part] = catalog.resolve(block.source, block.attributes, statistics)
        else:
            chosen = np.flatnonzero(wanted[part])
            attributes = [block.attributes[i] for i in chosen.tolist()]
            ids[first + chosen] = catalog.resolve(block.source, attributes, statistics)
    return ids


def check_values(rows: MetricRows) -> Int8:
    """Return the outcome of start times and values; a gauge may have any."""
    if rows.kind is Kind.GAUGE:
        return np.zeros(len(rows), np.int8)
    recorded = ~rows.is_gap
    not_finite = ~np.isfinite(rows.value) | np.isinf(rows.sum)
    outcome = first_of(check_starts(rows.start, rows.time), where(recorded & not_finite, Outcome.NOT_FINITE))
    if rows.kind in {Kind.UPDOWN_CUMULATIVE, Kind.UPDOWN_DELTA}:
        return outcome
    negative = Outcome.NEGATIVE_DELTA if rows.kind in DELTAS else Outcome.NEGATIVE_TOTAL
    outcome = first_of(outcome, where(recorded & (rows.value < 0), negative))
    for block in rows.buckets:
        bad = recorded[block.rows] & ~is_consistent(block, rows.value[block.rows])
        outcome[block.rows] = first_of(outcome[block.rows], where(bad, Outcome.BAD_HISTOGRAM))
    return outcome


def _join(kind: Kind | None, blocks: Sequence[tuple[int, Block]]) -> MetricRows:
    sizes = [len(b.attributes) for _, b in blocks]
    first = accumulate(sizes, initial=0)
    is_gap = _column(blocks, lambda b: b.is_gap)
    value = _column(blocks, lambda b: b.value if isinstance(b, NumberPoints) else b.count)
    sources = [(row, block) for row, (_, block) in zip(first, blocks, strict=False)]
    return MetricRows(
        kind=kind,
        request=np.repeat(np.array([r for r, _ in blocks], np.int32), sizes),
        start=_column(blocks, lambda b: b.start_unix_nano),
        time=_column(blocks, lambda b: b.time_unix_nano),
        value=np.where(is_gap, np.nan, value),
        low=_column(blocks, _low),
        is_gap=is_gap,
        sum=_column(blocks, _sum),
        sources=sources,
        buckets=_join_buckets(sources),
        sparse=_join_sparse(sources),
    )


def _low(block: Block) -> Float64:
    known = block.low if isinstance(block, NumberPoints) else None
    return np.zeros(len(block.attributes)) if known is None else known


def _sum(block: Block) -> Float64:
    return np.full(len(block.attributes), np.nan) if isinstance(block, NumberPoints) else block.sum


def _join_sparse(sources: Sequence[tuple[int, Block]]) -> SparseBuckets | None:
    blocks = [block for _, block in sources if isinstance(block, ExponentialPoints)]
    if not blocks:
        return None
    return SparseBuckets.concat(
        [
            SparseBuckets(
                block.scale,
                block.zero_count,
                block.zero_threshold,
                block.bucket_row,
                block.bucket_index,
                block.bucket_count,
                block.is_negative,
            )
            for block in blocks
        ]
    )


def _column(blocks: Sequence[tuple[int, Block]], of: Callable[[Block], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    columns = [of(b) for _, b in blocks]
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _join_buckets(sources: Sequence[tuple[int, Block]]) -> list[BucketBlock]:
    """Join bucket counts of blocks with the same bounds, whatever metric they belong to."""
    same: dict[tuple[bytes, int], list[tuple[int, HistogramPoints]]] = {}
    for first, block in sources:
        if isinstance(block, HistogramPoints):
            key = (block.bounds.tobytes(), block.bucket_counts.shape[1])
            same.setdefault(key, []).append((first, block))
    return [
        BucketBlock(
            bounds=group[0][1].bounds,
            rows=np.concatenate([np.arange(first, first + len(b.attributes)) for first, b in group]),
            counts=np.concatenate([b.bucket_counts for _, b in group]),
        )
        for group in same.values()
    ]
