"""Parse a query with PromQL's own grammar and give it our tree."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser as grammar

from collector_processor.errors import InvalidQueryError
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.promql.scan import scanned, unsupported
from grafana_datasource.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Expression,
    Grouping,
    Join,
    Negative,
    Number,
    Placed,
    Range,
    Selector,
    Subquery,
    Text,
)
from grafana_datasource.query import EPOCH, UnsupportedQueryError
from grafana_datasource.series_names import label_name, legacy_metric

_MATCH: tuple[tuple[Any, MatchOperator], ...] = (
    (grammar.MatchOp.Equal, "="),
    (grammar.MatchOp.NotEqual, "!="),
    (grammar.MatchOp.Re, "=~"),
    (grammar.MatchOp.NotRe, "!~"),
)


@lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """Parse a whole query.

    Raises:
        UnsupportedQueryError: if it uses PromQL that is not answered here; the message names it.
        InvalidQueryError: if it is not PromQL.
    """
    return _expression(_parsed(text))


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Parse a bare selector, as in `match[]`."""
    expression = parse(text)
    if not isinstance(expression, Selector) or expression.placed != Placed():
        raise InvalidQueryError(f"{text[:64]!r} is no series selector")
    return expression.matchers


def formatted(text: str) -> str:
    """Write a query the way Prometheus would print it over several lines."""
    return str(_parsed(text).prettify())


def _parsed(text: str) -> Any:
    _learn_older_functions()
    try:
        return grammar.parse(scanned(text))
    except ValueError as error:
        if newer := unsupported(text):
            raise UnsupportedQueryError(newer) from None
        raise InvalidQueryError(f"invalid parameter 'query': {error}") from None


@lru_cache(maxsize=1)
def _learn_older_functions() -> None:
    """Teach the grammar the name this function had before Prometheus 3."""
    kind = grammar.ValueType
    arguments = [kind.Matrix, kind.Scalar, kind.Scalar]
    grammar.register_extra_functions([grammar.Function("holt_winters", arguments, kind.Vector)])


def _expression(node: Any) -> Expression:
    return _KINDS[type(node)](node)


def _selector(node: grammar.VectorSelector) -> Selector:
    if node.matchers.or_matchers:
        raise UnsupportedQueryError("'or' between matchers is not supported")
    matchers = [_matcher(matcher) for matcher in node.matchers.matchers]
    if node.name is not None:
        matchers.insert(0, Matcher("__name__", "=", node.name))
    return Selector(tuple(matchers), _placed(node))


def _matcher(node: grammar.Matcher) -> Matcher:
    operator = next(ours for theirs, ours in _MATCH if node.op == theirs)
    if node.name != "__name__":
        return Matcher(label_name(node.name), operator, node.value)
    return Matcher("__name__", operator, legacy_metric(node.value) if operator in {"=", "!="} else node.value)


def _placed(node: Any) -> Placed:
    return Placed(_moment(node.at), _nanos(node.offset) if node.offset else 0)


def _moment(at: grammar.AtModifier | None) -> int | str | None:
    if at is None:
        return None
    if at.type == grammar.AtModifierType.At:
        try:
            moment = at.at
        except (OverflowError, ValueError):
            raise InvalidQueryError("the @ modifier is out of bounds") from None
        return None if moment is None else _nanos(moment - EPOCH)
    return "start" if at.type == grammar.AtModifierType.Start else "end"


def _nanos(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000


def _subquery(node: grammar.SubqueryExpr) -> Subquery:
    if node.range is None:
        raise InvalidQueryError("a subquery needs a range")
    return Subquery(_expression(node.expr), _nanos(node.range), _nanos(node.step) if node.step else None, _placed(node))


def _aggregate(node: grammar.AggregateExpr) -> Aggregate:
    modifier = node.modifier
    grouping = Grouping()
    if modifier is not None:
        grouping = Grouping(_labels(modifier.labels), modifier.type == grammar.AggModifierType.Without)
    parameter = None if node.param is None else _expression(node.param)
    return Aggregate(str(node.op), _expression(node.expr), grouping, parameter)


def _binary(node: grammar.BinaryExpr) -> Binary:
    modifier = node.modifier
    is_bool = modifier is not None and modifier.return_bool
    return Binary(str(node.op), _expression(node.lhs), _expression(node.rhs), is_bool, _join(modifier))


def _join(modifier: grammar.BinModifier | None) -> Join:
    if modifier is None:
        return Join()
    fill = modifier.fill_values
    if fill.lhs is not None or fill.rhs is not None:
        raise UnsupportedQueryError("the modifier fill() is not supported")
    grouping = Join().grouping
    if modifier.matching is not None:
        is_without = modifier.matching.type == grammar.LabelModifierType.Exclude
        grouping = Grouping(_labels(modifier.matching.labels), is_without)
    many = "none"
    if modifier.card == grammar.VectorMatchCardinality.ManyToOne:
        many = "left"
    elif modifier.card == grammar.VectorMatchCardinality.OneToMany:
        many = "right"
    return Join(grouping, many, _labels(modifier.group_labels or []))


def _labels(names: list[str]) -> tuple[str, ...]:
    return tuple(label_name(name) for name in names)


_KINDS: dict[Any, Callable[[Any], Expression]] = {
    grammar.NumberLiteral: lambda node: Number(node.val),
    grammar.StringLiteral: lambda node: Text(node.val),
    grammar.ParenExpr: lambda node: _expression(node.expr),
    grammar.UnaryExpr: lambda node: Negative(_expression(node.expr)),
    grammar.VectorSelector: _selector,
    grammar.MatrixSelector: lambda node: Range(_selector(node.vector_selector), _nanos(node.range)),
    grammar.SubqueryExpr: _subquery,
    grammar.AggregateExpr: _aggregate,
    grammar.BinaryExpr: _binary,
    grammar.Call: lambda node: Call(node.func.name, tuple(_expression(each) for each in node.args)),
}
