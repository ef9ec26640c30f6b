"""Evaluate a query against the store and say what people should know about the answer."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from collector_processor.errors import TooLargeError
from collector_processor.telemetry.band import REASON_TEXT, Reason
from collector_processor.telemetry.points import Float64
from grafana_datasource.backend import Session
from grafana_datasource.catalog import STATES
from grafana_datasource.directory import Entry
from grafana_datasource.promql.engine import Evaluation
from grafana_datasource.promql.samples import LOOKBACK, Samples
from grafana_datasource.promql.syntax import Aggregate, Call, Expression, Range, Subquery
from grafana_datasource.promql.vector import Vector, sort_key
from grafana_datasource.query import Grid
from grafana_datasource.session_source import SessionSource

_ORDERING = {"sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "topk", "bottomk"}

_TRUNCATED = "results truncated due to limit"


@dataclass(frozen=True, slots=True)
class Answer:
    """A result and what people should know about it; a scalar is an array `(n,)` over the steps."""

    result: Float64 | Vector | Samples | str
    infos: list[str]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a query wants to be answered.

    `lookback` says for how long a stored sample stands, `most` how many series are wanted at most (0: all), `end` which
    end was asked for where the last step does not reach it.
    """

    lookback: int = LOOKBACK
    most: int = 0
    end: int | None = None


def evaluate(expression: Expression, grid: Grid, session: Session, asked: Asked | None = None) -> Answer:
    """Evaluate at every time of the grid.

    Raises:
        TooLargeError: if the answer has too many series or samples.
        InvalidQueryError: if the query has no value, or none on this data.
    """
    asked = asked or Asked()
    source = SessionSource(session, asked.lookback)
    evaluation = Evaluation(source, grid, grid.end if asked.end is None else asked.end, session.limits.samples_read)
    if isinstance(expression, Range | Subquery):
        samples, warnings = _first(evaluation.ranged(expression), asked.most)
        return Answer(samples, [], warnings)
    result, warnings = evaluation.run(expression), []
    if isinstance(result, Vector):
        result = result.compact().merged()
        if grid.count > 1 or not _is_ordered(expression):
            result = _by_labels(result)
        if 0 < asked.most < len(result.labels):
            result, warnings = result.take(np.arange(asked.most)), [_TRUNCATED]
        _check(result, grid, session)
    infos = [*state_notes(session, source.derived.values()), *_bucket_notes(source.buckets)]
    return Answer(result, infos, warnings)


def state_notes(session: Session, entries: Iterable[Entry]) -> list[str]:
    """Say how many series are not active, one sentence per reason."""
    bands = session.outlook.bands
    series = np.array([entry.series for entry in entries], np.int64)
    inactive = series[bands["state"][series] != 1] if series.size else series
    counts = Counter(zip(bands["state"][inactive].tolist(), bands["reason"][inactive].tolist(), strict=True))
    return [
        f"{count} series {STATES[state].value}" + (f": {REASON_TEXT[Reason(reason)]}" if reason else "")
        for (state, reason), count in sorted(counts.items())
    ]


def _bucket_notes(names: Iterable[str]) -> list[str]:
    """Say what there is instead of buckets."""
    return [f"no buckets of {name} are kept: ask {name}_p50, _p95 or _p99" for name in sorted(names)]


def _first(samples: Samples, most: int) -> tuple[Samples, list[str]]:
    """Return the first series that have samples, and what to say where that is not all."""
    (held,) = np.nonzero(np.diff(samples.bounds))
    if not 0 < most < held.size:
        return samples, []
    stop = int(held[most])
    return replace(samples, labels=samples.labels[:stop], bounds=samples.bounds[: stop + 1]), [_TRUNCATED]


def _check(vector: Vector, grid: Grid, session: Session) -> None:
    limits = session.limits
    most = limits.series if grid.count > 1 else limits.instant_series
    if len(vector.labels) > most:
        raise TooLargeError(f"{len(vector.labels)} series in the answer, the limit is {most}")
    if vector.values.size > limits.samples_returned:
        raise TooLargeError(
            f"more than {limits.samples_returned} samples in the answer: take a larger step or fewer series"
        )


def _by_labels(vector: Vector) -> Vector:
    rows = sorted(range(len(vector.labels)), key=lambda row: sort_key(vector.labels[row]))
    return vector.take(np.array(rows, np.int64))


def _is_ordered(expression: Expression) -> bool:
    match expression:
        case Call(name) | Aggregate(name):
            return name in _ORDERING
        case _:
            return False
