"""Labelled servers: one file of many metrics each, and when something was wrong with which of them.

{"series": {"multi/asd/a.csv.gz": {"step_s": 300, "eval_from": "...", "dataset": "asd", "incidents": [
    {"start": "2021-02-05T15:20:00Z", "end": "2021-02-05T15:45:00Z", "metrics": ["m03", "m04"]}]}}}
"""

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.evaluation.dataset import DatasetError, LabelledSeries, labels_above, nanos
from collector_processor.telemetry.points import Float64, Int64

_STEPS_BEFORE, _STEPS_AFTER = 2, 3


@dataclass(frozen=True, slots=True)
class LabelledIncident:
    """From when to when something was wrong, and with which metrics; one opened in `[first, last]` has found it."""

    first: int
    last: int
    metrics: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledEntity:
    """A server: the values `(n, m)` of its metrics at ascending times `(n,)`."""

    name: str
    dataset: str
    step: int
    eval_from: int
    incidents: tuple[LabelledIncident, ...]
    metrics: tuple[str, ...]
    time_unix_nano: Int64
    value: Float64

    @property
    def series(self) -> list[LabelledSeries]:
        """Its metrics one by one, without labels."""
        return [
            LabelledSeries(
                f"{self.name}/{metric}",
                self.dataset,
                self.name,
                self.step,
                self.eval_from,
                (),
                is_exact=True,
                time_unix_nano=self.time_unix_nano,
                value=self.value[:, place].copy(),
            )
            for place, metric in enumerate(self.metrics)
        ]


def read_entities(directory: Path) -> list[LabelledEntity]:
    """Return the labelled servers below a directory, none where there are no such labels.

    Raises:
        DatasetError: if a file is missing or not what the labels say.
    """
    labels = labels_above(directory.resolve())
    if labels is None:
        return []
    entries: dict[str, dict[str, Any]] = json.loads(labels.read_text(encoding="utf-8"))["series"]
    return [
        _read(labels.parent / name, name, entry)
        for name, entry in entries.items()
        if "incidents" in entry and (labels.parent / name).is_relative_to(directory.resolve())
    ]


def _read(path: Path, name: str, entry: dict[str, Any]) -> LabelledEntity:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        step = round(entry["step_s"] * NANOS_PER_SECOND)
        return LabelledEntity(
            name=name.removesuffix(".csv.gz"),
            dataset=entry["dataset"],
            step=step,
            eval_from=nanos(entry["eval_from"]),
            incidents=tuple(_incident(each, step) for each in entry["incidents"]),
            metrics=tuple(head[1:]),
            time_unix_nano=np.array([nanos(row[0]) for row in rows], np.int64),
            value=np.array([[float(text) for text in row[1:]] for row in rows], np.float64),
        )
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DatasetError(f"{path}: {error!r}") from error


def _incident(entry: dict[str, Any], step: int) -> LabelledIncident:
    first, last = nanos(entry["start"]) - _STEPS_BEFORE * step, nanos(entry["end"]) + _STEPS_AFTER * step
    return LabelledIncident(first, last, frozenset(entry["metrics"]))
