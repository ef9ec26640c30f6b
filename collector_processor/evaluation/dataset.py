"""Labelled series: one CSV file each, and a `labels.json` beside or above them that says when something was wrong.

    {"series": {"ad/nab/a.csv": {"step_s": 300, "eval_from": "2014-02-16T16:50:00Z", "dataset": "nab", "group": "aws",
                                 "labelled": "exact", "windows": [["2014-02-26T22:05:00Z", "2014-02-26T22:40:00Z"]]}}}

`labelled` is "exact" where a window is the anomaly itself, "windows" where it is a wide stretch around it.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.errors import ForebandError
from collector_processor.telemetry.points import Float64, Int64

LABELS = "labels.json"
_WIDE, _EXACT = "windows", "exact"
_STEPS_BEFORE, _STEPS_AFTER = 2, 3


class DatasetError(ForebandError):
    """The labelled data cannot be used; the message names the file."""


class NoSeriesError(DatasetError):
    """There are no labelled series at this place."""


@dataclass(frozen=True, slots=True)
class Event:
    """One labelled anomaly, both ends included; an episode that starts in `[first, last]` has found it."""

    start_unix_nano: int
    end_unix_nano: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSeries:
    """Ascending times `(n,)` and values; what lies before `eval_from` is warm-up, and never scored."""

    name: str
    dataset: str
    group: str
    step: int
    eval_from: int
    events: tuple[Event, ...]
    is_exact: bool
    time_unix_nano: Int64
    value: Float64

    @property
    def digest(self) -> str:
        """Return what names this content, labels included."""
        text = repr((self.name, self.dataset, self.group, self.step, self.eval_from, self.events, self.is_exact))
        return blake2b(text.encode() + self.time_unix_nano.tobytes() + self.value.tobytes(), digest_size=12).hexdigest()


def read_dataset(directory: Path) -> list[LabelledSeries]:
    """Return the labelled series below a directory, in the order of `labels.json`; files of many metrics are left out.

    Raises:
        DatasetError: if there are no labels, or a file is missing or not what they say.
    """
    labels = labels_above(directory.resolve())
    if labels is None:
        raise NoSeriesError(f"there is no {LABELS} in {directory} or above it")
    entries: dict[str, dict[str, Any]] = json.loads(labels.read_text(encoding="utf-8"))["series"]
    chosen = {
        name: entry
        for name, entry in entries.items()
        if entry["labelled"] in {_WIDE, _EXACT} and (labels.parent / name).is_relative_to(directory.resolve())
    }
    if not chosen:
        raise NoSeriesError(f"{labels} names no series below {directory}")
    return [_read(labels.parent / name, name, entry) for name, entry in chosen.items()]


def event_windows(windows: Sequence[tuple[int, int]], step: int, *, is_exact: bool) -> tuple[Event, ...]:
    """Return events for labelled windows; exact ones allow a start two steps early or three late."""
    before, after = (_STEPS_BEFORE * step, _STEPS_AFTER * step) if is_exact else (0, 0)
    return tuple(Event(start, end, start - before, end + after) for start, end in windows)


def labels_above(directory: Path, name: str = LABELS) -> Path | None:
    """Return the file of labels in a directory or the nearest above it, None where there is none."""
    places = (place / name for place in (directory, *directory.parents))
    return next((place for place in places if place.is_file()), None)


def _read(path: Path, name: str, entry: dict[str, Any]) -> LabelledSeries:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        time = np.array([nanos(row[0]) for row in rows], np.int64)
        value = np.array([float(row[1]) for row in rows], np.float64)
        step, is_exact = round(entry["step_s"] * NANOS_PER_SECOND), entry["labelled"] == _EXACT
        windows = [(nanos(start), nanos(end)) for start, end in entry["windows"]]
        return LabelledSeries(
            name=name,
            dataset=entry["dataset"],
            group=entry["group"],
            step=step,
            eval_from=nanos(entry["eval_from"]),
            events=event_windows(windows, step, is_exact=is_exact),
            is_exact=is_exact,
            time_unix_nano=time,
            value=value,
        )
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DatasetError(f"{path}: {error!r}") from error


def nanos(text: str) -> int:
    """Read a time with a zone.

    Raises:
        ValueError: if it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone")
    return round(moment.timestamp()) * NANOS_PER_SECOND
