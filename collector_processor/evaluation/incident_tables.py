"""What came out for incidents and causes, as tables for people, and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collector_processor.evaluation.causes import FIRST, CauseFigures
from collector_processor.evaluation.entities import LabelledEntity
from collector_processor.evaluation.incidents import IncidentCounts

Rows = list[list[str]]
Measured = Sequence[tuple[LabelledEntity, IncidentCounts]]

INCIDENT_COLUMNS = (
    "",
    "incidents",
    "recall",
    "precision",
    "F1",
    "false ones a server-week",
    "fragments",
    "metrics in common",
    "series an incident",
)
CAUSE_COLUMNS = ("", "cases", *(f"cause among the first {k}" for k in FIRST), "mean of 1 to 5", "none where none is")

INCIDENT_NOTE = (
    "By when an incident was opened. Metrics in common: the share of the affected metrics that both the label and the "
    "incident name (Jaccard)."
)
CAUSE_NOTE = "None where none is: the share of stretches without a fault for which no cause is named."


def incident_rows(measured: Measured) -> Rows:
    """Return all servers together, then by dataset and by server."""
    parts = {f"all {len(measured)} servers": measured}
    datasets = {entity.dataset: [one for one in measured if one[0].dataset == entity.dataset] for entity, _ in measured}
    parts |= {f"  {name}": part for name, part in datasets.items() if len(datasets) > 1}
    parts |= {f"    {entity.name}": [(entity, counts)] for entity, counts in measured}
    return [_incident_row(name, incident_figures(part)) for name, part in parts.items()]


def incident_figures(measured: Measured) -> dict[str, Any]:
    """Return the figures of some servers together; None where there is nothing to divide by."""
    counts = [count for _, count in measured]
    labels, found, false = (sum(getattr(c, name) for c in counts) for name in ("labels", "found", "false"))
    fragments, overlaps = sum(c.fragments for c in counts), [each for c in counts for each in c.overlaps]
    return {
        "incidents": labels,
        "found": found,
        "recall": _share(found, labels),
        "precision": _share(found, found + false),
        "f1": _share(2 * found, labels + found + false),
        "false_per_server_week": _share(false, sum(c.weeks for c in counts)),
        "fragments": _share(fragments, found),
        "jaccard": float(np.mean(overlaps)) if overlaps else None,
        "series_per_incident": _share(sum(c.alerts for c in counts), fragments + false),
    }


def cause_rows(figures: Mapping[str, CauseFigures]) -> Rows:
    """Return a row for each moment at which the cause was asked for."""
    return [
        [
            name,
            str(found.cases),
            *(f"{share:.2f}" for share in found.accuracy),
            f"{found.average:.2f}",
            f"{found.specificity:.2f} of {found.windows}",
        ]
        for name, found in figures.items()
    ]


def _incident_row(name: str, figures: Mapping[str, Any]) -> list[str]:
    shown = ("recall", "precision", "f1", "false_per_server_week", "fragments", "jaccard", "series_per_incident")
    return [name, f"{figures['found']} of {figures['incidents']}", *(_text(figures[key]) for key in shown)]


def _text(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
