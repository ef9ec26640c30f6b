"""Make labels of labels: `label_replace`, `label_join`, and the order that labels give."""

import re
from typing import Any

from collector_processor.errors import InvalidQueryError
from grafana_datasource.promql.vector import Labels, Vector
from grafana_datasource.query import FailedQueryError, regex

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_REFERENCE = re.compile(r"\$(?:(\$)|([0-9A-Za-z_]+)|\{([0-9A-Za-z_]+)\})", re.ASCII)
_DIGITS = re.compile(r"(\d+)")


def label_replace(vector: Vector, target: str, template: str, source: str, pattern: str) -> Vector:
    """Set `target` to the template where `source` matches the whole pattern.

    Raises:
        FailedQueryError: for a malformed pattern or an invalid name, or if series become alike.
    """
    try:
        compiled = regex(pattern)
    except InvalidQueryError as error:
        raise FailedQueryError(f"invalid regular expression in label_replace(): {error}") from None
    _check(target, f"invalid destination label name in label_replace(): {target}")

    def change(labels: Labels) -> Labels:
        found = compiled.fullmatch(labels.get(source, ""))
        return labels if found is None else with_label(labels, target, _expanded(template, found))

    return vector.relabelled(change)


def label_join(vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    """Set `target` to the texts of other labels, joined.

    Raises:
        FailedQueryError: for an invalid name, or if series become alike.
    """
    _check(target, f"invalid destination label name in label_join(): {target}")
    for source in sources:
        _check(source, f"invalid source label name in label_join(): {source}")
    return vector.relabelled(
        lambda labels: with_label(labels, target, separator.join(labels.get(source, "") for source in sources))
    )


def check_label(name: str) -> None:
    """Refuse what cannot be a label name.

    Raises:
        FailedQueryError: naming it.
    """
    _check(name, f"invalid label name {name!r}")


def with_label(labels: Labels, name: str, text: str) -> Labels:
    """Return a label set with one label set, or left out where its text is empty."""
    changed = {key: value for key, value in labels.items() if key != name}
    return {**changed, name: text} if text else changed


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return what texts are ordered by when numbers in them count as numbers."""
    parts = _DIGITS.split(text)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def _expanded(template: str, found: Any) -> str:
    """Write groups of a match into a template, as Go does: an unknown group is empty."""

    def group(reference: re.Match[str]) -> str:
        if reference.group(1):
            return "$"
        name = reference.group(2) or reference.group(3)
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def _check(name: str, message: str) -> None:
    if not _LABEL.fullmatch(name):
        raise FailedQueryError(message)
