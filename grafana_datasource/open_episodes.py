"""Which episodes are open, as figures of now: what an alert rule on silence asks, since silence has no points."""

from collections.abc import Sequence

from collector_processor.telemetry.severity import Severity, severity
from grafana_datasource.backend import Session
from grafana_datasource.figures import Figure, Figures
from grafana_datasource.matching import Matcher

HELP = {
    "foreband_episode": "1 while an episode is open and not muted, by kind: deviation, level_shift, drift, silence.",
    "foreband_episode_severity": "How urgent such an episode is by now: 1 info, 2 warning, 3 critical.",
}

_LEVELS = {each: float(level) for level, each in enumerate(Severity, 1)}


def episode_figures() -> Figures:
    """Return where these figures come from."""
    return Figures(HELP, _read)


def _read(session: Session, _matchers: Sequence[Matcher]) -> list[Figure]:
    """Return one of each per open episode; severity is a number, since a label that changes is another alert."""
    figures = []
    for episode in session.reader.open_episodes():
        entry = session.outlook.directory.entries.get(episode.series)
        if entry is None or episode.is_muted(session.now):
            continue
        labels = {**entry.own, "kind": episode.kind}
        level = _LEVELS[severity(entry.key, episode, session.now)]
        figures += [Figure("foreband_episode", labels, 1.0), Figure("foreband_episode_severity", labels, level)]
    return figures
