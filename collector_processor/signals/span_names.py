"""Span names without what changes from request to request: `GET /users/4711` is an operation, not ten thousand.

A few rules for what instrumentations put into names although they should not: ids, hashes, numbers, dates, addresses,
query strings, literals of SQL. A part of a name is only replaced as a whole, so `v1`, `s3`, `HTTP/1.1` and `orders2`
stay. Names that follow the semantic conventions (`GET /users/{id}`, `SELECT shop.orders`) come out as they are.
"""

import re

_SUSPECT = re.compile(r"[0-9?@']")

_ALONE, _ENDS = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_RULES = {
    "uuid": rf"{_ALONE}[0-9a-fA-F]{{8}}-(?:[0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}}{_ENDS}",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "date": r"(?<!\d)\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?(?!\d)",
    "ip": r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])",
    "hex": rf"{_ALONE}(?:0x[0-9a-fA-F]+|(?=[a-fA-F]*[0-9])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{{8,}}){_ENDS}",
    "id": rf"{_ALONE}(?=(?:[A-Za-z]*[0-9]+[A-Za-z]+){{3}})[0-9A-Za-z]{{16,}}{_ENDS}",
    "n": rf"{_ALONE}(?<![0-9]\.)[0-9]+{_ENDS}(?!\.[0-9])",
}
"""Placeholder and what it stands for; of two that begin at one place the first."""

_CHANGING = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _RULES.items()))
_QUERY_STRING = re.compile(r"(/[^\s?]*)\?\S+")

_SQL = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|REPLACE|UPSERT|WITH|CALL)\s+(?!/|https?:)", re.IGNORECASE)
_SQL_LITERAL = re.compile(
    r"'(?:[^']|'')*'?|(?<![\w$:@.])[-+]?(?:0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\b"
)
_SQL_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*")


def template(name: str) -> str:
    """Return the name of the operation that a span of this name belongs to."""
    if not _SUSPECT.search(name):
        return name
    if _SQL.match(name):
        return " ".join(_SQL_LIST.sub("(?)", _SQL_LITERAL.sub("?", name)).split())
    return _CHANGING.sub(_placeholder, _QUERY_STRING.sub(r"\1", name))


def _placeholder(found: re.Match[str]) -> str:
    return f"{{{found.lastgroup}}}"
