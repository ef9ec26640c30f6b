"""When series will reach their bounds."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import SystemClock


@click.command()
@configured
def capacity(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Say when series will reach their bounds, and how likely."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.breaches import breaches, table_of
    from collector_processor.policy import Policies

    found = breaches(config.store.directory, Policies(config.policies), SystemClock())
    Console(highlight=False).print(table_of(found) if found else "no live series has a bound and a model")
