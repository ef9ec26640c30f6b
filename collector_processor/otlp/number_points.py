"""The points of a request's gauges and sums: which are taken, and what came with each metric."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.otlp.attributes import TOO_LONG
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.number_columns import NumberColumns
from collector_processor.otlp.raw_points import MAX_ATTRIBUTES_PER_SERIES, reject
from collector_processor.telemetry.arrival import Exemplar, NumberPoints, Source
from collector_processor.telemetry.points import Bool


@dataclass(frozen=True, slots=True)
class NumberGroup:
    """So many points of one source in the columns of a request, and how many attributes its resource and scope have."""

    source: Source
    points: int
    shared_attributes: int


def number_points(
    groups: Sequence[NumberGroup], columns: NumberColumns, rejected: Counter[str], exemplars: ExemplarTable
) -> list[NumberPoints]:
    """Return the points of every group, one after the other in the columns; count in `rejected` what can't be taken."""
    shared = np.repeat([g.shared_attributes for g in groups], [g.points for g in groups])
    taken = _taken(columns, shared, rejected)
    is_taken_whole, is_exact = bool(taken.all()), not columns.low.any()
    arrivals, begin = [], 0
    for group in groups:
        end = begin + group.points
        rows = slice(begin, end) if is_taken_whole else np.flatnonzero(taken[begin:end]) + begin
        if is_taken_whole or taken[begin:end].any():
            linked = exemplars.at(range(begin, end) if isinstance(rows, slice) else rows.tolist())
            arrivals.append(_select(columns, group.source, rows, linked, is_exact=is_exact))
        begin = end
    return arrivals


def _taken(columns: NumberColumns, shared: npt.NDArray[np.int64], rejected: Counter[str]) -> Bool:
    return reject(
        rejected,
        [
            ("no_value", ~(columns.has_value | columns.is_gap)),
            ("start_after_time", columns.start.view(np.uint64) > columns.time.view(np.uint64)),
            ("attribute_too_long", columns.size == TOO_LONG),
            ("too_many_attributes", columns.size + shared > MAX_ATTRIBUTES_PER_SERIES),
        ],
    )


def _select(
    columns: NumberColumns,
    source: Source,
    rows: slice | npt.NDArray[np.intp],
    exemplars: Sequence[Exemplar],
    *,
    is_exact: bool,
) -> NumberPoints:
    attributes = (
        columns.attributes[rows] if isinstance(rows, slice) else [columns.attributes[row] for row in rows.tolist()]
    )
    return NumberPoints(
        source,
        attributes,
        columns.start[rows],
        columns.time[rows],
        columns.value[rows],
        columns.is_gap[rows],
        None if is_exact else columns.low[rows],
        exemplars,
    )
