"""Rate, errors and duration of services and their operations, as of their last windows, from the series of spans."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collector_processor.clock import MINUTE
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.series import Kind, Statistic
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.series_names import attribute_text

FRESH_FOR = 15 * MINUTE
"""A service that shows no span for longer than this has no rate, errors or duration of now."""

_SIGNALS = {
    Statistic.RATE: "requests",
    Statistic.ERROR_RATIO: "errors",
    Statistic.P50: "p50",
    Statistic.P95: "p95",
    Statistic.P99: "p99",
}
_ANSWERING = {"server", "consumer"}


@dataclass(slots=True)
class Operation:
    """One span name and kind of a service: its series by signal."""

    service: str
    name: str
    kind: str
    series: dict[str, Entry] = field(default_factory=dict)


def operations(entries: Iterable[Entry]) -> list[Operation]:
    """Group the series of spans by service, name and kind."""
    found: dict[tuple[str, str, str], Operation] = {}
    for entry in entries:
        key = entry.key
        if key.kind is not Kind.SPAN or key.statistic not in _SIGNALS:
            continue
        said = dict(key.attributes)
        which = key.service, attribute_text(said.get("span.name", "")), attribute_text(said.get("span.kind", ""))
        found.setdefault(which, Operation(*which)).series[_SIGNALS[key.statistic]] = entry
    return list(found.values())


def service_rows(
    session: Session, entries: Iterable[Entry], opened: Mapping[int, Episode], most: int
) -> list[dict[str, Any]]:
    """Return one row per service with spans, the busiest first.

    What a service answers counts, or all it does where it answers nothing. Errors and durations are means over its
    operations, weighted by their requests: a mean of quantiles says which way durations go, and is no quantile itself.
    """
    by_service: dict[str, list[Operation]] = {}
    for operation in operations(entries):
        by_service.setdefault(operation.service, []).append(operation)
    rows = [_service_row(session, service, own, opened) for service, own in by_service.items()]
    return sorted(rows, key=lambda row: (-(row["requests"] or 0.0), row["service"].lower()))[:most]


def operation_rows(
    session: Session, entries: Iterable[Entry], opened: Mapping[int, Episode], most: int
) -> list[dict[str, Any]]:
    """Return one row per operation, the busiest first, with id, value and direction of anomaly of each signal."""
    rows = [
        {
            "service": operation.service,
            "operation": operation.name,
            "kind": operation.kind,
            **{signal: _signal(session, entry, opened) for signal, entry in operation.series.items()},
        }
        for operation in operations(entries)
    ]
    return sorted(rows, key=lambda row: (-_requests_of(row), row["operation"], row["kind"]))[:most]


def _service_row(session: Session, service: str, own: list[Operation], opened: Mapping[int, Episode]) -> dict[str, Any]:
    counted = [each for each in own if each.kind in _ANSWERING] or own
    weights = [_fresh(session, each.series.get("requests")) or 0.0 for each in counted]
    has_any = any(_fresh(session, each.series.get("requests")) is not None for each in counted)
    return {
        "service": service,
        "operations": len(own),
        "requests": sum(weights) if has_any else None,
        **{signal: _weighted(session, counted, weights, signal) for signal in ("errors", "p50", "p95", "p99")},
        "anomalous": {
            signal: sum(each.series[signal].series in opened for each in own if signal in each.series)
            for signal in _SIGNALS.values()
        },
    }


def _weighted(session: Session, counted: list[Operation], weights: list[float], signal: str) -> float | None:
    pairs = [
        (value, weight)
        for each, weight in zip(counted, weights, strict=True)
        if (value := _fresh(session, each.series.get(signal))) is not None
    ]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _signal(session: Session, entry: Entry, opened: Mapping[int, Episode]) -> dict[str, Any]:
    episode = opened.get(entry.series)
    return {
        "id": entry.stable_id,
        "value": _fresh(session, entry),
        "anomaly": episode.direction if episode else 0,
    }


def _fresh(session: Session, entry: Entry | None) -> float | None:
    if entry is None or session.outlook.last_time[entry.series] < session.now - FRESH_FOR:
        return None
    value = float(session.outlook.last_value[entry.series])
    return None if math.isnan(value) else value


def _requests_of(row: dict[str, Any]) -> float:
    return (row.get("requests") or {}).get("value") or 0.0
