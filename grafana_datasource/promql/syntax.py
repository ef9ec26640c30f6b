"""What a query says, as a tree: the few kinds of expression PromQL has."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from grafana_datasource.matching import Matcher


@dataclass(frozen=True, slots=True)
class Placed:
    """Where in time something is looked at: `at` is fixed (nanoseconds, or the query's `start` or `end`), or None.

    `offset` nanoseconds are subtracted.
    """

    at: int | str | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string."""

    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """The newest sample of all series that meet every matcher."""

    matchers: tuple[Matcher, ...]
    placed: Placed = Placed()


@dataclass(frozen=True, slots=True)
class Range:
    """All samples of a selector's series in the `length` nanoseconds up to each time."""

    selector: Selector
    length: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated every `step` nanoseconds (None: the default) over the `length` up to each time."""

    operand: "Expression"
    length: int
    step: int | None
    placed: Placed = Placed()


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which labels tell groups apart: those named, or (`is_without`) all but those and the metric name."""

    labels: tuple[str, ...] = ()
    is_without: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Many series to one per group; `parameter` is the k of `topk` and the like."""

    operator: str
    operand: "Expression"
    grouping: Grouping
    parameter: "Expression | None" = None


@dataclass(frozen=True, slots=True)
class Join:
    """How the samples of two vectors find each other.

    `many` says which side may have several partners for one of the other: none, `left` or `right`. `included` labels
    come from the other side.
    """

    grouping: Grouping = Grouping(is_without=True)
    many: str = "none"
    included: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; with `is_bool` a comparison gives 0 or 1 instead of filtering."""

    operator: str
    left: "Expression"
    right: "Expression"
    is_bool: bool = False
    join: Join = Join()


Expression = Number | Text | Selector | Range | Subquery | Call | Aggregate | Negative | Binary


def with_matchers(expression: Expression, matchers: tuple[Matcher, ...]) -> Expression:
    """Add matchers to every selector of an expression."""
    return _narrowed(expression, lambda own: own + matchers)


def _narrowed(node: Expression, narrow: Callable[[tuple[Matcher, ...]], tuple[Matcher, ...]]) -> Expression:
    match node:
        case Selector(matchers):
            return replace(node, matchers=narrow(matchers))
        case Range(selector):
            return replace(node, selector=replace(selector, matchers=narrow(selector.matchers)))
        case Subquery(operand) | Negative(operand) | Aggregate(_, operand):
            return replace(node, operand=_narrowed(operand, narrow))
        case Binary(_, left, right):
            return replace(node, left=_narrowed(left, narrow), right=_narrowed(right, narrow))
        case Call(_, arguments):
            return replace(node, arguments=tuple(_narrowed(argument, narrow) for argument in arguments))
        case _:
            return node
