"""The functions of PromQL by name."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.matching import Matcher
from grafana_datasource.promql import over_time, rates, regression, relabel
from grafana_datasource.promql.histograms import histogram_fraction, histogram_quantile, histogram_quantiles
from grafana_datasource.promql.maths import UNARY, at_least, at_most, rounded
from grafana_datasource.promql.moments import PARTS, unix_seconds
from grafana_datasource.promql.samples import Windows
from grafana_datasource.promql.syntax import Expression, Range, Selector, Subquery
from grafana_datasource.promql.vector import NAME, Labels, Vector, sort_key
from grafana_datasource.query import FailedQueryError

Arguments = Sequence[Expression]


class Evaluator(Protocol):
    """Evaluates the arguments of a function at the times of the steps."""

    def vector(self, node: Expression, times: Int64) -> Vector:
        """Evaluate a vector."""
        ...

    def scalar(self, node: Expression, times: Int64) -> Float64:
        """Evaluate a scalar `(n,)`."""
        ...

    def text(self, node: Expression) -> str:
        """Return a string."""
        ...

    def windows(self, node: Expression, times: Int64) -> Windows:
        """Return the samples before each time."""
        ...

    def moments(self, node: Expression, times: Int64) -> Vector:
        """Return the time of each sample in seconds."""
        ...


Function = Callable[[Evaluator, Arguments, Int64], Float64 | Vector]
Reduce = Callable[..., tuple[Float64, Bool]]


def _over_range(reduce: Reduce, *, keeps_name: bool = False) -> Function:
    """Make a function of one range and any number of scalars."""

    def call(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
        ranged = [argument for argument in arguments if _is_range(argument)]
        scalars = [evaluator.scalar(argument, times) for argument in arguments if not _is_range(argument)]
        windows = evaluator.windows(ranged[0], times)
        vector = Vector(windows.samples.labels, *reduce(windows, *scalars)).compact()
        return vector if keeps_name else vector.unnamed()

    return call


def _is_range(node: Expression) -> bool:
    return isinstance(node, Range | Subquery)


def _of_values(compute: Callable[..., Float64]) -> Function:
    """Make a function of each value of a vector and any number of scalars."""
    return partial(_each_value, compute)


def _each_value(compute: Callable[..., Float64], evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    vector = evaluator.vector(arguments[0], times)
    scalars = [evaluator.scalar(argument, times) for argument in arguments[1:]]
    return Vector(vector.labels, compute(vector.values, *scalars), vector.present).unnamed()


def _of_date(compute: Callable[[Float64], Float64]) -> Function:
    """Make a function of each value as Unix seconds; without an argument, of the step itself."""

    def call(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
        if not arguments:
            return Vector.single(compute(unix_seconds(times)))
        return _each_value(compute, evaluator, arguments, times)

    return call


def _clamp(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    vector = evaluator.vector(arguments[0], times)
    low, high = (evaluator.scalar(argument, times) for argument in arguments[1:])
    values = at_least(at_most(vector.values, high), low)
    return Vector(vector.labels, values, vector.present & ~(high < low)).compact().unnamed()


def _round(value: Float64, to: Float64 | float = 1.0) -> Float64:
    return rounded(value, np.asarray(to))


def _histogram_quantile(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    rank, vector = evaluator.scalar(arguments[0], times), evaluator.vector(arguments[1], times)
    return histogram_quantile(rank, vector.compact())


def _histogram_quantiles(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    label = evaluator.text(arguments[1])
    relabel.check_label(label)
    ranks = [evaluator.scalar(argument, times) for argument in arguments[2:]]
    if any((rank != rank[0]).any() for rank in ranks):
        raise FailedQueryError("histogram_quantiles() takes quantiles that are the same at all times")
    vector = evaluator.vector(arguments[0], times).compact()
    return histogram_quantiles(vector, label, [float(rank[0]) for rank in ranks])


def _histogram_fraction(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    lower, upper = (evaluator.scalar(argument, times) for argument in arguments[:2])
    return histogram_fraction(lower, upper, evaluator.vector(arguments[2], times).compact())


def _label_replace(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    target, template, source, pattern = map(evaluator.text, arguments[1:])
    return relabel.label_replace(evaluator.vector(arguments[0], times), target, template, source, pattern)


def _label_join(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    target, separator, *sources = map(evaluator.text, arguments[1:])
    return relabel.label_join(evaluator.vector(arguments[0], times), target, separator, *sources)


def _absent(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    is_there = np.asarray(evaluator.vector(arguments[0], times).present.any(axis=0))
    node = arguments[0]
    return _where_nothing(is_there, node.matchers if isinstance(node, Selector) else ())


def _absent_over_time(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    is_there = np.asarray((evaluator.windows(arguments[0], times).count > 0).any(axis=0))
    node = arguments[0]
    return _where_nothing(is_there, node.selector.matchers if isinstance(node, Range) else ())


def _where_nothing(is_there: Bool, matchers: Iterable[Matcher]) -> Vector:
    """Return 1 at the steps without a sample, under the labels that the matchers fix."""
    labels: Labels = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.operator == "=" and matcher.label not in seen | {NAME}:
            labels = relabel.with_label(labels, matcher.label, matcher.text)
            seen.add(matcher.label)
        else:
            labels = relabel.with_label(labels, matcher.label, "")
    return Vector([labels], np.ones((1, is_there.size)), ~is_there[np.newaxis]).compact()


def _scalar(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Float64:
    vector = evaluator.vector(arguments[0], times)
    only = np.where(vector.present, vector.values, 0.0).sum(axis=0)
    return np.where(vector.present.sum(axis=0) == 1, only, np.nan)


def _vector(evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    return Vector.single(evaluator.scalar(arguments[0], times))


def _sorted_by_value(sign: float, evaluator: Evaluator, arguments: Arguments, times: Int64) -> Vector:
    """Order series by their last value, NaN last."""
    vector = evaluator.vector(arguments[0], times)
    if not vector.labels:
        return vector
    last = vector.values[:, -1]
    return vector.take(np.lexsort((sign * last, np.isnan(last))))


def _sorted_by_label(
    evaluator: Evaluator, arguments: Arguments, times: Int64, *, is_descending: bool = False
) -> Vector:
    names = [evaluator.text(argument) for argument in arguments[1:]]
    vector = evaluator.vector(arguments[0], times)

    def rank(row: int) -> tuple[object, ...]:
        labels = vector.labels[row]
        return (*(relabel.natural(labels.get(name, "")) for name in names), sort_key(labels))

    rows = sorted(range(len(vector.labels)), key=rank, reverse=is_descending)
    return vector.take(np.array(rows, np.int64))


FUNCTIONS: dict[str, Function] = {
    "rate": _over_range(rates.rate),
    "increase": _over_range(rates.increase),
    "irate": _over_range(rates.irate),
    "delta": _over_range(rates.delta),
    "idelta": _over_range(rates.idelta),
    "resets": _over_range(rates.resets),
    "changes": _over_range(rates.changes),
    "deriv": _over_range(regression.slope),
    "predict_linear": _over_range(regression.predicted),
    "holt_winters": _over_range(regression.smoothed),
    "double_exponential_smoothing": _over_range(regression.smoothed),
    "avg_over_time": _over_range(over_time.average),
    "count_over_time": _over_range(over_time.count),
    "first_over_time": _over_range(over_time.first, keeps_name=True),
    "last_over_time": _over_range(over_time.last, keeps_name=True),
    "mad_over_time": _over_range(over_time.median_deviation),
    "max_over_time": _over_range(over_time.largest),
    "min_over_time": _over_range(over_time.smallest),
    "present_over_time": _over_range(over_time.present),
    "quantile_over_time": _over_range(over_time.quantile),
    "stddev_over_time": _over_range(over_time.deviation),
    "stdvar_over_time": _over_range(over_time.variance),
    "sum_over_time": _over_range(over_time.total),
    "ts_of_first_over_time": _over_range(over_time.time_of_first),
    "ts_of_last_over_time": _over_range(over_time.time_of_last),
    "ts_of_max_over_time": _over_range(over_time.time_of_largest),
    "ts_of_min_over_time": _over_range(over_time.time_of_smallest),
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _of_values(at_most),
    "clamp_min": _of_values(at_least),
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "histogram_quantiles": _histogram_quantiles,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda _, __, times: np.full(times.size, np.pi),
    "round": _of_values(_round),
    "scalar": _scalar,
    "sort": partial(_sorted_by_value, 1.0),
    "sort_desc": partial(_sorted_by_value, -1.0),
    "sort_by_label": _sorted_by_label,
    "sort_by_label_desc": partial(_sorted_by_label, is_descending=True),
    "time": lambda _, __, times: unix_seconds(times),
    "timestamp": lambda evaluator, arguments, times: evaluator.moments(arguments[0], times),
    "vector": _vector,
    **{name: _of_values(compute) for name, compute in UNARY.items()},
    **{name: _of_date(compute) for name, compute in PARTS.items()},
}
"""Every function that is answered here."""
