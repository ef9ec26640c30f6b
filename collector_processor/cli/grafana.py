"""Set up a Grafana."""

from dataclasses import replace
from pathlib import Path

import click


@click.group()
def grafana() -> None:
    """Set up a Grafana for a running Foreband."""


@grafana.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files below this directory.")
@click.option("--url", help="Of a running Grafana: bring everything there over its HTTP API.")
@click.option("--token", envvar="GRAFANA_TOKEN", help="Of a service account of that Grafana.")
@click.option("--foreband", default="http://127.0.0.1:8080", show_default=True, help="Foreband as Grafana reaches it.")
@click.option("--page", default="", show_default="the same", help="Foreband as browsers reach it.")
@click.option(
    "--foreband-token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Token of scope read that Grafana sends; files take it from Grafana's environment, as FOREBAND_TOKEN.",
)
@click.option("--traces", default="", help="Where a trace is shown: tempo:UID, jaeger:UID, or https://.../{trace}.")
@click.option("--simpod", is_flag=True, help="Add a data source for simPod's JSON plugin, too.")
def provision(
    out: Path | None,
    url: str | None,
    token: str | None,
    foreband: str,
    page: str,
    foreband_token_file: Path | None,
    traces: str,
    simpod: bool,
) -> None:
    """Bring data sources, dashboards and alert rules: as files, or into a running Grafana, as often as you like."""
    from grafana_datasource.provisioning import Grafana, Site, bring, write_provisioning

    site = Site(foreband, page, traces=traces, has_simpod=simpod)
    if out is not None and url is None:
        told = [f"wrote {path}" for path in write_provisioning(out, site)]
    elif url is not None and out is None and token:
        sent = foreband_token_file.read_text(encoding="utf-8").strip() if foreband_token_file else ""
        told = bring(Grafana(url, token), replace(site, token=sent))
    else:
        raise click.UsageError("give either --out, or --url with --token (or GRAFANA_TOKEN in the environment)")
    click.echo("\n".join(told))
