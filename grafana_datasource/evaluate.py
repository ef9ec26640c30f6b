"""Evaluate a parsed query over a grid of times.

NaN means "no sample" throughout: a stored NaN is a gap, and `0 / 0` gives no sample either.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from collector_processor.errors import InvalidQueryError, TooLargeError
from collector_processor.telemetry.band import REASON_TEXT, Reason
from collector_processor.telemetry.points import Float64
from grafana_datasource.backend import Session
from grafana_datasource.catalog import STATES
from grafana_datasource.directory import Entry
from grafana_datasource.families import STORED
from grafana_datasource.matching import Matcher
from grafana_datasource.promql import COMPARISONS, Abs, Binary, Expression, Negative, Number, Selector
from grafana_datasource.query import Grid, UnsupportedQueryError
from grafana_datasource.selection import select
from grafana_datasource.view import aligned


@dataclass(frozen=True, slots=True)
class Vector:
    """Samples `(k, n)` of `k` label sets; NaN = no sample."""

    labels: list[dict[str, str]]
    values: Float64


@dataclass(frozen=True, slots=True)
class Answer:
    """A result and what people should know about it."""

    result: float | Vector
    infos: list[str]


def evaluate(expression: Expression, grid: Grid, session: Session) -> Answer:
    """Evaluate at every time of the grid.

    Raises:
        TooLargeError: if the answer has too many series or samples.
        UnsupportedQueryError: for operators between two vectors.
    """
    infos: list[str] = []
    result = _evaluate(expression, grid, session, infos)
    if isinstance(result, Vector):
        result = _checked(result, session.limits.series if grid.count > 1 else session.limits.instant_series)
    return Answer(result, infos)


def state_notes(session: Session, entries: Iterable[Entry]) -> list[str]:
    """Say how many series are not active, one sentence per reason."""
    bands = session.outlook.bands
    counts = Counter(
        (int(bands["state"][entry.series]), int(bands["reason"][entry.series]))
        for entry in entries
        if bands["state"][entry.series] != 1
    )
    return [
        f"{count} series {STATES[state].value}" + (f": {REASON_TEXT[Reason(reason)]}" if reason else "")
        for (state, reason), count in sorted(counts.items())
    ]


def _evaluate(expression: Expression, grid: Grid, session: Session, infos: list[str]) -> float | Vector:
    match expression:
        case Number(value):
            return value
        case Selector(matchers):
            return _selected(matchers, grid, session, infos)
        case Abs(operand):
            inner = _evaluate(operand, grid, session, infos)
            if not isinstance(inner, Vector):
                raise InvalidQueryError("abs() expects series, not a number")
            return Vector(_unnamed(inner.labels), np.abs(inner.values))
        case Negative(operand):
            inner = _evaluate(operand, grid, session, infos)
            return Vector(_unnamed(inner.labels), -inner.values) if isinstance(inner, Vector) else -inner
        case Binary(symbol, left, right, is_bool):
            sides = (_evaluate(left, grid, session, infos), _evaluate(right, grid, session, infos))
            return _binary(symbol, *sides, is_bool=is_bool)


def _selected(matchers: tuple[Matcher, ...], grid: Grid, session: Session, infos: list[str]) -> Vector:
    picked = select(session.outlook.directory, matchers)
    entries = {entry.series: entry for group in picked for entry in group.entries}
    if grid.count > 1 and sum(len(group.entries) for group in picked) > session.limits.series:
        raise TooLargeError(f"the selector matches more than {session.limits.series} series: add a label matcher")
    derived = {entry.series: entry for group in picked if group.family is not STORED for entry in group.entries}
    infos.extend(note for note in state_notes(session, derived.values()) if note not in infos)
    labels: list[dict[str, str]] = []
    rows: list[Float64] = []
    series = np.array(sorted(entries), np.int32)
    wanted = [(group, {entry.series for entry in group.entries}) for group in picked]
    for view in aligned(session.reader, session.outlook, series, grid, session.now, session.budget):
        for group, members in wanted:
            values = group.family.values(session.outlook, view)
            present = ~np.isnan(values).all(axis=1)
            for i in np.flatnonzero(present):
                if int(view.series[i]) in members:
                    labels.append(group.labels(entries[int(view.series[i])]))
                    rows.append(values[i])
        _check_size(len(rows) * grid.count, session)
    return Vector(labels, np.array(rows).reshape(len(rows), grid.count))


def _binary(symbol: str, left: float | Vector, right: float | Vector, *, is_bool: bool) -> float | Vector:
    if isinstance(left, Vector) and isinstance(right, Vector):
        raise UnsupportedQueryError(f"the operator {symbol!r} between two vectors is not supported")
    compute = _OPERATORS[symbol]
    a = left.values if isinstance(left, Vector) else left
    b = right.values if isinstance(right, Vector) else right
    with np.errstate(all="ignore"):
        raw = compute(np.asarray(a, np.float64), np.asarray(b, np.float64))
    vector = left if isinstance(left, Vector) else right
    if not isinstance(vector, Vector):
        if symbol in COMPARISONS and not is_bool:
            raise InvalidQueryError(f"comparing two numbers needs the bool modifier: {symbol} bool")
        return float(raw)
    present = np.where(np.isnan(vector.values), np.nan, raw)
    if symbol in COMPARISONS and not is_bool:
        return Vector(vector.labels, np.where(present == 1.0, vector.values, np.nan))
    return Vector(_unnamed(vector.labels), present)


_OPERATORS: dict[str, Callable[[Float64, Float64], Float64]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": np.fmod,
    "^": np.power,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def _checked(vector: Vector, most: int) -> Vector:
    """Drop label sets without a sample, order the rest, and refuse double or too many ones."""
    present = np.flatnonzero(~np.isnan(vector.values).all(axis=1))
    keys = [tuple(sorted(vector.labels[i].items())) for i in present]
    if len(set(keys)) < len(keys):
        raise UnsupportedQueryError("the result would contain the same label set twice")
    if len(keys) > most:
        raise TooLargeError(f"{len(keys)} series in the answer, the limit is {most}")
    order = [int(present[i]) for i in sorted(range(len(keys)), key=keys.__getitem__)]
    return Vector([vector.labels[i] for i in order], vector.values[order])


def _check_size(cells: int, session: Session) -> None:
    if cells > session.limits.samples_returned:
        raise TooLargeError(
            f"more than {session.limits.samples_returned} samples in the answer: take a larger step or fewer series"
        )


def _unnamed(labels: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{k: v for k, v in each.items() if k != "__name__"} for each in labels]
