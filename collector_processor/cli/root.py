"""The command itself: what it consists of, and how it ends when it fails."""

import sys
from importlib.metadata import version as distribution_version
from typing import Any

import click

from collector_processor.cli.backfill import backfill
from collector_processor.cli.capacity import capacity
from collector_processor.cli.configuration import config
from collector_processor.cli.docs import docs
from collector_processor.cli.doctor import doctor
from collector_processor.cli.episodes import episodes
from collector_processor.cli.feedback import feedback
from collector_processor.cli.grafana import grafana
from collector_processor.cli.incidents import incidents
from collector_processor.cli.models import models
from collector_processor.cli.quality import backtest, evaluate
from collector_processor.cli.run import demo, run, serve
from collector_processor.errors import ConfigError, ForebandError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Prophet forecast bands and anomaly verdicts for OpenTelemetry, served to Grafana."""


for _command in (
    *(run, serve, demo, doctor, docs),
    *(config, models, incidents, episodes, feedback, capacity),
    *(backtest, evaluate, backfill, grafana),
):
    cli.add_command(_command)


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
