"""Look at the episodes of a store."""

from pathlib import Path

import click

from collector_processor.cli.options import configured, load
from collector_processor.clock import HOUR, SystemClock


@click.group()
def episodes() -> None:
    """Look at the episodes of a store, and why they are some."""


@episodes.command("list")
@click.option("--hours", default=168.0, show_default=True, type=click.FloatRange(0.0), help="How far back.")
@configured
def list_episodes(hours: float, path: Path | None, overrides: tuple[str, ...]) -> None:
    """List the episodes of the last days, the newest last."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.episodes import stored_episodes, table_of

    now = SystemClock().now_unix_nano()
    found = stored_episodes(config.store.directory, now - round(hours * HOUR), now + 1)
    Console(highlight=False).print(table_of(found, now))


@episodes.command("show")
@click.argument("episode")
@configured
def show_episode(episode: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Explain one EPISODE, given by the id that `list` shows."""
    config = load(path, overrides)
    from rich.console import Console

    from collector_processor.inspection.episodes import description_of, find_episode

    found, explanation = find_episode(config.store.directory, episode)
    Console(highlight=False).print(description_of(found, explanation, SystemClock().now_unix_nano()))
