"""Look at the configuration."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import DAY, SystemClock
from collector_processor.config import describe


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@configured
def validate(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say whether Foreband would start with it; exit code 2 and every problem if not."""
    config = load(path, overrides)
    from collector_processor.doors import Locks

    Locks.of(config.security)
    click.echo("the configuration is valid")


@config.command()
@configured
def show(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Print every setting in force, defaults included, secrets masked."""
    click.echo(describe(load(path, overrides)), nl=False)


@config.command("try")
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@click.option("--days", default=14.0, show_default=True, type=click.FloatRange(0.1), help="How far back.")
@configured
def try_config(new: Path, days: float, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say which episodes of the stored past the file NEW would add and remove; what it is held against is --config."""
    config, changed = load(path, overrides), load(new, overrides)
    from rich.console import Console
    from rich.progress import Progress

    from collector_processor.inspection.rehearsal import rehearse, summary_of, table_of

    now = SystemClock().now_unix_nano()
    start = now - round(days * DAY)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("try", total=None)
        found = rehearse(
            config.store.directory, config, changed, start, now + 1, lambda n: progress.update(task, advance=n)
        )
    Console(highlight=False).print(table_of(found.changes))
    click.echo(summary_of(found))
