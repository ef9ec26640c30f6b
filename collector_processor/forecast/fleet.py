"""The forecasts of all series at once: immutable, published by swapping one reference.

A refit never changes a `FleetModel`, it makes the next one; whoever evaluates holds one that stays as it is. The next
one shares every page but those with a new model, so a refit costs what it changes, not what there is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.design import Design
from collector_processor.forecast.moments import Moments
from collector_processor.forecast.packed import Layout, Rows, unpacked
from collector_processor.forecast.page import FACTS, NO_MODEL, PAGE, Facts, Fresh, Page, Places, by_column
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64, Int32, Int64


@dataclass(frozen=True, slots=True, eq=False)
class FleetModel:
    """Models of series ids below `size`, PAGE of them to a page.

    `version` is the newest of any record. `zones` names the time zones that facts number. `unreadable` counts records
    whose parameters this version of Foreband did not write: those series keep what they had until a refit.
    """

    version: int
    size: int
    pages: tuple[Page, ...]
    zones: tuple[str, ...]
    unreadable: int = 0

    def __len__(self) -> int:
        return self.size

    @classmethod
    def empty(cls) -> "FleetModel":
        """Return a model of no series."""
        return cls(version=0, size=0, pages=(), zones=("UTC",))

    @classmethod
    def from_records(cls, records: Sequence[ModelRecord]) -> "FleetModel":
        """Build the model that consists of these records."""
        return cls.empty().with_models(records)

    def with_models(self, records: Sequence[ModelRecord]) -> "FleetModel":
        """Return the next model, with these records in place of older ones of their series; `self` stays as it is."""
        newest = list({record.series: record for record in records}.values())
        zones = {name: i for i, name in enumerate(self.zones)}
        fresh = [
            _fresh([newest[i] for i in which.tolist()], layout, rows, zones)
            for layout, which, rows in unpacked([r.parameters if r.forecaster in _WINNER else b"" for r in newest])
        ]
        size = max([self.size, *(record.series + 1 for record in records)])
        pages = [*self.pages, *[_EMPTY] * (-(-size // PAGE) - len(self.pages))]
        for number, models in _by_page(fresh).items():
            pages[number] = pages[number].with_models(models)
        return FleetModel(
            version=max([self.version, *(record.version for record in records)]),
            size=size,
            pages=tuple(pages),
            zones=tuple(zones),
            unreadable=self.unreadable + len(newest) - sum(models.members.size for models in fresh),
        )

    def forecasts(self, series: Int32, time_unix_nano: Int64) -> Float64:
        """Return `(n, F)`, columns FORECASTS, for series ids `(n,)` at times `(n,)`; NaN where there is none.

        The level is not of the model, its column is always NaN. Cheapest when few times are distinct.
        """
        result = by_column(series.size)
        if series.size:
            moments = Moments(time_unix_nano, self.zones)
            for page, row, at in self._visited(series):
                which = None if moments.which is None else moments.which[row]
                part = result[row]  # a view where row is a slice
                page.put_forecasts(part, at, which, moments)
                if not isinstance(row, slice):
                    result[row] = part
        return result

    def fact(self, name: str, series: Int32) -> npt.NDArray[Any]:
        """Return a column of FACTS for series `(n,)`; any id may be asked for."""
        column = np.full(series.size, NO_MODEL[name], FACTS[name])
        for page, row, at in self._visited(series):
            column[row] = page.facts[name][at]
        return column

    def winners(self, series: Int32) -> npt.NDArray[np.uint8]:
        """Return the forecast to draw of series `(n,)`, as an index into FORECASTS; any id may be asked for."""
        return self.fact("winner", series)

    def versions(self, series: Int32) -> Int64:
        """Return the model version of series `(n,)`, 0 where there is no model; any id may be asked for."""
        return self.fact("version", series)

    def thetas(self, series: Int32) -> Iterator[tuple[Design, Int64, Float64]]:
        """Yield, by design, which of the series `(n,)` have a Prophet of it, and their theta `(m, P)`."""
        for page, row, at in self._visited(series):
            of, place, rows = page.facts["group"][at], page.facts["place"][at], np.arange(series.size)[row]
            for i, group in enumerate(page.groups):
                members = np.flatnonzero(of == i)
                if members.size:
                    yield group.design, rows[members], group.theta[place[members]]

    def _visited(self, series: Int32) -> Iterator[tuple[Page, Int64 | slice, Places]]:
        """Yield pages with models of these series: which rows of `series` they are, and their places in the page."""
        if not series.size:
            return
        number = series // PAGE
        order = None if (number[1:] >= number[:-1]).all() else np.argsort(number, kind="stable")
        ascending = number if order is None else number[order]
        edges = [] if ascending[0] == ascending[-1] else (np.flatnonzero(np.diff(ascending)) + 1).tolist()
        for start, stop in zip([0, *edges], [*edges, series.size], strict=True):
            if start < stop and 0 <= ascending[start] < len(self.pages):
                page = int(ascending[start])
                row = slice(start, stop) if order is None else order[start:stop]
                yield self.pages[page], row, _places(series[row] - page * PAGE)


_EMPTY = Page.empty()
_WINNER = {name: i for i, name in enumerate(FORECASTS)}


def _places(at: Int32) -> Places:
    is_run = at[-1] - at[0] == at.size - 1 and bool((np.diff(at) == 1).all())
    return slice(int(at[0]), int(at[-1]) + 1) if is_run else at.astype(np.int64)


def _fresh(records: Sequence[ModelRecord], layout: Layout, rows: Rows, zones: dict[str, int]) -> Fresh:
    """Return models of one layout, with their series ids as places; `zones` gets the number of a zone it has not."""
    facts = np.full(rows.size, NO_MODEL)
    for name in ("version", "created_unix_nano", "trained_start_unix_nano", "trained_end_unix_nano"):
        facts[name] = [getattr(record, name) for record in records]
    facts["winner"] = [_WINNER[record.forecaster] for record in records]
    facts["zone"] = zones.setdefault(layout.time_zone, len(zones))
    for name in ("std", "profile_offset", "profile_scale"):
        facts[name] = rows[name]
    theta = np.zeros((rows.size, 0))
    if layout.design is not None:
        _put_prophet(facts, rows)
        theta = layout.theta(rows)
    return Fresh(
        np.array([record.series for record in records], np.int64), facts, rows["profile"], layout.design, theta
    )


def _put_prophet(facts: Facts, rows: Rows) -> None:
    facts["valid_from_unix_nano"] = rows["last_changepoint_unix_nano"]
    facts["valid_until_unix_nano"] = rows["start_unix_nano"] + 2 * rows["span_nano"] + 1
    for name in ("sigma", "changepoint_rate", "mean_delta"):
        facts[name] = rows[name]


def _by_page(fresh: Sequence[Fresh]) -> dict[int, list[Fresh]]:
    """Return what changes in each page, with places in the page."""
    pages: dict[int, list[Fresh]] = {}
    for models in fresh:
        number = models.members // PAGE
        for page in np.unique(number).tolist():
            of = np.flatnonzero(number == page)
            part = Fresh(
                models.members[of] - page * PAGE,
                models.facts[of],
                models.profile[of],
                models.design,
                models.theta[of],
            )
            pages.setdefault(page, []).append(part)
    return pages
