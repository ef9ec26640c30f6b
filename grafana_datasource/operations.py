"""The operations of services, each with the series that follow it: of spans counted here, or of span metrics.

A Collector's `spanmetrics` connector and Tempo make a series per status, and per instance of a service: an operation
has a part for each. Spans counted here are one part, which has its own share of errors.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from collector_processor.telemetry.series import Kind, SeriesKey, Statistic, attribute_text
from collector_processor.telemetry.span_metrics import RedRole, red_of
from grafana_datasource.directory import Entry

DURATIONS = ("p50", "p95", "p99")

_SIGNALS = {
    Statistic.RATE: "requests",
    Statistic.ERROR_RATIO: "errors",
    Statistic.P50: "p50",
    Statistic.P95: "p95",
    Statistic.P99: "p99",
}


@dataclass(slots=True)
class Part:
    """Series of one operation by signal. `has_failed` says it of all its requests, None where `errors` says how many.

    Durations times `scale` are seconds.
    """

    has_failed: bool | None = None
    is_measured: bool = False
    scale: float = 1.0
    series: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Operation:
    """One span name and kind of a service, and its parts by what tells them apart."""

    service: str
    name: str
    kind: str
    parts: dict[object, Part] = field(default_factory=dict)


Asked = Callable[[str], bool]
_Found = dict[tuple[str, str, str], Operation]


def operations(entries: Iterable[Entry], is_asked: Asked = lambda _: True) -> list[Operation]:
    """Group series by service, name and kind; those of services that are asked for."""
    found: _Found = {}
    for entry in entries:
        signal = _SIGNALS.get(entry.key.statistic)
        if signal is None:
            continue
        if entry.key.kind is Kind.SPAN:
            _add_counted(found, entry, signal, is_asked)
        else:
            _add_measured(found, entry, signal, is_asked)
    return list(found.values())


def _add_counted(found: _Found, entry: Entry, signal: str, is_asked: Asked) -> None:
    if not is_asked(entry.key.service):
        return
    said = dict(entry.key.attributes)
    name, kind = attribute_text(said.get("span.name", "")), attribute_text(said.get("span.kind", ""))
    which = entry.key.service, name, kind
    part = found.setdefault(which, Operation(*which)).parts.setdefault(entry.key.resource, Part())
    part.series[signal] = entry


def _add_measured(found: _Found, entry: Entry, signal: str, is_asked: Asked) -> None:
    red = red_of(entry.key)
    if red is None or (signal == "requests") != (red.role is RedRole.CALLS) or not is_asked(red.service.name):
        return
    which = red.service.name, red.span_name or "", red.span_kind or ""
    parts = found.setdefault(which, Operation(*which)).parts
    part = parts.setdefault((entry.key.resource, entry.key.attributes), Part(red.is_error, is_measured=True))
    part.series[signal] = entry
    if signal in DURATIONS:
        part.scale = _scale(entry.key)


def _scale(key: SeriesKey) -> float:
    return 0.001 if key.unit == "ms" or "milliseconds" in key.metric else 1.0
