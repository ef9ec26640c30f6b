"""From a series to the traces behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.series import Statistic
from grafana_datasource.backend import Session
from grafana_datasource.directory import Directory, Entry
from grafana_datasource.discovery import meant
from grafana_datasource.promql.numerals import sample_text
from grafana_datasource.promql.syntax import Expression, Selector
from grafana_datasource.query import MILLISECOND

TRACES_PER_EPISODE = 5

_BEFORE_EPISODE = 5 * 60_000 * MILLISECOND  # a measurement is older than the point it came with


def exemplar_data(expression: Expression, start: int, end: int, session: Session) -> list[dict[str, Any]]:
    """Return the exemplars in `[start, end)` of all series an expression speaks of, in Prometheus' form."""
    directory = session.outlook.directory
    groups = meant(directory, [selector.matchers for selector in _selectors(expression)])
    of: dict[int, list[TraceLink]] = {}
    for link in session.reader.exemplars(start, end):
        of.setdefault(link.series, []).append(link)
    session.budget.spend(sum(map(len, of.values())))
    if not of:
        return []
    answers = []
    for group in groups:
        for entry in group.entries:
            links = [link for primary in family(directory, entry) for link in of.get(primary, ())]
            if links:
                answers.append({"seriesLabels": group.labels(entry), "exemplars": [_exemplar(link) for link in links]})
    return answers


def traces_of(session: Session, found: Sequence[tuple[Entry, Episode]]) -> list[list[str]]:
    """Return for each episode the newest traces of its series' data points while it lasted."""
    if not found:
        return []
    spans = [
        (episode.start_unix_nano - _BEFORE_EPISODE, session.now if episode.is_open else episode.end_unix_nano or 0)
        for _, episode in found
    ]
    links = session.reader.exemplars(min(start for start, _ in spans), max(end for _, end in spans) + 1)
    session.budget.spend(len(links))
    of: dict[int, list[TraceLink]] = {}
    for link in reversed(links):
        of.setdefault(link.series, []).append(link)
    traces = []
    for (entry, _), (start, end) in zip(found, spans, strict=True):
        ours = (link for series in family(session.outlook.directory, entry) for link in of.get(series, ()))
        newest = dict.fromkeys(link.trace_id.hex() for link in ours if start <= link.time_unix_nano <= end)
        traces.append(list(newest)[:TRACES_PER_EPISODE])
    return traces


def family(directory: Directory, entry: Entry) -> Sequence[int]:
    """Return the series that come from the same data points as this one, itself among them."""
    siblings = (
        directory.by_stable_id.get(replace(entry.key, statistic=statistic).stable_id) for statistic in Statistic
    )
    return [sibling.series for sibling in siblings if sibling is not None]


def _selectors(expression: Any) -> Iterator[Selector]:
    if isinstance(expression, Selector):
        yield expression
    elif isinstance(expression, tuple):
        for part in expression:
            yield from _selectors(part)
    elif is_dataclass(expression):
        for part in fields(expression):
            yield from _selectors(getattr(expression, part.name))


def _exemplar(link: TraceLink) -> dict[str, Any]:
    labels = {"trace_id": link.trace_id.hex()}
    if link.span_id:
        labels["span_id"] = link.span_id.hex()
    return {"labels": labels, "value": sample_text(link.value), "timestamp": link.time_unix_nano // MILLISECOND / 1000}
