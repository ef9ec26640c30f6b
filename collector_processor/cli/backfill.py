"""Bring the past of another store."""

from pathlib import Path
from typing import Any

import click


@click.group()
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
