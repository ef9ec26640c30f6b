"""Look at the models of a store."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import NANOS_PER_SECOND


@click.group()
def models() -> None:
    """Look at the models of a store."""


@models.command("list")
@configured
def list_models(path: Path | None, overrides: tuple[str, ...]) -> None:
    """List the newest model of every series."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.models import stored_models, table_of

    Console(highlight=False).print(table_of(stored_models(config.store.directory)))


@models.command("show")
@click.argument("series")
@configured
def show_model(series: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Describe the model of one SERIES, given by the id that `list` shows."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.models import description_of, find_model, stored_models

    model = find_model(stored_models(config.store.directory), series)
    Console(highlight=False).print(description_of(model))


@models.command("export")
@click.argument("series")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file (default: standard output).")
@configured
def export_model(series: str, output: Path | None, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Write the model of one SERIES as JSON that `prophet.serialize.model_from_json` reads."""
    config = load(path, overrides)
    from collector_processor.inspection.models import as_prophet_json, find_model, stored_models

    directory, step = config.store.directory, round(config.forecast.step.total_seconds()) * NANOS_PER_SECOND
    text = as_prophet_json(directory, find_model(stored_models(directory), series), step)
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
