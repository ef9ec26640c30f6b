"""Label matchers: the four ways of Prometheus to say which series are meant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from grafana_datasource.query import full_match

MatchOperator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; an absent label counts as empty text.

    Raises:
        InvalidQueryError: on creation, if a regular expression is malformed or too long.
    """

    label: str
    operator: MatchOperator
    text: str
    _test: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_test", _remembering(self._build()))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet the condition."""
        return self._test(labels.get(self.label, ""))

    def accepts(self, text: str) -> bool:
        """Tell whether this text of the label meets the condition."""
        return self._test(text)

    def _build(self) -> Callable[[str], bool]:
        match self.operator:
            case "=":
                return self.text.__eq__
            case "!=":
                return self.text.__ne__
            case "=~":
                return full_match(self.text)
            case _:
                test = full_match(self.text)
                return lambda text: not test(text)


def _remembering(test: Callable[[str], bool]) -> Callable[[str], bool]:
    """Ask once per distinct text: many series share few label values."""
    known: dict[str, bool] = {}

    def ask(text: str) -> bool:
        if text not in known:
            known[text] = test(text)
        return known[text]

    return ask
