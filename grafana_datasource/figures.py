"""Figures that are known as of now only: what Foreband proves about itself, and what lies far ahead.

They are answered like series whose only sample is that of now; whoever wants their past lets a Prometheus record them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.telemetry.points import Int64
from grafana_datasource.backend import Session
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.samples import Samples
from grafana_datasource.promql.vector import NAME, Vector

HELD_FOR = 5 * MINUTE
"""For so long before now a figure stands, and a minute after: the clock of who asks may differ."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, with the labels it has beside its name."""

    metric: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Where figures of some metrics come from: `read` gives those of at least the series that matchers mean."""

    help: Mapping[str, str]
    read: Callable[[Session, Sequence[Matcher]], Sequence[Figure]]


def found(sources: Sequence[Figures], session: Session, matchers: Sequence[Matcher]) -> list[Figure]:
    """Return the figures that meet all matchers; a selector has to name the metric, somehow."""
    by_name = [matcher for matcher in matchers if matcher.label == NAME]
    return [
        figure
        for source in sources
        if by_name and any(all(matcher.accepts(name) for matcher in by_name) for name in source.help)
        for figure in source.read(session, matchers)
        if all(matcher.matches({NAME: figure.metric, **figure.labels}) for matcher in matchers)
    ]


def as_vector(figures: Sequence[Figure], times: Int64, now: int) -> Vector:
    """Return the figures at those times that are about now."""
    is_now = (times > now - HELD_FOR) & (times <= now + MINUTE)
    shape = len(figures), times.size
    values = np.array([figure.value for figure in figures])
    return Vector(
        [_labels(figure) for figure in figures],
        np.broadcast_to(values.reshape(-1, 1), shape),
        np.broadcast_to(is_now, shape),
    ).compact()


def as_samples(figures: Sequence[Figure], now: int) -> Samples:
    """Return one sample of each figure, of now."""
    n = len(figures)
    values = np.array([figure.value for figure in figures], np.float64)
    times, stale = np.full(n, now), np.zeros(n, np.bool_)
    return Samples([_labels(figure) for figure in figures], np.arange(n + 1), times, values, stale)


def _labels(figure: Figure) -> dict[str, str]:
    return {NAME: figure.metric, **figure.labels}
