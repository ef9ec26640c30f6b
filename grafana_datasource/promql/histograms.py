"""Quantiles of classic histograms: series that count observations up to the bound in their label `le`."""

import math

import numpy as np

from collector_processor.telemetry.points import Bool, Float64
from grafana_datasource.promql.aggregate import Groups
from grafana_datasource.promql.syntax import Grouping
from grafana_datasource.promql.vector import Vector

_BY_ALL_BUT_LE = Grouping(("le",), is_without=True)


def histogram_quantile(rank: Float64, vector: Vector) -> Vector:
    """Return the quantile at `rank` `(n,)` per histogram, linear within a bucket.

    NaN where there is no bucket `+Inf`, no second one, or nothing was observed. Series without a number in `le` are
    ignored.
    """
    bounds = np.array([_bound(labels.get("le", "")) for labels in vector.labels], np.float64)
    usable = np.flatnonzero(~np.isnan(bounds))
    vector, bounds = vector.take(usable), bounds[usable]
    if not vector.labels:
        return vector
    groups = Groups.of(vector, _BY_ALL_BUT_LE)
    shape = (len(groups.labels), rank.size)
    values, present = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    for i, rows in enumerate(groups.members()):
        rows = rows[np.argsort(bounds[rows], kind="stable")]  # noqa: PLW2901 - the members in order of their bounds
        has = vector.present[rows]
        present[i] = has.any(axis=0)
        for columns, held in _alike(has):
            counts = vector.values[np.ix_(rows[held], columns)]
            values[i, columns] = _quantile(rank[columns], bounds[rows[held]], counts)
    return Vector(groups.labels, values, present)


def _alike(has: Bool) -> list[tuple[Bool, Bool]]:
    """Return the steps that have the same buckets, together with those buckets; steps without any are left out."""
    patterns, which = np.unique(has, axis=1, return_inverse=True)
    which = which.ravel()
    return [(which == i, held) for i, held in enumerate(patterns.T) if held.any()]


def _quantile(rank: Float64, bounds: Float64, counts: Float64) -> Float64:
    """Interpolate in one histogram: ascending `bounds` `(b,)`, cumulative `counts` `(b, n)`."""
    unique, start = np.unique(bounds, return_index=True)
    counts = np.maximum.accumulate(np.add.reduceat(counts, start, axis=0), axis=0)
    if unique.size < 2 or not np.isposinf(unique[-1]):
        found = np.full(rank.size, np.nan)
    else:
        found = _interpolated(rank, unique, counts)
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


def _bound(text: str) -> float:
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
