"""The `foreband` command."""

import os
import sys
from getpass import getuser
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import click

from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND, SystemClock
from collector_processor.config import Config, describe, load_config
from collector_processor.errors import ConfigError, ForebandError

_CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="FOREBAND_CONFIG",
    help="YAML file; every field optional.",
)
_SET = click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Prophet forecast bands and anomaly verdicts for OpenTelemetry, served to Grafana."""


@cli.command()
@_CONFIG
@_SET
def run(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Receive OTLP, judge, forward, and serve Grafana, until stopped."""
    config = _load(path, overrides)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core writes lines of its own beside the log
    from collector_processor.running import run_until_stopped

    run_until_stopped(config)


@cli.command()
@_CONFIG
@_SET
def serve(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Serve only the Grafana side of a store that another process writes."""
    config = _load(path, overrides)
    from collector_processor.running import serve_until_stopped

    serve_until_stopped(config)


@cli.command()
@click.option("--check", is_flag=True, help="Exit 0 as soon as the injected fault was flagged, 1 if it was not.")
@click.option("--days", default=14.0, show_default=True, help="Days of simulated past of the shop.")
@click.option("--directory", type=click.Path(path_type=Path), help="Keep the data here (default: a temporary place).")
def demo(check: bool, days: float, directory: Path | None) -> None:
    """Show it: this machine and a traced demo shop, with bands, a fault and its flag."""
    from collector_processor.demo import run_demo

    sys.exit(run_demo(is_check=check, days=days, directory=directory))


@cli.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@_CONFIG
@_SET
def validate(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say whether Foreband would start with it; exit code 2 and every problem if not."""
    config = _load(path, overrides)
    from collector_processor.doors import Locks

    Locks.of(config.security)
    click.echo("the configuration is valid")


@config.command()
@_CONFIG
@_SET
def show(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Print every setting in force, defaults included, secrets masked."""
    click.echo(describe(_load(path, overrides)), nl=False)


@config.command("try")
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@click.option("--days", default=14.0, show_default=True, type=click.FloatRange(0.1), help="How far back.")
@_CONFIG
@_SET
def try_config(new: Path, days: float, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say which episodes of the stored past the file NEW would add and remove; what it is held against is --config."""
    config, changed = _load(path, overrides), _load(new, overrides)
    from rich.console import Console
    from rich.progress import Progress

    from collector_processor.rehearsal import rehearse, summary_of, table_of

    now = SystemClock().now_unix_nano()
    start = now - round(days * DAY)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("try", total=None)
        found = rehearse(
            config.store.directory, config, changed, start, now + 1, lambda n: progress.update(task, advance=n)
        )
    Console(highlight=False).print(table_of(found.changes))
    click.echo(summary_of(found))


@cli.command()
@_CONFIG
@_SET
def capacity(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say when series will reach their bounds, and how likely."""
    config = _load(path, overrides)
    from rich.console import Console

    from collector_processor.breaches import breaches, table_of
    from collector_processor.policy import Policies

    found = breaches(config.store.directory, Policies(config.policies), SystemClock())
    Console(highlight=False).print(table_of(found) if found else "no live series has a bound and a model")


@cli.group()
def models() -> None:
    """Look at the models of a store."""


@models.command("list")
@_CONFIG
@_SET
def list_models(path: Path | None, overrides: tuple[str, ...]) -> None:
    """List the newest model of every series."""
    config = _load(path, overrides)
    from rich.console import Console

    from collector_processor.models import stored_models, table_of

    Console(highlight=False).print(table_of(stored_models(config.store.directory)))


@models.command("show")
@click.argument("series")
@_CONFIG
@_SET
def show_model(series: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Describe the model of one SERIES, given by the id that `list` shows."""
    config = _load(path, overrides)
    from rich.console import Console

    from collector_processor.models import description_of, find_model, stored_models

    model = find_model(stored_models(config.store.directory), series)
    Console(highlight=False).print(description_of(model))


@models.command("export")
@click.argument("series")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file (default: standard output).")
@_CONFIG
@_SET
def export_model(series: str, output: Path | None, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Write the model of one SERIES as JSON that `prophet.serialize.model_from_json` reads."""
    config = _load(path, overrides)
    from collector_processor.models import as_prophet_json, find_model, stored_models

    directory, step = config.store.directory, round(config.forecast.step.total_seconds()) * NANOS_PER_SECOND
    text = as_prophet_json(directory, find_model(stored_models(directory), series), step)
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


@cli.group()
def episodes() -> None:
    """Look at the episodes of a store, and why they are some."""


@episodes.command("list")
@click.option("--hours", default=168.0, show_default=True, type=click.FloatRange(0.0), help="How far back.")
@_CONFIG
@_SET
def list_episodes(hours: float, path: Path | None, overrides: tuple[str, ...]) -> None:
    """List the episodes of the last days, the newest last."""
    config = _load(path, overrides)
    from rich.console import Console

    from collector_processor.episodes import stored_episodes, table_of

    now = SystemClock().now_unix_nano()
    found = stored_episodes(config.store.directory, now - round(hours * HOUR), now + 1)
    Console(highlight=False).print(table_of(found, now))


@episodes.command("show")
@click.argument("episode")
@_CONFIG
@_SET
def show_episode(episode: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Explain one EPISODE, given by the id that `list` shows."""
    config = _load(path, overrides)
    from rich.console import Console

    from collector_processor.episodes import description_of, find_episode

    found, explanation = find_episode(config.store.directory, episode)
    Console(highlight=False).print(description_of(found, explanation, SystemClock().now_unix_nano()))


_URL = click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Of a running Foreband.")
_TOKEN_FILE = click.option("--token-file", type=click.Path(path_type=Path, exists=True), help="Token of scope admin.")
_BY = click.option("--by", default=getuser, show_default="you", help="Who says so; kept in the history.")


@cli.group()
def feedback() -> None:
    """Answer episodes: what people say moves the sensitivity of a series."""


@feedback.command("give")
@click.argument("episode")
@click.argument("answer", type=click.Choice(["expected", "false_alarm", "confirmed"]))
@_BY
@_URL
@_TOKEN_FILE
def give_feedback(episode: str, answer: str, by: str, url: str, token_file: Path | None) -> None:
    """Say what an EPISODE was; ids are shown by `foreband episodes list`."""
    from collector_processor.feedback_command import ask, said

    click.echo(said(ask(url, f"episodes/{episode}/feedback", {"answer": answer, "by": by}, token_file)))


@feedback.command("missed")
@click.argument("series")
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="TO")
@_BY
@_URL
@_TOKEN_FILE
def report_missed(series: str, start: str, end: str, by: str, url: str, token_file: Path | None) -> None:
    """Report that something was missed in a SERIES between two times, such as 2026-03-01T10:00:00Z."""
    from collector_processor.feedback_command import ask, said

    body = {"answer": "missed", "by": by, "from": start, "to": end}
    click.echo(said(ask(url, f"series/{series}/feedback", body, token_file)))


@feedback.command("undo")
@click.argument("answer")
@_BY
@_URL
@_TOKEN_FILE
def undo_feedback(answer: str, by: str, url: str, token_file: Path | None) -> None:
    """Take an ANSWER back, as if it had never been given; ids are shown by `foreband feedback list`."""
    from collector_processor.feedback_command import ask

    click.echo(f"{ask(url, f'feedback/{answer}/undo', {'by': by}, token_file)['id']} counts no more")


@feedback.command("list")
@_URL
@_TOKEN_FILE
def list_feedback(url: str, token_file: Path | None) -> None:
    """List all answers, the newest first."""
    from rich.console import Console

    from collector_processor.feedback_command import ask, table_of

    Console(highlight=False).print(table_of(ask(url, "feedback", None, token_file)))


@cli.command()
@click.argument("series", nargs=-1)
@click.option("--origins", default=7, show_default=True, type=click.IntRange(1, 365), help="Days to start from.")
@click.option("--width", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.999), help="Of the interval.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML page with plots to this file.")
@_CONFIG
@_SET
def backtest(
    series: tuple[str, ...],
    origins: int,
    width: float,
    report: Path | None,
    path: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Hold forecasts against the stored past: of the SERIES given by id, or of all."""
    config = _load(path, overrides)
    from rich.console import Console
    from rich.progress import Progress

    from collector_processor.backtests import BacktestSettings, chosen_series, report_of, run_backtest, table_of
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


@cli.command()
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
@_CONFIG
@_SET
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
    config = _load(path, overrides)
    from collector_processor.evaluation.command import run_evaluation

    run_evaluation(config, data, work, json_file=json_file, report_file=report, is_answered=feedback)


@cli.group()
def backfill() -> None:
    """Bring the past of another store into a running Foreband."""


@backfill.command("prometheus")
@click.option("--url", required=True, help="Of Prometheus, VictoriaMetrics, Mimir, ...: what comes before /api/v1.")
@click.option("--match", "matches", multiple=True, help="Selector of series; may be given several times.")
@click.option("--from", "start", default="14d", show_default=True, help="Time, or duration before now.")
@click.option("--until", "end", default="0s", show_default=True, help="The same.")
@click.option("--step", default="1m", show_default=True, help="Distance of the points asked for.")
@click.option("--to", default="http://127.0.0.1:4317", show_default=True, help="OTLP gRPC address of Foreband.")
@click.option(
    "--cursor",
    type=click.Path(path_type=Path),
    default=Path("foreband-backfill.json"),
    show_default=True,
    help="File that says how far it came; the same command goes on from there.",
)
@click.option("--token-file", type=click.Path(path_type=Path, exists=True), help="Bearer token for the URL.")
@click.option("--to-token-file", type=click.Path(path_type=Path, exists=True), help="Bearer token for Foreband.")
def backfill_prometheus(**options: Any) -> None:
    """Read range queries of a server with Prometheus' API and send them to Foreband, oldest first."""
    from collector_processor.backfill.command import backfill_from_prometheus

    backfill_from_prometheus(**options)


@cli.command()
@_CONFIG
@_SET
def doctor(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Check what Foreband needs: ports, directory, libraries, downstream."""
    from rich.console import Console

    from collector_processor.doctor import Health, examine

    colours = {Health.OK: "green", Health.WARNING: "yellow", Health.PROBLEM: "red"}
    console = Console(highlight=False, soft_wrap=True)
    worst = Health.OK
    for finding in examine(_load(path, overrides)):
        console.print(f"[{colours[finding.health]}]{finding.health:8}[/] {finding.subject:12} {finding.text}")
        if finding.advice:
            console.print(f"{'':21} [dim]{finding.advice}[/]")
        worst = Health.PROBLEM if Health.PROBLEM in {worst, finding.health} else worst
    sys.exit(1 if worst is Health.PROBLEM else 0)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"foreband {distribution_version('foreband')}")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; errors Foreband raises on purpose are one message, not a stack trace."""
    try:
        return cli.main(arguments, prog_name="foreband", standalone_mode=True)
    except ConfigError as error:
        click.echo(f"foreband: {error}", err=True)
        sys.exit(2)
    except ForebandError as error:
        click.echo(f"foreband: {error}", err=True)
        sys.exit(1)


def _load(path: Path | None, overrides: tuple[str, ...]) -> Config:
    return load_config(path, overrides=overrides)
