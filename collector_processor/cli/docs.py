"""Print the documentation of the API."""

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead.")
def docs(out: Path | None) -> None:
    """Print the OpenAPI document of the HTTP API, as it is served at /api/v1/openapi.json."""
    import orjson

    from collector_processor.store.sqlite import open_reader
    from grafana_datasource.app import Settings, create_app
    from grafana_datasource.openapi.document import document

    app = create_app(Settings(lambda: open_reader(Path())))  # nothing is read before somebody asks
    text = orjson.dumps(document(app), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
