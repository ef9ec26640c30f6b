"""Look at the incidents of a store."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import HOUR, SystemClock


@click.group()
def incidents() -> None:
    """Look at the incidents of a store, and what likely caused them."""


@incidents.command("list")
@click.option("--hours", default=168.0, show_default=True, type=click.FloatRange(0.0), help="How far back.")
@configured
def list_incidents(hours: float, path: Path | None, overrides: tuple[str, ...]) -> None:
    """List the incidents of the last days, the newest last."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.incidents import stored_incidents, table_of

    now = SystemClock().now_unix_nano()
    found = stored_incidents(config.store.directory, now - round(hours * HOUR), now + 1)
    Console(highlight=False).print(table_of(found, now))


@incidents.command("show")
@click.argument("incident")
@configured
def show_incident(incident: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Describe one INCIDENT, given by the id that `list` shows."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.incidents import description_of, find_incident

    found = find_incident(config.store.directory, incident)
    Console(highlight=False).print(description_of(found, SystemClock().now_unix_nano()))
