"""The episodes a store holds, for people: `foreband episodes`."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from collector_processor.errors import ForebandError
from collector_processor.inspection.wording import lasted, moment
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.severity import severity
from collector_processor.telemetry.titles import full_title
from grafana_datasource.episodes import explained
from grafana_datasource.explanation import Explanation, summary


class UnknownEpisodeError(ForebandError):
    """No episode has this id, or none any more."""


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """An episode and the series it is of."""

    key: SeriesKey
    episode: Episode


def stored_episodes(directory: Path, start: int, end: int) -> list[StoredEpisode]:
    """Return the episodes that overlap `[start, end)`, ascending by start.

    Raises:
        StoreError: if the store can't be read.
    """
    with closing(open_reader(directory)) as reader:
        keys = dict(reader.catalog())
        return [StoredEpisode(keys[episode.series], episode) for episode in reader.episodes(start, end)]


def find_episode(directory: Path, episode_id: str) -> tuple[StoredEpisode, Explanation]:
    """Return one episode and why it is one.

    Raises:
        StoreError: if the store can't be read.
        UnknownEpisodeError: if there is no such episode.
    """
    with closing(open_reader(directory)) as reader:
        episode = reader.episode(episode_id)
        if episode is None:
            raise UnknownEpisodeError(f"no episode {episode_id!r}; `foreband episodes list` shows those that are kept")
        ((_, key), *_) = reader.catalog(from_series=episode.series)
        return StoredEpisode(key, episode), explained(reader, key, episode)


def table_of(found: list[StoredEpisode], now: int) -> Table:
    """Lay out episodes for people, one a row, the newest last."""
    table = Table("id", "from", "lasted", "score", "severity", "series", "what", box=None, header_style="bold")
    for each in found:
        episode = each.episode
        urgency = severity(each.key, episode, now).value
        row = (moment(episode.start_unix_nano), lasted(episode, now), f"{episode.peak_score:.1f}", urgency)
        table.add_row(episode.episode_id, *row, escape(full_title(each.key)), escape(summary(each.key, episode)))
    return table


def description_of(found: StoredEpisode, explanation: Explanation, now: int) -> Table:
    """Lay out one episode and all that explains it."""
    episode, onset = found.episode, found.episode.onset
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("", escape(explanation.sentence))
    table.add_row("from", f"{moment(episode.start_unix_nano)}, {lasted(episode, now)} {episode.close_reason}".rstrip())
    table.add_row("severity", severity(found.key, episode, now).value)
    table.add_row("onsets", f"{episode.onsets}{', flapping' if episode.is_flapping else ''}")
    table.add_row("at its peak", f"{episode.actual:.4g}, score {episode.peak_score:.2f}")
    table.add_row("expected", f"{episode.yhat:.4g}, band {episode.lower:.4g} to {episode.upper:.4g}")
    if onset is not None:
        for name, value in onset.forecasts.items():
            usual = f", usually within {onset.tolerance[name]:.4g}" if name in onset.tolerance else ""
            table.add_row(f"forecast: {name}", f"{value:.4g}{usual}")
        for name, value in onset.parts.items():
            table.add_row(f"part: {name}", f"{value:.4g}")
        table.add_row("model", f"version {onset.model_version}")
    for point in explanation.evidence:
        text = f"{point.value:.4g}, band {point.lower:.4g} to {point.upper:.4g}, score {point.score:.2f}"
        table.add_row(moment(point.time_unix_nano), text)
    return table
