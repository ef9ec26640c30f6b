"""Start it: for real, to read only, or to show."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import click

from collector_processor.cli.options import configured, load


@click.command()
@configured
def run(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Receive OTLP, judge, forward, and serve Grafana, until stopped; SIGHUP reads the configuration again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it waits until somebody waits for it, and ends nothing
    config = load(path, overrides)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core writes lines of its own beside the log
    from collector_processor.running import run_until_stopped

    run_until_stopped(config, partial(load, path, overrides))


@click.command()
@configured
def serve(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Serve only the Grafana side of a store that another process writes."""
    config = load(path, overrides)
    from collector_processor.running import serve_until_stopped

    serve_until_stopped(config)


@click.command()
@click.option("--check", is_flag=True, help="Exit 0 as soon as the injected fault was flagged, 1 if it was not.")
@click.option("--days", default=14.0, show_default=True, help="Days of simulated past of the shop.")
@click.option("--directory", type=click.Path(path_type=Path), help="Keep the data here (default: a temporary place).")
def demo(check: bool, days: float, directory: Path | None) -> None:
    """Show it: this machine and a traced demo shop, with bands, a fault and its flag."""
    from collector_processor.demo import run_demo

    sys.exit(run_demo(is_check=check, days=days, directory=directory))
