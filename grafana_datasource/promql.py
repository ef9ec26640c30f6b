"""Parse the part of PromQL that dashboards and alert rules on forecast bands need.

Numbers, selectors with all four matchers, `+ - * / % ^`, comparisons (also `bool`), unary minus, parentheses
and `abs()`. What PromQL has beyond that is recognised and refused by name, so nobody gets a wrong answer.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from collector_processor.errors import InvalidQueryError
from grafana_datasource.matching import Matcher, MatchOperator
from grafana_datasource.query import UnsupportedQueryError
from grafana_datasource.series_names import label_name

LONGEST_QUERY: Final = 8192
DEEPEST_NESTING: Final = 40
COMPARISONS: Final = ("==", "!=", ">=", "<=", ">", "<")

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
      | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])
          |(?:[nN][aA][nN]|[iI][nN][fF])(?![\w:]))
      | (?P<duration>\d+(?:ms|[smhdwy])[\w]*)
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<operator>=~|!~|==|!=|>=|<=|[-+*/%^(){}\[\],=<>@:])""",
    re.VERBOSE | re.ASCII,
)
_LEVELS: Final = (COMPARISONS, ("+", "-"), ("*", "/", "%"))
_SET_OPERATORS: Final = {"and", "or", "unless", "atan2"}
_MODIFIERS: Final = {"offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_PLAIN_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Selector:
    """All series that meet every matcher."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Abs:
    """`abs(operand)`."""

    operand: "Expression"


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


Expression = Number | Selector | Abs | Negative | Binary


def parse(text: str) -> Expression:
    """Parse a whole query.

    Raises:
        UnsupportedQueryError: if it uses PromQL that is not answered here; the message names it.
        InvalidQueryError: if it is not PromQL.
    """
    parser = _Parser(text)
    expression = parser.comparison(0)
    parser.expect_end()
    return expression


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Parse a bare selector, as in `match[]`."""
    expression = parse(text)
    if not isinstance(expression, Selector):
        raise InvalidQueryError(f"{text[:64]!r} is no series selector")
    return expression.matchers


def with_matchers(expression: Expression, matchers: tuple[Matcher, ...]) -> Expression:
    """Add matchers to every selector of an expression."""
    match expression:
        case Number():
            return expression
        case Selector(own):
            return Selector(own + matchers)
        case Binary(_, left, right):
            return replace(expression, left=with_matchers(left, matchers), right=with_matchers(right, matchers))
        case Abs(operand) | Negative(operand):
            return replace(expression, operand=with_matchers(operand, matchers))


class _Parser:
    """Recursive descent over the tokens; one method per precedence level that is not a plain list."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_QUERY:
            raise InvalidQueryError(f"query of {len(text)} characters, the limit is {LONGEST_QUERY}")
        self._tokens = _tokens(text)
        self._at = 0

    def comparison(self, depth: int, level: int = 0) -> Expression:
        """Parse left-associative operators from `level` on."""
        if depth > DEEPEST_NESTING:
            raise InvalidQueryError(f"nested deeper than {DEEPEST_NESTING} levels")
        if level == len(_LEVELS):
            return self._unary(depth)
        left = self.comparison(depth, level + 1)
        while self._text() in _LEVELS[level] and self._kind() == "operator":
            operator = self._take()
            is_bool = operator in COMPARISONS and self._skip("bool")
            self._refuse_modifier()
            left = Binary(operator, left, self.comparison(depth + 1, level + 1), is_bool)
        return left

    def expect_end(self) -> None:
        """Refuse whatever is left over."""
        if self._at == len(self._tokens):
            return
        self._refuse_modifier()
        text = self._text()
        if text == "[":
            raise UnsupportedQueryError("range selectors and subqueries ([...]) are not supported")
        if text == "@":
            raise UnsupportedQueryError("the @ modifier is not supported")
        if text in _SET_OPERATORS:
            raise UnsupportedQueryError(f"the operator {text!r} is not supported")
        raise InvalidQueryError(f"unexpected {text!r}")

    def _unary(self, depth: int) -> Expression:
        if depth > DEEPEST_NESTING:
            raise InvalidQueryError(f"nested deeper than {DEEPEST_NESTING} levels")
        if self._skip("-"):
            return Negative(self._unary(depth + 1))
        if self._skip("+"):
            return self._unary(depth + 1)
        base = self._atom(depth)
        if self._skip("^"):
            return Binary("^", base, self._unary(depth + 1))
        return base

    def _atom(self, depth: int) -> Expression:
        kind, text = self._kind(), self._text()
        if kind == "number":
            self._take()
            return Number(float(int(text, 16)) if text[:2].lower() == "0x" else float(text))
        if self._skip("("):
            inner = self.comparison(depth + 1)
            self._expect(")")
            return inner
        if text == "{" and kind == "operator":
            return Selector(self._braces(()))
        if kind == "name":
            return self._named(depth)
        if kind == "duration":
            raise InvalidQueryError(f"unexpected duration {text!r}")
        if kind == "string":
            raise UnsupportedQueryError("string expressions are not supported")
        raise InvalidQueryError(f"unexpected {text!r}" if text else "unexpected end of the query")

    def _named(self, depth: int) -> Expression:
        name = self._take()
        if name in _SET_OPERATORS:
            raise InvalidQueryError(f"unexpected {name!r}")
        if self._text() in {"by", "without"} and self._kind() == "name":
            raise UnsupportedQueryError(f"the aggregation {name}() is not supported")
        if self._text() == "(":
            return self._call(name, depth)
        matchers = (Matcher("__name__", "=", name),)
        selector = Selector(self._braces(matchers) if self._text() == "{" else matchers)
        if self._text() == "[":
            raise UnsupportedQueryError("range selectors and subqueries ([...]) are not supported")
        return selector

    def _call(self, name: str, depth: int) -> Expression:
        if name != "abs":
            raise UnsupportedQueryError(f"the function or aggregation {name}() is not supported")
        self._expect("(")
        operand = self.comparison(depth + 1)
        self._expect(")")
        return Abs(operand)

    def _braces(self, matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
        self._expect("{")
        found = list(matchers)
        while not self._skip("}"):
            found.append(self._matcher())
            if self._text() != "}":
                self._expect(",")
        if all(matcher.accepts("") for matcher in found):
            raise InvalidQueryError("a selector needs at least one matcher that does not match empty text")
        return tuple(found)

    def _matcher(self) -> Matcher:
        kind, text = self._kind(), self._take()
        if kind not in {"name", "string"}:
            raise InvalidQueryError(f"unexpected {text!r} where a label name is due")
        name = _unquote(text) if kind == "string" else text
        if kind == "string" and self._text() in {",", "}"}:
            return Matcher("__name__", "=", name)
        operator = self._operator()
        if self._kind() != "string":
            raise InvalidQueryError(f"the value of label {name!r} must be a quoted string")
        return Matcher(name if name == "__name__" else label_name(name), operator, _unquote(self._take()))

    def _operator(self) -> MatchOperator:
        match self._take():
            case "=":
                return "="
            case "!=":
                return "!="
            case "=~":
                return "=~"
            case "!~":
                return "!~"
            case other:
                raise InvalidQueryError(f"unexpected {other!r} where =, !=, =~ or !~ is due")

    def _refuse_modifier(self) -> None:
        if self._kind() == "name" and self._text() in _MODIFIERS:
            raise UnsupportedQueryError(f"the modifier {self._text()!r} is not supported")

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _text(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        text = self._text()
        if not text:
            raise InvalidQueryError("unexpected end of the query")
        self._at += 1
        return text

    def _skip(self, text: str) -> bool:
        if self._text() != text or self._kind() == "string":
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise InvalidQueryError(f"expected {text!r}, found {self._text() or 'the end of the query'!r}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise InvalidQueryError(f"unexpected character {text[at]!r} at position {at + 1}")
        if match.lastgroup != "space":
            tokens.append((match.lastgroup or "", match.group()))
        at = match.end()
    return tokens


def _unquote(text: str) -> str:
    return text[1:-1] if text[0] == "`" else _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    hexadecimal = match.group(1) or match.group(2) or match.group(3)
    if hexadecimal or match.group(4):
        code = int(hexadecimal, 16) if hexadecimal else int(match.group(4), 8)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise InvalidQueryError(f"escape {match.group()!r} is no character")
        return chr(code)
    character: str = match.group(5)
    if character not in _PLAIN_ESCAPES and character not in "\\\"'":
        raise InvalidQueryError(f"unknown escape {match.group()!r} in a string")
    return _PLAIN_ESCAPES.get(character, character)
