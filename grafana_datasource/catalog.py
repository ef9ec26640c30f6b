"""Describe series for a person who chooses one: what it is, how it does, why it is not active."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collector_processor.telemetry.band import REASON_TEXT, Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.verdict import State
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.query import to_ms
from grafana_datasource.titles import detail, title, unit

_ENOUGH = 100  # points before a share of them means something

STATES = (State.WARMING, State.ACTIVE, State.DEGRADED)
"""State by its number in the band states."""


def catalog_page(
    session: Session, entries: Sequence[Entry], opened: Mapping[int, Episode], search: str, most: int
) -> dict[str, Any]:
    """Return counts of all `entries` that have points and rows of those that match every word of `search`.

    Series with an open episode come first, then by service and title; at most `most` rows.
    """
    entries = [entry for entry in entries if session.outlook.last_time[entry.series]]
    words = search.lower().split()
    found = [entry for entry in entries if all(word in _text(entry) for word in words)]
    found.sort(key=lambda entry: (entry.series not in opened, entry.key.service, title(entry.key), detail(entry.key)))
    states = session.outlook.bands["state"][[entry.series for entry in entries]] if entries else np.zeros(0, np.uint8)
    return {
        "now": to_ms(session.now),
        "total": len(entries),
        "matched": len(found),
        "anomalous": sum(entry.series in opened for entry in entries),
        "states": {state.value: int((states == i).sum()) for i, state in enumerate(STATES)},
        "series": [catalog_row(session, entry, opened) for entry in found[:most]],
    }


def catalog_row(session: Session, entry: Entry, opened: Mapping[int, Episode]) -> dict[str, Any]:
    """Return what a person is told about one series."""
    outlook, key = session.outlook, entry.key
    band = outlook.bands[entry.series]
    model, episode = outlook.models.get(entry.series), opened.get(entry.series)
    last = int(outlook.last_time[entry.series])
    return {
        "id": entry.stable_id,
        "title": title(key),
        "detail": detail(key),
        "service": key.service,
        "metric": key.metric,
        "statistic": key.statistic.value,
        "unit": unit(key),
        "state": STATES[min(int(band["state"]), 2)].value,
        "reason": REASON_TEXT[Reason(int(band["reason"]))],
        "forecaster": model.forecaster if model else None,
        "forecaster_reason": model.reason if model else None,
        "model_created": to_ms(model.created_unix_nano) if model else None,
        "last_value": float(outlook.last_value[entry.series]),
        "last_time": to_ms(last) if last else None,
        "anomaly": episode.direction if episode else 0,
        "anomaly_since": to_ms(episode.start_unix_nano) if episode else None,
        "coverage": _coverage(band),
    }


def _coverage(band: Any) -> float | None:
    """Return the measured share of scored points inside the calibrated 95 % band."""
    scored = int(band["scored"])
    return int(band["inside"][1]) / scored if scored >= _ENOUGH else None


def _text(entry: Entry) -> str:
    key = entry.key
    return f"{key.service} {key.metric} {title(key)} {detail(key)} {key.statistic.value} {entry.stable_id}".lower()
