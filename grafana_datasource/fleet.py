"""The whole fleet at a glance: series by state, what is worst now, and when each service had what."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.points import Int64
from collector_processor.telemetry.severity import Severity, severity
from grafana_datasource.backend import Session
from grafana_datasource.catalog import STATES
from grafana_datasource.directory import Entry
from grafana_datasource.episodes import episode_row, episodes_between
from grafana_datasource.naming import Names
from grafana_datasource.query import TimeRange, to_ms

_LEVELS = {each: level for level, each in enumerate(Severity, 1)}
_WORST = 8


def fleet(session: Session, names: Names, span: TimeRange, cells: int, most: int) -> dict[str, Any]:
    """Return counts, the worst open episodes, and `most` services with `cells` of equal length over `span`.

    A cell says how urgent the most urgent episode in it is: 0 none, 1 info, 2 warning, 3 critical. Services with the
    most urgent open episode come first, then those that had the most.
    """
    told = episodes_between(session, span, None)
    levels = {episode.episode_id: _LEVELS[severity(entry.key, episode, session.now)] for entry, episode in told}
    opened = [(entry, episode) for entry, episode in told if episode.is_open]
    opened.sort(key=lambda each: (-levels[each[1].episode_id], -abs(np.nan_to_num(each[1].peak_score))))
    known = np.flatnonzero(names.is_modelled & (session.outlook.last_time > 0))
    rows = _services(session, names, known, _Activity(session, names, span, cells, told, levels))
    return {
        "now": to_ms(session.now),
        "from": to_ms(span.start),
        "to": to_ms(span.end),
        "series": known.size,
        "states": _states(session, known),
        "silent": int((session.outlook.bands["reason"][known] == Reason.SILENT).sum()),
        "open": {each.value: sum(levels[e.episode_id] == level for _, e in opened) for each, level in _LEVELS.items()},
        "episodes": len(told),
        "worst": [episode_row(entry, episode, session.now) for entry, episode in opened[:_WORST]],
        "services_in_all": len(rows),
        "services": rows[:most],
    }


class _Activity:
    """Episodes by service: cells `(services, cells)` of the highest level, and the highest level open now."""

    def __init__(
        self,
        session: Session,
        names: Names,
        span: TimeRange,
        cells: int,
        told: Sequence[tuple[Entry, Episode]],
        levels: Mapping[str, int],
    ) -> None:
        size = len(names.services)
        self.cells = np.zeros((size, cells), np.int64)
        self.open = np.zeros(size, np.int64)
        self.open_level = np.zeros(size, np.int64)
        length = -(-(span.end - span.start) // cells)
        for entry, episode in told:
            service, level = names.services[entry.key.service], levels[episode.episode_id]
            end = session.now if episode.end_unix_nano is None else episode.end_unix_nano
            first = max(0, (episode.start_unix_nano - span.start) // length)
            stretch = self.cells[service, first : max(first, min(end - 1, span.end - 1) - span.start) // length + 1]
            np.maximum(stretch, level, out=stretch)
            if episode.is_open:
                self.open[service] += 1
                self.open_level[service] = max(level, self.open_level[service])


def _services(session: Session, names: Names, known: Int64, activity: _Activity) -> list[dict[str, Any]]:
    of, size = names.service[known], len(names.services)
    state = session.outlook.bands["state"][known]
    counts = [np.bincount(of[state == i], minlength=size) for i in range(len(STATES))]
    total = np.bincount(of, minlength=size)
    rows = [
        {
            "service": name,
            "series": int(total[i]),
            **{each.value: int(count[i]) for each, count in zip(STATES, counts, strict=True)},
            "open": int(activity.open[i]),
            "level": int(activity.open_level[i]),
            "cells": activity.cells[i].tolist(),
        }
        for name, i in names.services.items()
        if total[i]
    ]
    return sorted(rows, key=lambda row: (-row["level"], -row["open"], -sum(row["cells"]), row["service"].lower()))


def _states(session: Session, known: Int64) -> dict[str, int]:
    state = session.outlook.bands["state"][known]
    return {each.value: int((state == i).sum()) for i, each in enumerate(STATES)}
