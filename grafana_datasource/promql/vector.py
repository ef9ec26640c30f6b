"""Instant vectors over steps: label sets and their samples `(series, steps)`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collector_processor.errors import InvalidQueryError
from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.query import FailedQueryError

Labels = dict[str, str]
"""A label set, the metric name under `__name__`; never changed once made."""

NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Vector:
    """Samples `(k, n)` of `k` label sets at `n` steps; a value means something only where it is `present`."""

    labels: Sequence[Labels]
    values: Float64
    present: Bool

    @classmethod
    def empty(cls, steps: int) -> "Vector":
        """Return no series."""
        return cls([], np.empty((0, steps)), np.empty((0, steps), np.bool_))

    @classmethod
    def single(cls, values: Float64, labels: Labels | None = None) -> "Vector":
        """Return one series that is present at every step."""
        return cls([labels or {}], values[np.newaxis, :], np.ones((1, values.size), np.bool_))

    @classmethod
    def concat(cls, parts: "Sequence[Vector]", steps: int) -> "Vector":
        """Join series of vectors over the same steps."""
        parts = [part for part in parts if part.labels]
        if not parts:
            return cls.empty(steps)
        return cls(
            [labels for part in parts for labels in part.labels],
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.present for part in parts]),
        )

    def take(self, rows: Int64) -> "Vector":
        """Select series."""
        return Vector([self.labels[row] for row in rows.tolist()], self.values[rows], self.present[rows])

    def compact(self) -> "Vector":
        """Drop series that have no sample at all."""
        some = self.present.any(axis=1)
        return self if some.all() else self.take(np.flatnonzero(some))

    def relabelled(self, change: Callable[[Labels], Labels]) -> "Vector":
        """Change every label set; series that come to share one become one.

        Raises:
            FailedQueryError: if two of them have a sample at the same step.
        """
        return replace(self, labels=[change(labels) for labels in self.labels]).merged()

    def unnamed(self) -> "Vector":
        """Drop the metric names."""
        return self.relabelled(without_name)

    def merged(self) -> "Vector":
        """Make one series of those with equal labels.

        Raises:
            FailedQueryError: if two of them have a sample at the same step.
        """
        keys = [frozenset(labels.items()) for labels in self.labels]
        rows: dict[frozenset[tuple[str, str]], int] = {}
        group = np.array([rows.setdefault(key, len(rows)) for key in keys], np.int64)
        if len(rows) == len(keys):
            return self
        steps = self.present.shape[1]
        values, present = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), np.bool_)
        for row, own in enumerate(group.tolist()):
            if (present[own] & self.present[row]).any():
                raise FailedQueryError("vector cannot contain metrics with the same labelset")
            present[own] |= self.present[row]
            values[own] = np.where(self.present[row], self.values[row], values[own])
        first = np.unique(group, return_index=True)[1]
        return Vector([self.labels[row] for row in first.tolist()], values, present)


def as_vector(value: object) -> Vector:
    """Return a vector as it is, and a scalar as a series without labels.

    Raises:
        InvalidQueryError: for what cannot be drawn over time.
    """
    if isinstance(value, Vector):
        return value
    if isinstance(value, np.ndarray):
        return Vector.single(value)
    kind = "string" if isinstance(value, str) else "range vector"
    raise InvalidQueryError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')


def without_name(labels: Labels) -> Labels:
    """Return a label set without its metric name."""
    return {name: text for name, text in labels.items() if name != NAME}


def sort_key(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Return what label sets are ordered by."""
    return tuple(sorted(labels.items()))
