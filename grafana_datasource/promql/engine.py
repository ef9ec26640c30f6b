"""Evaluate a query's tree: every expression for all series and all steps at once.

A scalar is an array `(n,)` over the steps, a vector a `Vector`, a string text. Time stands still under `@`: such an
expression is evaluated at one moment and repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.errors import InvalidQueryError, TooLargeError
from collector_processor.telemetry.points import Float64, Int64
from grafana_datasource.promql import aggregate, join
from grafana_datasource.promql.functions import FUNCTIONS
from grafana_datasource.promql.moments import unix_seconds
from grafana_datasource.promql.operators import ARITHMETIC, COMPARISONS, SET_OPERATORS, drops_name
from grafana_datasource.promql.relabel import check_label
from grafana_datasource.promql.samples import Samples, Windows
from grafana_datasource.promql.source import Source
from grafana_datasource.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Expression,
    Negative,
    Number,
    Placed,
    Range,
    Selector,
    Subquery,
    Text,
)
from grafana_datasource.promql.vector import Vector
from grafana_datasource.query import Grid, UnsupportedQueryError

Value = Float64 | Vector | str
Look = Callable[[Int64], Vector]

_LONGEST_OFFSET = 200 * 365 * DAY

_SUBQUERY_STEP = MINUTE
"""The step of a subquery that names none: Prometheus' default evaluation interval."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One query at the times of its grid; `most_cells` bounds the samples one vector may have.

    `end` is the end that was asked for, which the last step need not reach.
    """

    source: Source
    grid: Grid
    end: int
    most_cells: int

    def run(self, expression: Expression) -> Value:
        """Evaluate a whole query.

        Raises:
            InvalidQueryError: if the query has no value, or none on this data.
            TooLargeError: if it would need more samples than it may.
        """
        with np.errstate(all="ignore"):
            return self.value(expression, self.grid.times())

    def ranged(self, node: Range | Subquery) -> Samples:
        """Return the samples of a range at the grid's one time, as an instant query may ask."""
        with np.errstate(all="ignore"):
            return self.windows(node, self.grid.times()).cut()

    def value(self, node: Expression, times: Int64) -> Value:
        """Evaluate at ascending times `(n,)`."""
        match node:
            case Number(value):
                return np.full(times.size, value)
            case Text(text):
                return text
            case Selector(matchers, placed):
                return self._stilled(placed, times, lambda at: self.source.instant(matchers, at))
            case Call():
                return self._called(node, times)
            case Aggregate():
                return self._aggregated(node, times)
            case Negative(operand):
                return self._negated(self.value(operand, times))
            case Binary():
                return self._binary(node, times)
            case Range() | Subquery():
                raise InvalidQueryError("a range of samples needs a function that takes one")

    def vector(self, node: Expression, times: Int64) -> Vector:
        """Evaluate what the grammar promises to be a vector."""
        value = self.value(node, times)
        if not isinstance(value, Vector):
            raise InvalidQueryError("expected a vector")
        return value

    def scalar(self, node: Expression, times: Int64) -> Float64:
        """Evaluate what the grammar promises to be a scalar."""
        value = self.value(node, times)
        if not isinstance(value, np.ndarray):
            raise InvalidQueryError("expected a scalar")
        return value

    def text(self, node: Expression) -> str:
        """Return what the grammar promises to be a string."""
        if not isinstance(node, Text):
            raise InvalidQueryError("expected a string")
        return node.value

    def windows(self, node: Expression, times: Int64) -> Windows:
        """Return the samples before each time."""
        match node:
            case Range(selector, length):
                base = self._placed(selector.placed, times)
                start, end = _extent(base, length)
                samples = self.source.samples(selector.matchers, max(0, start), end)
            case Subquery(_, length):
                base = self._placed(node.placed, times)
                samples = self._sampled(node, base)
            case _:
                raise InvalidQueryError("expected a range of samples")
        self._check(len(samples.labels), times.size)
        return Windows.over(samples, times, base, length, lambda: self.source.spend(0))

    def moments(self, node: Expression, times: Int64) -> Vector:
        """Return the time of each sample in seconds: that of the stored sample for a plain selector."""
        if isinstance(node, Selector):
            found = self._stilled(node.placed, times, lambda at: self.source.moments(node.matchers, at))
            return found.unnamed()
        vector = self.vector(node, times)
        seconds = np.broadcast_to(unix_seconds(times), vector.values.shape)
        return Vector(vector.labels, seconds, vector.present).unnamed()

    def _called(self, node: Call, times: Int64) -> Value:
        function = FUNCTIONS.get(node.function)
        if function is None:
            raise UnsupportedQueryError(f"the function {node.function}() is not supported")
        return function(self, node.arguments, times)

    def _aggregated(self, node: Aggregate, times: Int64) -> Vector:
        if node.operator not in {*aggregate.SIMPLE, "topk", "bottomk", "quantile", "count_values"}:
            raise UnsupportedQueryError(f"the aggregation {node.operator}() is not supported")
        vector = self.vector(node.operand, times).compact()
        if node.parameter is None:
            return aggregate.aggregate(node.operator, vector, node.grouping)
        if node.operator == "count_values":
            label = self.text(node.parameter)
            check_label(label)
            return aggregate.count_values(vector, node.grouping, label)
        parameter = self.scalar(node.parameter, times)
        if node.operator == "quantile":
            return aggregate.quantile(vector, node.grouping, parameter)
        return aggregate.extremes(node.operator, vector, node.grouping, parameter).compact()

    def _binary(self, node: Binary, times: Int64) -> Value:
        left, right = self.value(node.left, times), self.value(node.right, times)
        if isinstance(left, Vector) and isinstance(right, Vector):
            result = (join.combined if node.operator in SET_OPERATORS else join.joined)(node, left, right)
            self._check(len(result.labels), times.size)
            return result
        if isinstance(left, str) or isinstance(right, str):
            raise InvalidQueryError("binary operators take scalars and vectors")
        return _with_scalar(node, left, right)

    def _negated(self, value: Value) -> Value:
        if isinstance(value, Vector):
            return Vector(value.labels, -value.values, value.present).unnamed()
        if isinstance(value, str):
            raise InvalidQueryError("a string has no negative")
        return -value

    def _sampled(self, node: Subquery, base: Int64) -> Samples:
        """Evaluate the inner expression at the multiples of its step that the windows reach."""
        step = node.step or _SUBQUERY_STEP
        start, end = _extent(base, node.length)
        first = -(-start // step) * step
        self._check(1, (end - first) // step + 1)
        times = np.arange(first, end + 1, step, dtype=np.int64)
        value = self.value(node.operand, times) if times.size else Vector.empty(0)
        if isinstance(value, str):
            raise InvalidQueryError("a subquery needs a vector or a scalar")
        vector = value.compact() if isinstance(value, Vector) else Vector.single(value)
        self.source.spend(vector.values.size)
        row, column = np.nonzero(vector.present)
        bounds = np.searchsorted(row, np.arange(len(vector.labels) + 1))
        return Samples(vector.labels, bounds, times[column], vector.values[row, column], np.zeros(row.size, np.bool_))

    def _stilled(self, placed: Placed, times: Int64, look: Look) -> Vector:
        """Look at placed times; where time stands still, once."""
        base = self._placed(placed, times)
        if placed.at is None:
            found = look(base)
        else:
            once = look(base[:1])
            shape = (len(once.labels), times.size)
            found = Vector(once.labels, np.broadcast_to(once.values, shape), np.broadcast_to(once.present, shape))
        self._check(len(found.labels), times.size)
        return found

    def _placed(self, placed: Placed, times: Int64) -> Int64:
        match placed.at:
            case None:
                base = times
            case "start":
                base = np.full(times.size, self.grid.start)
            case "end":
                base = np.full(times.size, self.end)
            case fixed:
                base = np.full(times.size, fixed)
        if abs(placed.offset) > _LONGEST_OFFSET:
            raise InvalidQueryError("the offset is out of bounds")
        return base - placed.offset

    def _check(self, series: int, steps: int) -> None:
        if series * steps > self.most_cells:
            raise TooLargeError(
                "query processing would load too many samples into memory in query execution: "
                "name fewer series, a shorter range or a larger step"
            )


def _with_scalar(node: Binary, left: Float64 | Vector, right: Float64 | Vector) -> Value:
    a = left.values if isinstance(left, Vector) else left
    b = right.values if isinstance(right, Vector) else right
    vector = left if isinstance(left, Vector) else right
    if node.operator in ARITHMETIC:
        raw = ARITHMETIC[node.operator](a, b)
        if not isinstance(vector, Vector):
            return raw
        result = Vector(vector.labels, raw, vector.present)
        return result.unnamed() if drops_name(node.operator) else result
    holds = COMPARISONS[node.operator](a, b)
    if not isinstance(vector, Vector):
        return holds.astype(np.float64)
    if node.is_bool:
        return Vector(vector.labels, holds.astype(np.float64), vector.present).unnamed()
    return Vector(vector.labels, vector.values, vector.present & holds.astype(np.bool_)).compact()


def _extent(base: Int64, length: int) -> tuple[int, int]:
    """Return the first and last nanosecond that windows of a length look at."""
    return int(base.min()) - length, int(base.max())
