"""Many series to one per group: sums, averages, extremes, quantiles, and the k largest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.errors import TooLargeError
from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.promql.numerals import label_text
from grafana_datasource.promql.quantiles import quantile_of_sorted
from grafana_datasource.promql.syntax import Grouping
from grafana_datasource.promql.vector import NAME, Labels, Vector
from grafana_datasource.query import FailedQueryError

_MOST_DISTINCT = 10_000
_LARGEST_WHOLE = 2.0**63


def group_labels(grouping: Grouping, labels: Labels) -> Labels:
    """Return the labels of the group that a label set belongs to."""
    if grouping.is_without:
        return {name: text for name, text in labels.items() if name != NAME and name not in grouping.labels}
    return {name: labels[name] for name in grouping.labels if labels.get(name)}


@dataclass(frozen=True, slots=True)
class Groups:
    """Series in groups: `order` puts the members of a group together, group `i` from `start[i]` on."""

    labels: list[Labels]
    order: Int64
    start: Int64
    member_of: Int64

    @classmethod
    def of(cls, vector: Vector, grouping: Grouping) -> "Groups":
        """Group the series of a vector, groups in order of their first member."""
        return cls.by([group_labels(grouping, each) for each in vector.labels])

    @classmethod
    def by(cls, group_of: Sequence[Labels]) -> "Groups":
        """Group series by the labels of the group of each."""
        known: dict[frozenset[tuple[str, str]], int] = {}
        labels: list[Labels] = []
        member_of = np.empty(len(group_of), np.int64)
        for row, own in enumerate(group_of):
            key = frozenset(own.items())
            if key not in known:
                known[key] = len(labels)
                labels.append(own)
            member_of[row] = known[key]
        order = np.argsort(member_of, kind="stable")
        return cls(labels, order, np.searchsorted(member_of[order], np.arange(len(labels))), member_of)

    def reduce(self, operator: np.ufunc, column: Float64 | Bool) -> Float64:
        """Reduce `(series, steps)` to `(groups, steps)`."""
        return np.asarray(operator.reduceat(column[self.order], self.start, axis=0))

    def members(self) -> list[Int64]:
        """Return the rows of each group."""
        return np.split(self.order, self.start[1:])


def aggregate(operator: str, vector: Vector, grouping: Grouping) -> Vector:
    """Aggregate with an operator that has no parameter."""
    if not vector.labels:
        return vector
    groups = Groups.of(vector, grouping)
    present = groups.reduce(np.logical_or, vector.present).astype(np.bool_)
    return Vector(groups.labels, SIMPLE[operator](groups, vector), present)


def quantile(vector: Vector, grouping: Grouping, rank: Float64) -> Vector:
    """Return the quantile at `rank` `(n,)` per group."""
    if not vector.labels:
        return vector
    groups, steps = Groups.of(vector, grouping), rank.size
    values, present = np.zeros((len(groups.labels), steps)), np.zeros((len(groups.labels), steps), np.bool_)
    for i, rows in enumerate(groups.members()):
        value, has = vector.values[rows], vector.present[rows]
        order = np.lexsort((value, ~np.isnan(value), ~has), axis=0)
        ascending = np.take_along_axis(value, order, axis=0).T.ravel()
        count = has.sum(axis=0)
        start = np.arange(steps) * rows.size
        values[i], present[i] = quantile_of_sorted(ascending, start, np.maximum(count, 1), rank), count > 0
    return Vector(groups.labels, values, present)


def extremes(operator: str, vector: Vector, grouping: Grouping, most: Float64) -> Vector:
    """Return the `most` `(n,)` largest (`topk`) or smallest (`bottomk`) of each group, best first, labels kept.

    Raises:
        FailedQueryError: if a number is no whole number of 64 bits.
    """
    if not (np.abs(most) < _LARGEST_WHOLE).all():
        raise FailedQueryError(f"Scalar value {label_text(float(most[0]))} overflows int64")
    if not vector.labels:
        return vector
    sign = -1.0 if operator == "topk" else 1.0
    parts = []
    for rows in Groups.of(vector, grouping).members():
        value, has = vector.values[rows], vector.present[rows]
        order = np.lexsort((sign * value, np.isnan(value), ~has), axis=0)
        place = np.argsort(order, axis=0, kind="stable")
        part = vector.take(rows)
        kept = Vector(part.labels, part.values, has & (place < np.trunc(most)))
        parts.append(kept.take(order[:, -1]))
    return Vector.concat(parts, most.size)


def count_values(vector: Vector, grouping: Grouping, label: str) -> Vector:
    """Count equal values per group; the value becomes a label.

    Raises:
        TooLargeError: if there are too many different values.
    """
    whole = Grouping((*grouping.labels, label)) if not grouping.is_without else grouping
    parts = []
    for labels, value, has in zip(vector.labels, vector.values, vector.present, strict=True):
        bits = value.view(np.int64)  # two zeros are two values
        for each in np.unique(bits[has]):
            text = label_text(float(each.view(np.float64)))
            parts.append(Vector([{**labels, label: text}], value[np.newaxis], (has & (bits == each))[np.newaxis]))
            if len(parts) > _MOST_DISTINCT:
                raise TooLargeError(f"count_values found more than {_MOST_DISTINCT} different values")
    return aggregate("count", Vector.concat(parts, vector.values.shape[1]), whole)


def _sum(groups: Groups, vector: Vector) -> Float64:
    return groups.reduce(np.add, np.where(vector.present, vector.values, 0.0))


def _count(groups: Groups, vector: Vector) -> Float64:
    return groups.reduce(np.add, vector.present.astype(np.float64))


def _average(groups: Groups, vector: Vector) -> Float64:
    count = np.maximum(_count(groups, vector), 1.0)
    mean = _sum(groups, vector) / count
    if np.isinf(mean).any():
        shares = np.where(vector.present, vector.values, 0.0) / count[groups.member_of]
        mean = np.where(np.isinf(mean), groups.reduce(np.add, shares), mean)
    return mean


def _smallest(groups: Groups, vector: Vector) -> Float64:
    return groups.reduce(np.fmin, np.where(vector.present, vector.values, np.nan))


def _largest(groups: Groups, vector: Vector) -> Float64:
    return groups.reduce(np.fmax, np.where(vector.present, vector.values, np.nan))


def _variance(groups: Groups, vector: Vector) -> Float64:
    shifted = Vector(vector.labels, vector.values - _smallest(groups, vector)[groups.member_of], vector.present)
    away = shifted.values - _average(groups, shifted)[groups.member_of]
    squares = groups.reduce(np.add, np.where(vector.present, away * away, 0.0))
    count = _count(groups, vector)
    return np.where(count == 1, 0.0, squares / np.maximum(count, 1.0))  # of one value 0, even of NaN


def _one(groups: Groups, vector: Vector) -> Float64:
    return np.ones((len(groups.labels), vector.values.shape[1]))


SIMPLE: dict[str, Callable[[Groups, Vector], Float64]] = {
    "sum": _sum,
    "count": _count,
    "avg": _average,
    "min": _smallest,
    "max": _largest,
    "stdvar": _variance,
    "stddev": lambda groups, vector: np.sqrt(_variance(groups, vector)),
    "group": _one,
}
"""Operators without a parameter."""
