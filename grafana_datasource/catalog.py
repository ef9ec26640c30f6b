"""Describe series for a person who chooses one: what it is, how it does, why it is not active."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector_processor.telemetry.band import REASON_TEXT, Reason
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.severity import severity
from collector_processor.telemetry.titles import detail, title
from collector_processor.telemetry.verdict import State
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.naming import Names
from grafana_datasource.query import Params, choice, optional, to_ms, whole

_ENOUGH = 100  # points before a share of them means something
_LONGEST_SEARCH = 256
_LAST_OFFSET = 10_000_000

STATES = (State.WARMING, State.ACTIVE, State.DEGRADED)
"""State by its number in the band states."""

_ANOMALOUS, _SILENT = "anomalous", "silent"
_ORDERS = ("urgency", "name", "newest")


@dataclass(frozen=True, slots=True)
class Wish:
    """Which series are wanted, in which order, and which stretch of them.

    `state` is a State, `anomalous` (an episode is open), `silent`, or empty for all of them. By `urgency` the furthest
    outside its band comes first, then come degraded ones; all orders end with the name.
    """

    search: str = ""
    state: str = ""
    order: str = "urgency"
    offset: int = 0
    most: int = 1000

    @classmethod
    def of(cls, params: Params, most: int) -> "Wish":
        """Read what a request says.

        Raises:
            InvalidQueryError: if something is unknown.
        """
        states = [state.value for state in STATES]
        state = choice(params, "state", ("all", _ANOMALOUS, _SILENT, *states), "all")
        offset = optional(params, "offset", lambda name, text: whole(name, text, 0, _LAST_OFFSET), 0)
        search = params.get("search", "")[:_LONGEST_SEARCH]
        return cls(search, "" if state == "all" else state, choice(params, "sort", _ORDERS, "urgency"), offset, most)


def catalog_page(
    session: Session, names: Names, series: Int64, opened: Mapping[int, Episode], wish: Wish
) -> dict[str, Any]:
    """Return counts of all those of `series` that have points, and rows of those that are wished for."""
    outlook = session.outlook
    known = series[outlook.last_time[series] > 0]
    urgency = np.zeros(outlook.last_time.size)
    for each, episode in opened.items():
        urgency[each] = 1.0 + np.nan_to_num(abs(episode.peak_score))
    state = outlook.bands["state"][known]
    found = names.matching(known[_has_state(session, known, urgency[known], wish.state)], wish.search)
    found = found[np.lexsort(_sort_keys(session, names, found, urgency, wish.order))]
    entries = outlook.directory.entries
    return {
        "now": to_ms(session.now),
        "total": known.size,
        "matched": found.size,
        "anomalous": int((urgency[known] > 0).sum()),
        "states": {each.value: int((state == i).sum()) for i, each in enumerate(STATES)},
        "series": [
            catalog_row(session, entries[each], opened)
            for each in found[wish.offset : wish.offset + wish.most].tolist()
        ],
    }


def catalog_row(session: Session, entry: Entry, opened: Mapping[int, Episode]) -> dict[str, Any]:
    """Return what a person is told about one series."""
    outlook, key = session.outlook, entry.key
    band = outlook.bands[entry.series]
    model, episode = _newest_model(session, entry.series), opened.get(entry.series)
    last = int(outlook.last_time[entry.series])
    return {
        "id": entry.stable_id,
        "title": title(key),
        "detail": detail(key),
        "service": key.service,
        "metric": key.metric,
        "statistic": key.statistic.value,
        "unit": key.value_unit,
        "state": STATES[min(int(band["state"]), 2)].value,
        "reason": REASON_TEXT[Reason(int(band["reason"]))],
        "forecaster": model.forecaster if model else None,
        "forecaster_reason": model.reason if model else None,
        "model_created": to_ms(model.created_unix_nano) if model else None,
        "last_value": float(outlook.last_value[entry.series]),
        "last_time": to_ms(last) if last else None,
        "anomaly": episode.direction if episode else 0,
        "anomaly_since": to_ms(episode.start_unix_nano) if episode else None,
        "episode": episode.episode_id if episode else None,
        "kind": episode.kind if episode else None,
        "severity": severity(key, episode, session.now).value if episode else None,
        "peak_score": episode.peak_score if episode else None,
        "coverage": _coverage(band),
    }


def _newest_model(session: Session, series: int) -> ModelRecord | None:
    (version,) = session.outlook.fleet.versions(np.array([series], np.int32)).tolist()
    return session.reader.model(series, version) if version else None


def _has_state(session: Session, series: Int64, urgency: Float64, wanted: str) -> Bool:
    """Tell which series are in the wanted state; any will do where none is named."""
    bands = session.outlook.bands[series]
    if not wanted:
        return np.ones(series.size, np.bool_)
    if wanted == _ANOMALOUS:
        return np.asarray(urgency > 0)
    if wanted == _SILENT:
        return np.asarray(bands["reason"] == Reason.SILENT)
    return np.asarray(bands["state"] == STATES.index(State(wanted)))


def _sort_keys(
    session: Session, names: Names, series: Int64, urgency: Float64, order: str
) -> tuple[Float64 | Int64 | Bool, ...]:
    """Return columns to sort by, the last one first."""
    place = names.place[series]
    if order == "name":
        return (place,)
    if order == "newest":
        return (place, -session.outlook.last_time[series])
    is_well = session.outlook.bands["state"][series] != STATES.index(State.DEGRADED)
    return (place, is_well, -urgency[series])


def _coverage(band: Any) -> float | None:
    """Return the measured share of scored points inside the calibrated 95 % band."""
    scored = int(band["scored"])
    return int(band["inside"][1]) / scored if scored >= _ENOUGH else None
