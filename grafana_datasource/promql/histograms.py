"""Quantiles and shares of classic histograms: series that count observations up to the bound in their label `le`."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from collector_processor.telemetry.points import Bool, Float64
from grafana_datasource.promql.aggregate import Groups
from grafana_datasource.promql.numerals import number_text
from grafana_datasource.promql.relabel import with_label
from grafana_datasource.promql.vector import Vector

Compute = Callable[[Float64, Float64, Bool], Float64]
"""Ascending bounds `(b,)`, counts `(b, m)` and the chosen steps `(n,)`, of which there are m, to a number `(m,)`."""


def histogram_quantile(rank: Float64, vector: Vector) -> Vector:
    """Return the quantile at `rank` `(n,)` per histogram, linear within a bucket.

    NaN where there is no bucket `+Inf`, no second one, or nothing was observed. Series without a number in `le` are
    ignored.

    Raises:
        FailedQueryError: if two histograms differ only in name.
    """
    return _each(vector, lambda bounds, counts, steps: _quantile(rank[steps], bounds, counts))


def histogram_quantiles(vector: Vector, label: str, ranks: Sequence[float]) -> Vector:
    """Return several quantiles, told apart by a label.

    Raises:
        FailedQueryError: if series become alike.
    """
    steps = vector.values.shape[1]
    parts = [histogram_quantile(np.full(steps, rank), vector) for rank in ranks]
    named = [
        [with_label(labels, label, number_text(rank)) for labels in part.labels]
        for rank, part in zip(ranks, parts, strict=True)
    ]
    relabelled = [Vector(labels, part.values, part.present) for labels, part in zip(named, parts, strict=True)]
    return Vector.concat(relabelled, steps).merged()


def histogram_fraction(lower: Float64, upper: Float64, vector: Vector) -> Vector:
    """Return the share of observations between `lower` and `upper` `(n,)` per histogram, linear within a bucket.

    Raises:
        FailedQueryError: if two histograms differ only in name.
    """
    return _each(vector, lambda bounds, counts, steps: _fraction(lower[steps], upper[steps], bounds, counts))


def _each(vector: Vector, compute: Compute) -> Vector:
    """Make one number of the buckets of each histogram at each step."""
    bounds = np.array([_bound(labels.get("le", "")) for labels in vector.labels], np.float64)
    usable = np.flatnonzero(~np.isnan(bounds))
    vector, bounds = vector.take(usable), bounds[usable]
    if not vector.labels:
        return vector
    groups = Groups.by([with_label(labels, "le", "") for labels in vector.labels])
    shape = (len(groups.labels), vector.values.shape[1])
    values, present = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    for i, rows in enumerate(groups.members()):
        rows = rows[np.argsort(bounds[rows], kind="stable")]  # noqa: PLW2901 - the members in order of their bounds
        has = vector.present[rows]
        present[i] = has.any(axis=0)
        for columns, held in _alike(has):
            unique, start = np.unique(bounds[rows[held]], return_index=True)
            counts = np.add.reduceat(vector.values[np.ix_(rows[held], columns)], start, axis=0)
            values[i, columns] = compute(unique, counts, columns)
    return Vector(groups.labels, values, present).unnamed()


def _alike(has: Bool) -> list[tuple[Bool, Bool]]:
    """Return the steps that have the same buckets, together with those buckets; steps without any are left out."""
    patterns, which = np.unique(has, axis=1, return_inverse=True)
    which = which.ravel()
    return [(which == i, held) for i, held in enumerate(patterns.T) if held.any()]


def _quantile(rank: Float64, bounds: Float64, counts: Float64) -> Float64:
    """Interpolate in one histogram: ascending `bounds` `(b,)`, cumulative `counts` `(b, m)`."""
    if bounds.size < 2 or not np.isposinf(bounds[-1]):
        found = np.full(rank.size, np.nan)
    else:
        found = _interpolated(rank, bounds, np.maximum.accumulate(counts, axis=0))
    found = np.where(rank < 0, -np.inf, np.where(rank > 1, np.inf, found))
    return np.where(np.isnan(rank), np.nan, found)


def _interpolated(rank: Float64, bounds: Float64, counts: Float64) -> Float64:
    observed, steps = counts[-1], np.arange(rank.size)
    wanted = rank * observed
    bucket = (counts[:-1] < wanted).sum(axis=0)
    below = np.maximum(bucket - 1, 0)
    is_first = bucket == 0
    start = np.where(is_first, 0.0, bounds[below])
    already = np.where(is_first, 0.0, counts[below, steps])
    inside = counts[bucket, steps] - already
    found = start + (bounds[bucket] - start) * ((wanted - already) / inside)
    found = np.where(is_first & (bounds[0] <= 0), bounds[0], found)
    found = np.where(bucket == bounds.size - 1, bounds[-2], found)
    return np.where(observed == 0, np.nan, found)


def _fraction(lower: Float64, upper: Float64, bounds: Float64, counts: Float64) -> Float64:
    if not np.isposinf(bounds[-1]):
        return np.full(lower.size, np.nan)
    observed = counts[-1]
    share = (_observed_below(upper, bounds, counts) - _observed_below(lower, bounds, counts)) / observed
    share = np.where(lower >= upper, 0.0, share)
    return np.where((observed == 0) | np.isnan(lower) | np.isnan(upper), np.nan, share)


def _observed_below(value: Float64, bounds: Float64, counts: Float64) -> Float64:
    """Return how many observations of one histogram lie below each value `(m,)`."""
    steps, start = np.arange(value.size), 0.0 if bounds[0] > 0 else -np.inf
    bucket = np.minimum(np.searchsorted(bounds, value, side="right"), bounds.size - 1)
    low, high = np.append(start, bounds)[bucket], bounds[bucket]
    before, held = np.where(bucket == 0, 0.0, counts[bucket - 1, steps]), counts[bucket, steps]
    inside = np.where(np.isneginf(low), held, before + (held - before) * ((value - low) / (high - low)))
    found = np.where(value <= low, before, np.where(np.isposinf(value), counts[-1], inside))
    return np.asarray(np.minimum(found, counts[-1]))


def _bound(text: str) -> float:
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
