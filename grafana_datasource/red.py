"""Rate, errors and duration of services and their operations, as of their last windows.

Requests add up, errors are shares of them, and durations of several parts are what `mixture` makes of their quantiles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.telemetry.episode import Episode
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.mixture import mixed_quantiles
from grafana_datasource.operations import DURATIONS, Asked, Operation, Part, operations

FRESH_FOR = 15 * MINUTE
"""A service that shows no span for longer than this has no rate, errors or duration of now."""

_SIGNALS = ("requests", "errors", *DURATIONS)
_ANSWERING = {"server", "consumer"}


def service_rows(
    session: Session,
    entries: Iterable[Entry],
    opened: Mapping[int, Episode],
    most: int,
    is_asked: Asked = lambda _: True,
) -> list[dict[str, Any]]:
    """Return one row per service with spans, the busiest first.

    What a service answers counts, or all it does where it answers nothing.
    """
    by_service: dict[str, list[Operation]] = {}
    for operation in operations(entries, is_asked):
        by_service.setdefault(operation.service, []).append(operation)
    answered = [[each for each in own if each.kind in _ANSWERING] or own for own in by_service.values()]
    values = _values(session, [[part for each in own for part in each.parts.values()] for own in answered])
    rows: list[dict[str, Any]] = [
        {"service": service, "operations": len(own), **signals, "anomalous": _anomalous(own, opened)}
        for (service, own), signals in zip(by_service.items(), values, strict=True)
    ]
    return sorted(rows, key=lambda row: (-(row["requests"] or 0.0), row["service"].lower()))[:most]


def operation_rows(
    session: Session, entries: Iterable[Entry], opened: Mapping[int, Episode], most: int, is_asked: Asked
) -> list[dict[str, Any]]:
    """Return one row per operation, the busiest first, with id, value and direction of anomaly of each signal."""
    found = operations(entries, is_asked)
    values = _values(session, [list(each.parts.values()) for each in found])
    pairs = sorted(
        zip(found, values, strict=True),
        key=lambda pair: (-(pair[1]["requests"] or 0.0), pair[0].name, pair[0].kind),
    )
    return [_operation_row(session, operation, own, opened) for operation, own in pairs[:most]]


def _operation_row(
    session: Session, operation: Operation, values: Mapping[str, float | None], opened: Mapping[int, Episode]
) -> dict[str, Any]:
    row: dict[str, Any] = {"service": operation.service, "operation": operation.name, "kind": operation.kind}
    for signal in _SIGNALS:
        series = _busiest_first(session, _followed(operation, signal))
        if not series and values[signal] is not None:
            series = _followed(operation, "requests")  # nothing failed so far
        if series:
            episodes = [opened[each.series].direction for each in series if each.series in opened]
            row[signal] = {"id": series[0].stable_id, "value": values[signal], "anomaly": next(iter(episodes), 0)}
    return row


def _anomalous(own: Sequence[Operation], opened: Mapping[int, Episode]) -> dict[str, int]:
    return {
        signal: sum(entry.series in opened for each in own for entry in _followed(each, signal)) for signal in _SIGNALS
    }


def _followed(operation: Operation, signal: str) -> list[Entry]:
    """Return the series that say how a signal does: errors of span metrics are the requests that failed."""
    parts = operation.parts.values()
    if signal == "errors":
        return [entry for part in parts if (entry := _errors_of(part)) is not None]
    kept = [part for part in parts if signal != "requests" or not part.has_failed] or list(parts)
    return [part.series[signal] for part in kept if signal in part.series]


def _errors_of(part: Part) -> Entry | None:
    return part.series.get("requests") if part.has_failed else part.series.get("errors")


def _busiest_first(session: Session, series: list[Entry]) -> list[Entry]:
    return sorted(series, key=lambda entry: -(_fresh(session, entry) or 0.0)) if len(series) > 1 else series


def _values(session: Session, groups: Sequence[Sequence[Part]]) -> list[dict[str, float | None]]:
    """Return requests, errors and durations of each group of parts, None where nothing fresh says it."""
    live = [_live(session, parts) for parts in groups]
    group = np.repeat(np.arange(len(live)), [len(parts) for parts in live])
    requests = [_fresh(session, part.series.get("requests")) for parts in live for part in parts]
    known = np.array([_durations(session, part) for parts in live for part in parts]).reshape(-1, len(DURATIONS))
    weight = np.array([math.nan if each is None else each for each in requests])
    quantiles = mixed_quantiles(len(live), group, weight, known)
    return [
        {"requests": _sum(session, parts), "errors": _share(session, parts)}
        | {name: None if math.isnan(value) else value for name, value in zip(DURATIONS, row, strict=True)}
        for parts, row in zip(live, quantiles.tolist(), strict=True)
    ]


def _live(session: Session, parts: Sequence[Part]) -> list[Part]:
    """Keep what counts now: where span metrics came, spans count no more, and their last windows would count twice."""
    fresh = [part for part in parts if any(_fresh(session, entry) is not None for entry in part.series.values())]
    return [part for part in fresh if part.is_measured] or fresh


def _durations(session: Session, part: Part) -> list[float]:
    values = [_fresh(session, part.series.get(name)) for name in DURATIONS]
    return [math.nan if value is None else value * part.scale for value in values]


def _sum(session: Session, parts: Sequence[Part]) -> float | None:
    found = [value for part in parts if (value := _fresh(session, part.series.get("requests"))) is not None]
    return sum(found) if found else None


def _share(session: Session, parts: Sequence[Part]) -> float | None:
    """Return the share of requests that failed, of those parts that say it."""
    failed = requests = 0.0
    for part in parts:
        share = float(part.has_failed) if part.has_failed is not None else _fresh(session, part.series.get("errors"))
        weight = _fresh(session, part.series.get("requests"))
        if share is not None and weight is not None:
            failed, requests = failed + share * weight, requests + weight
    return failed / requests if requests else None


def _fresh(session: Session, entry: Entry | None) -> float | None:
    if entry is None or session.outlook.last_time[entry.series] < session.now - FRESH_FOR:
        return None
    value = float(session.outlook.last_value[entry.series])
    return None if math.isnan(value) else value
