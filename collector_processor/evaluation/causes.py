"""Hold causes that Foreband names against known ones, and against stretches of time in which nothing was wrong.

    {"cases": {"rca/petshop/low_traffic/test/issue_0": {"dataset": "petshop", "root_cause": {"node": "petInfo"},
                                                        "target": {"node": "PetSite", "timestamp": 1681857605}}}}

Files are as their publishers made them. Of Petshop's a case is `metrics.csv` (three rows of heads: service, metric,
statistic), who calls whom is `graph.csv`, and what is usual `noissue/metrics.csv`, all above it. The alarm of the case
is the onset that was detected; nothing after ten minutes from then is looked at.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.evaluation.dataset import DatasetError, labels_above
from collector_processor.incidents.cause import Ranking, Scene, rank
from collector_processor.incidents.change import Change, Role, measured
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.points import Float64, Int64
from collector_processor.telemetry.service_graph import Edge, ServiceGraph

LABELS = "rca_labels.json"
FIRST = (1, 3, 5)

_ROLES = {
    ("availability", "Average"): Role.ERRORS,
    ("latency", "Average"): Role.DURATION,
    ("requests", "Sum"): Role.TRAFFIC,
}
_PERCENT = 100.0
_LOOKED_AT = 10 * MINUTE
_ROWS_OF_A_WINDOW = 2


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Values `(n, m)` at times `(n,)` of columns that are of a service, a metric and a statistic."""

    columns: tuple[tuple[str, str, str], ...]
    time_unix_nano: Int64
    value: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One fault: what was seen around it, what is usual, who calls whom, whose alarm it was and who is to blame."""

    name: str
    dataset: str
    alarm: str
    onset: int
    cause: str
    seen: Table
    usual: Table
    topology: Topology


@dataclass(frozen=True, slots=True)
class CauseFigures:
    """Of `cases`, the shares whose cause is among the first 1, 3 and 5 named, and the mean over 1 to 5.

    `specificity` is the share of `windows` without a fault in which no cause is named.
    """

    cases: int
    accuracy: tuple[float, ...]
    average: float
    windows: int
    specificity: float


def read_cases(directory: Path) -> list[Case]:
    """Return the cases below a directory that can be read, none where there are no such labels.

    Raises:
        DatasetError: if a file is missing or not what the labels say.
    """
    labels = labels_above(directory.resolve(), LABELS)
    if labels is None:
        return []
    entries: dict[str, dict[str, Any]] = json.loads(labels.read_text(encoding="utf-8"))["cases"]
    usual: dict[Path, Table] = {}
    return [
        _read(labels.parent / name, name, entry, usual)
        for name, entry in entries.items()
        if "target" in entry and (labels.parent / name).is_relative_to(directory.resolve())
    ]


def evaluate_causes(cases: Sequence[Case], late: int) -> CauseFigures:
    """Rank the causes of all cases by what is known when their alarms come `late` nanoseconds later."""
    places, quiet = list[int](), list[bool]()
    for case in cases:
        named = [cause.entity for cause in _ranked(case, case.onset + late).causes]
        places.append(named.index(case.cause) + 1 if case.cause in named else 0)
    for case in {id(case.usual): case for case in cases}.values():
        quiet += [not ranking.causes for ranking in _without_fault(case)]
    accuracy = [sum(0 < place <= k for place in places) / len(places) for k in range(1, FIRST[-1] + 1)]
    return CauseFigures(
        cases=len(cases),
        accuracy=tuple(accuracy[k - 1] for k in FIRST),
        average=sum(accuracy) / len(accuracy),
        windows=len(quiet),
        specificity=sum(quiet) / len(quiet),
    )


def _ranked(case: Case, onset: int) -> Ranking:
    time = case.seen.time_unix_nano
    after = (time >= onset) & (time < onset + _LOOKED_AT)
    return _rank(case, case.seen.value[after], case.seen.columns)


def _without_fault(case: Case) -> Iterator[Ranking]:
    """Rank as if there were an alarm in each stretch of ten minutes of what is usual."""
    rows = case.usual.value
    for first in range(0, len(rows) - _ROWS_OF_A_WINDOW + 1, _ROWS_OF_A_WINDOW):
        yield _rank(case, rows[first : first + _ROWS_OF_A_WINDOW], case.usual.columns)


def _rank(case: Case, after: Float64, columns: Sequence[tuple[str, str, str]]) -> Ranking:
    usual = dict(zip(case.usual.columns, case.usual.value.T, strict=True))
    changes = [
        change
        for column, values in zip(columns, after.T, strict=True)
        if column in usual and (change := _change(column, usual[column], values)) is not None
    ]
    return rank(Scene([case.alarm], changes, case.topology))


def _change(column: tuple[str, str, str], before: Float64, after: Float64) -> Change | None:
    service, metric, statistic = column
    role = _ROLES.get((metric, statistic))
    if role is None:
        return None
    if role is Role.ERRORS:
        before, after = 1.0 - before / _PERCENT, 1.0 - after / _PERCENT
    return measured(service, service, f"{metric} {statistic}", role, before, after)


def _read(path: Path, name: str, entry: dict[str, Any], usual: dict[Path, Table]) -> Case:
    """Read a case; `usual` are tables that were read already."""
    above = path.parent.parent
    try:
        if above not in usual:
            usual[above] = _table(above / "noissue" / "metrics.csv")
        return Case(
            name=name,
            dataset=entry["dataset"],
            alarm=entry["target"]["node"],
            onset=round(entry["target"]["timestamp"]) * NANOS_PER_SECOND,
            cause=entry["root_cause"]["node"],
            seen=_table(path / "metrics.csv"),
            usual=usual[above],
            topology=_calls(above / "graph.csv"),
        )
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DatasetError(f"{path}: {error!r}") from error


def _table(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        services, metrics, statistics, _, *rows = csv.reader(file)
    return Table(
        columns=tuple(zip(services[1:], metrics[1:], statistics[1:], strict=True)),
        time_unix_nano=np.array([round(float(row[0])) * NANOS_PER_SECOND for row in rows], np.int64),
        value=np.array([[float(text or "nan") for text in row[1:]] for row in rows], np.float64),
    )


def _calls(path: Path) -> Topology:
    """Read a matrix of who calls whom."""
    with path.open(encoding="utf-8", newline="") as file:
        (_, *servers), *rows = csv.reader(file)
    edges = [
        Edge(client, server, is_peer=False, calls=1.0, errors=0.0, seconds=0.0)
        for client, *row in rows
        for server, weight in zip(servers, row, strict=True)
        if float(weight or 0.0)
    ]
    return Topology(ServiceGraph(edges=tuple(edges)))
