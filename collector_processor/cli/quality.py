"""Say how good forecasts and verdicts are: on the stored past, and on labelled series."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import NANOS_PER_SECOND


@click.command()
@click.argument("series", nargs=-1)
@click.option("--origins", default=7, show_default=True, type=click.IntRange(1, 365), help="Days to start from.")
@click.option("--width", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.999), help="Of the interval.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML page with plots to this file.")
@configured
def backtest(
    series: tuple[str, ...],
    origins: int,
    width: float,
    report: Path | None,
    path: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Hold forecasts against the stored past: of the SERIES given by id, or of all."""
    config = load(path, overrides)
    from rich.console import Console
    from rich.progress import Progress

    from collector_processor.inspection.backtests import (
        BacktestSettings,
        chosen_series,
        report_of,
        run_backtest,
        table_of,
    )
    from collector_processor.policy import Policies

    step, window = config.forecast.step.total_seconds(), config.forecast.window.total_seconds()
    settings = BacktestSettings(round(step) * NANOS_PER_SECOND, round(window) * NANOS_PER_SECOND, origins, width)
    chosen = chosen_series(config.store.directory, series)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("backtest", total=len(chosen))
        results = run_backtest(
            config.store.directory,
            chosen,
            settings,
            lambda n: progress.update(task, advance=n),
            Policies(config.policies),
        )
    Console(highlight=False).print(table_of(results, width))
    if report is not None:
        report.write_text(report_of(results, width), encoding="utf-8")


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="Series and labels.json.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML page with every series to this file.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("foreband-evaluation"),
    show_default=True,
    help="Keep finished series here: an interrupted run goes on, another one takes seconds.",
)
@click.option("--feedback", is_flag=True, help="Simulate an operator who answers alarms and reports misses afterwards.")
@configured
def evaluate(
    data: Path,
    json_file: Path | None,
    report: Path | None,
    work: Path,
    feedback: bool,
    path: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Replay labelled series through the product, beside simple detectors, and count hits and false alarms."""
    config = load(path, overrides)
    from collector_processor.evaluation.command import run_evaluation

    run_evaluation(config, data, work, json_file=json_file, report_file=report, is_answered=feedback)
