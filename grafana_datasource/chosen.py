"""Which series a request for rows is about, and what identifies them in every row."""

from collections.abc import Sequence

from werkzeug.exceptions import NotFound

from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.series import Statistic
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.query import Params, choice, full_match, stable_id, stable_ids

_FIELDS = {"service": "service_name", "metric": "metric", "statistic": "statistic"}
"""Parameters that narrow, and the label of every series that each is about."""

_ALL_SERVICES = ".*"
"""What a dashboard's variable says where all services are chosen."""


def is_narrowed(params: Params) -> bool:
    """Whether a request names series at all."""
    return any(params.get(name) for name in ("series", *_FIELDS)) or service_pattern(params) != _ALL_SERVICES


def chosen(params: Params, session: Session) -> list[Entry]:
    """Return the modelled series that `series`, `service`, `metric` and `statistic` name; absent means all.

    Of those, where there is a `service_pattern`, the ones of services whose whole names match it.

    Raises:
        InvalidQueryError: if an id or a pattern is none, or there is no such statistic.
    """
    entries, pattern = _named(params, session), service_pattern(params)
    if pattern == _ALL_SERVICES:
        return entries
    matches = full_match(pattern)
    services = {name for name in session.outlook.directory.texts.get("service_name", {}) if matches(name)}
    return [entry for entry in entries if entry.own["service_name"] in services]


def service_pattern(params: Params) -> str:
    """Return which services are asked for, as a regular expression of their whole names."""
    return params.get("service_pattern") or _ALL_SERVICES


def _named(params: Params, session: Session) -> list[Entry]:
    directory = session.outlook.directory
    if params.get("statistic"):
        choice(params, "statistic", [each.value for each in Statistic], "")
    wanted = {label: params[name] for name, label in _FIELDS.items() if params.get(name)}
    named = stable_ids(params, session.limits)
    if named:
        found: Sequence[Entry] = [directory.by_stable_id[i] for i in named if i in directory.by_stable_id]
    elif wanted:
        found = min((directory.texts.get(label, {}).get(text, ()) for label, text in wanted.items()), key=len)
    else:
        return list(directory.modelled)
    return [
        entry
        for entry in found
        if entry.key.statistic.is_modelled and all(entry.own[label] == text for label, text in wanted.items())
    ]


def chosen_one(session: Session, text: str) -> Entry:
    """Return the series of that stable id.

    Raises:
        NotFound: if there is none.
    """
    entry = session.outlook.directory.by_stable_id.get(stable_id(text))
    if entry is None:
        raise NotFound(f"no series {text}")
    return entry


def identity(entry: Entry) -> dict[str, str]:
    """Return what says in every row which series it is of."""
    key = entry.key
    return {
        "series": entry.stable_id,
        "service": key.service,
        "metric": key.metric,
        "statistic": key.statistic.value,
    }


def open_episodes(session: Session) -> dict[int, Episode]:
    """Return the open episode of each series that has one."""
    return {episode.series: episode for episode in session.reader.open_episodes()}
