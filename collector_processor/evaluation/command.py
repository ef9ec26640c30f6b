"""`foreband evaluate`: a progress bar, tables, and the files that were asked for."""

import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config import Config
from collector_processor.evaluation.causes import evaluate_causes, read_cases
from collector_processor.evaluation.dataset import LabelledSeries, NoSeriesError, read_dataset
from collector_processor.evaluation.entities import read_entities
from collector_processor.evaluation.evaluate import evaluate
from collector_processor.evaluation.incident_tables import (
    CAUSE_COLUMNS,
    CAUSE_NOTE,
    INCIDENT_COLUMNS,
    INCIDENT_NOTE,
    cause_rows,
    incident_figures,
    incident_rows,
)
from collector_processor.evaluation.incidents import evaluate_incidents
from collector_processor.evaluation.replay import ReplaySettings
from collector_processor.evaluation.report import report_of
from collector_processor.evaluation.tables import (
    DETECTION_COLUMNS,
    FORECAST_COLUMNS,
    NOTE,
    as_json,
    cpu_seconds_per_series_day,
    detection_rows,
    forecast_rows,
    table_of,
)
from collector_processor.incidents.correlate import CorrelationSettings
from collector_processor.signals.admit import TimeLimits
from collector_processor.training.batch import keep_machine_code
from collector_processor.training.schedule import TrainingSettings

_LATE = (0, 60 * NANOS_PER_SECOND)
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def run_evaluation(
    config: Config,
    data: Path,
    work: Path,
    *,
    json_file: Path | None,
    report_file: Path | None,
    is_answered: bool = False,
) -> None:
    """Evaluate the configuration on labelled data and print what came out.

    Raises:
        DatasetError: if there is no such data.
    """
    keep_machine_code(work)
    console, settings = Console(highlight=False), replace(replay_settings(config), is_answered=is_answered)
    figures = _incidents_and_causes(data, settings, incident_settings(config), work, console)
    try:
        dataset = read_dataset(data)
    except NoSeriesError:
        if not figures:
            raise
    else:
        figures |= _series(dataset, settings, work, console, report_file)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _series(
    dataset: Sequence[LabelledSeries], settings: ReplaySettings, work: Path, console: Console, report_file: Path | None
) -> dict[str, Any]:
    with _progress() as progress:
        task = progress.add_task("evaluate", total=len(dataset))
        measured = evaluate(dataset, settings, work, lambda n: progress.update(task, advance=n))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    if settings.is_answered:
        console.print("With a simulated operator, who answers alarms and reports misses when they are over.\n")
    console.print(table_of(DETECTION_COLUMNS, detection_rows(measured), NOTE))
    console.print()
    console.print(table_of(FORECAST_COLUMNS, forecast_rows(measured), "in units of the value 24 h earlier"))
    console.print(
        f"\n{cpu_seconds_per_series_day(measured):.3f} CPU seconds a series-day, hourly refits included; "
        f"{resident / 1e6:.0f} MB resident"
    )
    if report_file is not None:
        report_file.write_text(report_of(measured), encoding="utf-8")
    return as_json(measured, resident)


def _incidents_and_causes(
    data: Path, settings: ReplaySettings, correlation: CorrelationSettings, work: Path, console: Console
) -> dict[str, Any]:
    """Evaluate labelled servers and known causes, where there are such; return their figures."""
    figures: dict[str, Any] = {}
    entities, cases = read_entities(data), read_cases(data)
    if entities:
        with _progress() as progress:
            task = progress.add_task("incidents", total=len(entities))
            advance = partial(progress.advance, task)
            measured = evaluate_incidents(entities, settings, correlation, work, advance)
        console.print(table_of(INCIDENT_COLUMNS, incident_rows(measured), INCIDENT_NOTE))
        figures["incidents"] = incident_figures(measured)
    if cases:
        found = {f"{late / NANOS_PER_SECOND:.0f} s after the alarm": evaluate_causes(cases, late) for late in _LATE}
        console.print(table_of(CAUSE_COLUMNS, cause_rows(found), CAUSE_NOTE))
        figures["causes"] = {name: asdict(each) for name, each in found.items()}
    return figures


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True)


def replay_settings(config: Config) -> ReplaySettings:
    """Return what a Foreband of this configuration would do; it can only fit what it still keeps."""
    forecast, retention = config.forecast, config.store.retention
    return ReplaySettings(
        training=TrainingSettings(
            step=round(forecast.step.total_seconds()) * NANOS_PER_SECOND,
            window=round(min(forecast.window, retention).total_seconds()) * NANOS_PER_SECOND,
            refit_interval=round(forecast.refit_interval.total_seconds()) * NANOS_PER_SECOND,
        ),
        limits=TimeLimits(retention=round(retention.total_seconds()) * NANOS_PER_SECOND),
        threshold=config.detect.threshold,
        policies=config.policies,
    )


def incident_settings(config: Config) -> CorrelationSettings:
    """Return when episodes are one incident."""
    incidents = config.incidents
    within, reopen = (round(each.total_seconds()) * NANOS_PER_SECOND for each in (incidents.within, incidents.reopen))
    return CorrelationSettings(incidents.agreement, within, reopen)
