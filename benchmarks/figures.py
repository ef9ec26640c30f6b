"""One measured figure, and how figures are shown and kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its unit; `peer` is what another way of doing the same work gives in the same run.

    `ratio` says how many times better than the peer. `must` is a bound on the ratio where there is a peer, else on the
    value, which then has to stay below it.
    """

    name: str
    value: float
    unit: str
    must: float | None = None
    peer: float | None = None
    ratio: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        if self.must is None:
            return None
        return self.value <= self.must if self.ratio is None else self.ratio >= self.must


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print a table for people."""
    table = Table("figure", "value", "unit", "peer", "ratio", "must", "", title=title, title_justify="left")
    for column in table.columns[1:6]:
        column.justify = "right"
    for f in figures:
        met = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[f.is_met]
        table.add_row(f.name, number(f.value), f.unit, number(f.peer), number(f.ratio), number(f.must), met)
    Console().print(table)


def append_rows(path: Path, figures: Sequence[Figure]) -> None:
    """Append one JSON row per figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(figure)) + "\n" for figure in figures)


def number(value: float | None) -> str:
    """Return a number as a person reads it."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
