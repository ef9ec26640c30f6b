"""Labelled series of our own: a daily load with faults in it, as objects and as files."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.evaluation.dataset import LabelledSeries, event_windows
from collector_processor.telemetry.points import Float64, Int64
from tests.forecast.shapes import daily

START = 1_700_006_400 * NANOS_PER_SECOND  # a midnight
STEP = 15 * MINUTE


def load(days: int, seed: int = 0, step: int = STEP) -> tuple[Int64, Float64]:
    """Return times and values of a daily load from START on."""
    time = START + step * np.arange(days * DAY // step)
    return time, daily(time, seed)


def labelled(
    time: Int64, value: Float64, *windows: tuple[int, int], name: str = "load.csv", dataset: str = "ours"
) -> LabelledSeries:
    """Label stretches, given in nanoseconds from START; the first three days are warm-up."""
    spans = [(START + first, START + last) for first, last in windows]
    step = int(time[1] - time[0])
    return LabelledSeries(
        name=name,
        dataset=dataset,
        group="tests",
        step=step,
        eval_from=START + 3 * DAY,
        events=event_windows(spans, step, is_exact=True),
        is_exact=True,
        time_unix_nano=time,
        value=value,
    )


def with_faults(seed: int, name: str) -> LabelledSeries:
    """Return twelve days with a spike, an outage and a raised level, all three labelled."""
    time, value = load(12, seed)
    faults = [(5 * DAY + 9 * HOUR, 0, 5.0), (7 * DAY, 2 * HOUR, -9.0), (10 * DAY + 14 * HOUR, 3 * HOUR, 15.0)]
    for begin, length, size in faults:
        value = value + size * ((time >= START + begin) & (time <= START + begin + length))
    return labelled(time, value, *((begin, begin + length) for begin, length, _ in faults), name=name)


def write(directory: Path, *dataset: LabelledSeries) -> Path:
    """Write series and their labels as files; return the directory."""
    entries = {}
    for series in dataset:
        path = directory / series.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = zip(series.time_unix_nano.tolist(), series.value.tolist(), strict=True)
            csv.writer(file).writerows([("timestamp", "value"), *((iso(at), value) for at, value in rows)])
        entries[series.name] = {
            "step_s": series.step / NANOS_PER_SECOND,
            "eval_from": iso(series.eval_from),
            "windows": [[iso(e.start_unix_nano), iso(e.end_unix_nano)] for e in series.events],
            "labelled": "exact" if series.is_exact else "windows",
            "dataset": series.dataset,
            "group": series.group,
        }
    (directory / "labels.json").write_text(json.dumps({"series": entries}), encoding="utf-8")
    return directory


def iso(time_unix_nano: int) -> str:
    return datetime.fromtimestamp(time_unix_nano // NANOS_PER_SECOND, UTC).isoformat()
