"""Look over a query before the parser does: bound what it may cost, and write raw strings as escaped ones.

The parser works by recursion and copies subtrees, so a deep or endless query could cost seconds or the stack. It
also reads backslashes in backtick strings, where PromQL has none.
"""

import re
from typing import Final

import orjson

from collector_processor.errors import InvalidQueryError

LONGEST_QUERY: Final = 64 << 10
DEEPEST_NESTING: Final = 60
MOST_OPERATORS: Final = 200

_PIECE = re.compile(
    r"""(?P<raw>`[^`]*`)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<comment>\#[^\n]*)
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<before_1970>@\s*-)
      | (?P<operator>=~|!~|==|!=|>=|<=|[-+*/%^<>]|\b(?:and|or|unless|atan2)\b)""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)

_NEWER: Final = (
    (re.compile(r"\b(anchored|smoothed)\b", re.IGNORECASE), "the modifier {} is not supported"),
    (
        re.compile(r"\[[^\]]*[-+*/%^(]|\boffset\s*[-+]?\s*[a-z_]*\(", re.IGNORECASE),
        "arithmetic in durations is not supported",
    ),
)
"""What the parser does not know yet, and how to say so."""


def scanned(text: str) -> str:
    """Return the query as the parser should see it.

    Raises:
        InvalidQueryError: if it is too long, too deep or has too many operators.
    """
    if len(text) > LONGEST_QUERY:
        raise InvalidQueryError(f"query of {len(text)} characters, the limit is {LONGEST_QUERY}")
    open_brackets: list[str] = []
    operators = 0
    for piece in _PIECE.finditer(text):
        match piece.lastgroup:
            case "open":
                open_brackets.append(piece.group())
                if len(open_brackets) > DEEPEST_NESTING:
                    raise InvalidQueryError(f"nested deeper than {DEEPEST_NESTING} levels")
            case "close" if open_brackets:
                open_brackets.pop()
            case "before_1970":
                raise InvalidQueryError("the @ modifier is before 1970")
            case "operator" if "{" not in open_brackets:
                operators += 1
    if operators > MOST_OPERATORS:
        raise InvalidQueryError(f"{operators} operators, the limit is {MOST_OPERATORS}")
    return _PIECE.sub(lambda piece: _escaped(piece.group()) if piece.lastgroup == "raw" else piece.group(), text)


def unsupported(text: str) -> str:
    """Say what a query that cannot be parsed has of newer PromQL, nothing where it has none."""
    bare = _PIECE.sub(lambda piece: "" if piece.lastgroup in {"raw", "string", "comment"} else piece.group(), text)
    for pattern, message in _NEWER:
        if found := pattern.search(bare):
            return message.format(*found.groups())
    return ""


def _escaped(raw: str) -> str:
    return orjson.dumps(raw[1:-1]).decode()
