"""The options that say which configuration a command works with."""

from collections.abc import Callable
from pathlib import Path

import click

from collector_processor.config import Config, load_config

_CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="FOREBAND_CONFIG",
    help="YAML file; every field optional.",
)
_SET = click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting.")


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what `load` takes: `--config` as `path`, `--set` as `overrides`."""
    return _CONFIG(_SET(command))


def load(path: Path | None, overrides: tuple[str, ...]) -> Config:
    """Return the configuration of a command line."""
    return load_config(path, overrides=overrides)
