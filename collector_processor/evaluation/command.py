"""`foreband evaluate`: a progress bar, tables, and the files that were asked for."""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config import Config
from collector_processor.evaluation.dataset import read_dataset
from collector_processor.evaluation.evaluate import evaluate
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
from collector_processor.signals.admit import TimeLimits
from collector_processor.training.batch import keep_machine_code
from collector_processor.training.schedule import TrainingSettings

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
    dataset = read_dataset(data)
    keep_machine_code(work)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluate", total=len(dataset))
        measured = evaluate(
            dataset,
            replace(replay_settings(config), is_answered=is_answered),
            work,
            lambda n: progress.update(task, advance=n),
        )
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    console = Console(highlight=False)
    if is_answered:
        console.print("With a simulated operator, who answers alarms and reports misses when they are over.\n")
    console.print(table_of(DETECTION_COLUMNS, detection_rows(measured), NOTE))
    console.print()
    console.print(table_of(FORECAST_COLUMNS, forecast_rows(measured), "in units of the value 24 h earlier"))
    console.print(
        f"\n{cpu_seconds_per_series_day(measured):.3f} CPU seconds a series-day, hourly refits included; "
        f"{resident / 1e6:.0f} MB resident"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(measured, resident), indent=2) + "\n", encoding="utf-8")
    if report_file is not None:
        report_file.write_text(report_of(measured), encoding="utf-8")


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
