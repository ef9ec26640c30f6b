"""Check what Foreband needs."""

import sys
from pathlib import Path

import click

from collector_processor.cli.options import configured, load


@click.command()
@configured
def doctor(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Check what Foreband needs: ports, directory, libraries, downstream."""
    from rich.console import Console

    from collector_processor.doctor import Health, examine

    colours = {Health.OK: "green", Health.WARNING: "yellow", Health.PROBLEM: "red"}
    console = Console(highlight=False, soft_wrap=True)
    worst = Health.OK
    for finding in examine(load(path, overrides)):
        console.print(f"[{colours[finding.health]}]{finding.health:8}[/] {finding.subject:12} {finding.text}")
        if finding.advice:
            console.print(f"{'':21} [dim]{finding.advice}[/]")
        worst = Health.PROBLEM if Health.PROBLEM in {worst, finding.health} else worst
    sys.exit(1 if worst is Health.PROBLEM else 0)
