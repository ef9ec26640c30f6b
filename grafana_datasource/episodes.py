"""Describe episodes for people: rows for tables, regions for annotations."""

from dataclasses import asdict
from typing import Any

import numpy as np

from collector_processor.store.base import SeriesReader
from collector_processor.telemetry.episode import DRIFT, LEVEL_SHIFT, SILENCE, Drift, Episode, Shift
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.severity import severity
from collector_processor.telemetry.titles import title
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.exemplars import traces_of
from grafana_datasource.explanation import LOOK_BACK, EvidencePoint, Explanation, explain, summary
from grafana_datasource.query import TimeRange, to_ms


def episodes_between(session: Session, span: TimeRange, wanted: set[int] | None) -> list[tuple[Entry, Episode]]:
    """Return episodes that overlap `span`, of the `wanted` series or of all, ascending by start."""
    entries = session.outlook.directory.entries
    found = session.reader.episodes(span.start, span.end)
    session.budget.spend(len(found))
    return [
        (entries[episode.series], episode)
        for episode in sorted(found, key=lambda each: (each.start_unix_nano, each.episode_id))
        if episode.series in entries and (wanted is None or episode.series in wanted)
    ]


def episode_row(entry: Entry, episode: Episode, now: int) -> dict[str, Any]:
    """Return one row of the episode table; times in ms, `end` null while it is open."""
    return {
        "id": episode.episode_id,
        "series": entry.stable_id,
        "service": entry.key.service,
        "title": title(entry.key),
        "metric": entry.key.metric,
        "statistic": entry.key.statistic.value,
        "unit": entry.key.value_unit,
        "start": to_ms(episode.start_unix_nano),
        "end": None if episode.end_unix_nano is None else to_ms(episode.end_unix_nano),
        "direction": episode.direction,
        "peak_score": episode.peak_score,
        "actual": episode.actual,
        "yhat": episode.yhat,
        "lower": episode.lower,
        "upper": episode.upper,
        "close_reason": episode.close_reason,
        "kind": episode.kind,
        "reason": episode.reason,
        "severity": severity(entry.key, episode, now).value,
        "onsets": episode.onsets,
        "flapping": episode.is_flapping,
        "muted": episode.is_muted(now),
        "shift": None if episode.shift is None else _shift(episode.shift),
        "drift": None if episode.drift is None else _drift(episode.drift),
        "explanation": summary(entry.key, episode),
    }


def explained(reader: SeriesReader, key: SeriesKey, episode: Episode) -> Explanation:
    """Explain an episode by what is stored of its series."""
    since = episode.start_unix_nano - LOOK_BACK
    past = reader.read_judged(np.array([episode.series], np.int32), since, episode.last_unix_nano + 1)
    return explain(key, episode, past)


def explained_row(session: Session, entry: Entry, episode: Episode) -> dict[str, Any]:
    """Return one episode with all that explains it."""
    found = explained(session.reader, entry.key, episode)
    session.budget.spend(len(found.evidence))
    (traces,) = traces_of(session, [(entry, episode)])
    return episode_row(entry, episode, session.now) | {
        "explanation": found.sentence,
        "rarity": None if found.rarity is None else asdict(found.rarity),
        "evidence": [_evidence(point) for point in found.evidence],
        "onset": None if episode.onset is None else asdict(episode.onset),
        "traces": traces,
    }


def annotation(entry: Entry, episode: Episode, until: int, now: int) -> dict[str, Any]:
    """Return one Grafana annotation region in ms; an open episode lasts `until`."""
    end = max(until if episode.end_unix_nano is None else episode.end_unix_nano, episode.start_unix_nano)
    where, what = _headline(episode)
    tags = ["anomaly", where, severity(entry.key, episode, now).value, *_states(episode, now)]
    score = "" if episode.kind == SILENCE else f", score {episode.peak_score:.1f}"
    return {
        "id": episode.episode_id,
        "time": to_ms(episode.start_unix_nano),
        "timeEnd": to_ms(end),
        "title": f"{entry.key.service}: {title(entry.key)} {what}",
        "text": f"{summary(entry.key, episode)}{score}",
        "tags": ",".join(tags),
    }


def _headline(episode: Episode) -> tuple[str, str]:
    """Return in one word where a series is, and in a few what it did."""
    if episode.kind == SILENCE:
        return "silent", "went silent"
    where = "above" if episode.direction > 0 else "below"
    if episode.kind == DRIFT:
        return where, f"drifts {'up' if episode.direction > 0 else 'down'}"
    return where, f"settled {where} its band" if episode.kind == LEVEL_SHIFT else f"{where} its band"


def _states(episode: Episode, now: int) -> list[str]:
    found = {
        "open": episode.is_open,
        "flapping": episode.is_flapping,
        "muted": episode.is_muted(now),
        "level_shift": episode.shift is not None,
        "drift": episode.drift is not None,
    }
    return [name for name, holds in found.items() if holds]


def _shift(shift: Shift) -> dict[str, Any]:
    return {"before": shift.before, "after": shift.after, "adopted": to_ms(shift.adopted_unix_nano)}


def _drift(drift: Drift) -> dict[str, Any]:
    reaches = drift.reaches_unix_nano
    return {
        "per_day": drift.per_day,
        "since": to_ms(drift.since_unix_nano),
        "reaches_bound": None if reaches is None else to_ms(reaches),
    }


def _evidence(point: EvidencePoint) -> dict[str, Any]:
    columns = asdict(point)
    return {"time": to_ms(columns.pop("time_unix_nano")), **columns}
