"""Means over a step, read: rollups side by side, the head added, and the rest point by point.

Rollups serve a series where its parts follow one another and its head begins after them, as is usual. Where that is not
so (late points, a day half merged, a range that cuts through a part, a part without rollups) its points are read.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.store import finite, layout, rollup
from collector_processor.store.finite import ENTRY_DTYPE, Cells, Entries, Summed
from collector_processor.store.rollup import Rollup
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch

_NEVER = -1


@dataclass(frozen=True, slots=True)
class Layer:
    """One rollup of a part, its wanted `entries` at `rows`, and their places among all wanted series."""

    part: int
    rollup: Rollup
    rows: npt.NDArray[np.intp]
    entries: Entries
    place: npt.NDArray[np.intp]

    def only(self, served: Bool) -> "Layer":
        """Return it without the series that it can't serve."""
        kept = served[self.place]
        if kept.all():
            return self
        return Layer(self.part, self.rollup, self.rows[kept], self.entries[kept], self.place[kept])


def read_layers(connection: sqlite3.Connection, part: int, wanted: Int32, step: int) -> list[Layer]:
    """Return the rollups over `step` that a part has of wanted series, ascending."""
    ids = (layout.rollup_id(part, 0) + np.unique(wanted // layout.SERIES_PER_ROLLUP).astype(np.int64)).tolist()
    found = connection.execute(
        "SELECT id, entries, levels FROM rollup WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(ids),),
    )
    layers = []
    for row in found:
        held = rollup.read(row, rollup.steps_of(part, step))
        at = np.searchsorted(wanted, held.entries["series"])
        is_wanted = wanted[np.minimum(at, wanted.size - 1)] == held.entries["series"]
        entries = held.entries if is_wanted.all() else held.entries[is_wanted]
        layers.append(Layer(part, held, np.flatnonzero(is_wanted), entries, at[is_wanted]))
    return [layer for layer in layers if layer.rows.size]


def is_served(layers: Sequence[Layer], head: PointBatch, wanted: Int32, start: int, end: int) -> Bool:
    """Tell which wanted series the rollups serve in `[start, end)`, with the points of the head, sorted, after them."""
    served = np.ones(wanted.size, np.bool_)
    covered, newest = np.full(wanted.size, _NEVER, np.int64), np.full(wanted.size, _NEVER, np.int64)
    for layer in layers:
        first, last = layout.span(layer.part)
        entries, place = layer.entries, layer.place
        served[place] &= (covered[place] <= first) & (entries["begin"] >= start) & (entries["end"] < end)
        served[place] &= ~np.isnan(entries["unit"])
        covered[place], newest[place] = last, entries["end"]
    began, at = np.unique(head.series, return_index=True)
    place = np.searchsorted(wanted, began)
    served[place] &= head.time_unix_nano[at] > newest[place]
    return served


def assemble(wanted: Int32, step: int, layers: Sequence[Layer], newer: Sequence[Summed]) -> StepMeans:
    """Lay rollups on one grid, and points on top: those of a series are all it has, or what comes after its rollups."""
    entries = _joined([layer.entries for layer in layers])
    place = np.concatenate([np.empty(0, np.intp), *(layer.place for layer in layers)])
    places = [np.searchsorted(wanted, one.entries["series"]) for one in newer]
    everything = _joined([entries, *(one.entries for one in newer)]), np.concatenate([place, *places])
    first, last, std = _pooled(*everything, wanted.size)
    held = ~np.isnan(std)
    begin, size = 0, 0
    if held.any():
        begin = int(first[held].min()) // step
        size = int(last.max()) // step - begin + 1
    mean = np.full((wanted.size, size), np.nan)
    for layer in layers:
        _lay(layer, step, begin, mean)
    tails = _tails(entries, place, step, wanted.size)
    for one, owners in zip(newer, places, strict=True):
        _add(one.cells, owners, tails, begin, mean)
    return StepMeans(wanted, step, begin, mean, first, last, std)


def _joined(pieces: Sequence[Entries]) -> Entries:
    """Concatenate; NumPy's own way of it compares the fields of records one by one."""
    joined = np.empty(sum(piece.size for piece in pieces), ENTRY_DTYPE)
    at = 0
    for piece in pieces:
        joined[at : at + piece.size] = piece
        at += piece.size
    return joined


def _pooled(entries: Entries, owner: npt.NDArray[np.intp], size: int) -> tuple[Int64, Int64, Float64]:
    """Return the first and last time and the standard deviation of all finite points of each series `(size,)`."""
    held = entries["points"] > 0
    entries, owner = entries[held], owner[held]
    first, last = np.full(size, np.iinfo(np.int64).max), np.zeros(size, np.int64)
    np.minimum.at(first, owner, entries["first"])
    np.maximum.at(last, owner, entries["last"])
    greatest = np.zeros(size)
    np.maximum.at(greatest, owner, np.maximum(np.abs(entries["mean"]), entries["std"]))
    scale = finite.power_of_two(greatest)
    mean, std, count = entries["mean"] / scale[owner], entries["std"] / scale[owner], entries["points"]
    origin = np.zeros(size)
    origin[owner] = mean
    from_origin = mean - origin[owner]
    with np.errstate(invalid="ignore"):
        total = np.bincount(owner, count, size)
        centre = np.bincount(owner, count * from_origin, size) / total
        spread = np.bincount(owner, count * (std**2 + (from_origin - centre[owner]) ** 2), size) / total
    return np.where(total > 0, first, 0), last, np.sqrt(spread) * scale


def _lay(layer: Layer, step: int, begin: int, mean: Float64) -> None:
    """Write a layer to its columns, of which those outside the grid hold nothing."""
    first, last = (edge // step - begin for edge in layout.span(layer.part))
    inside = slice(max(first, 0), min(last, mean.shape[1]))
    if inside.start < inside.stop:
        low, high = int(layer.place[0]), int(layer.place[-1]) + 1
        together = slice(low, high) if high - low == layer.place.size else layer.place
        mean[together, inside] = layer.rollup.means(layer.rows, slice(inside.start - first, inside.stop - first))


def _tails(entries: Entries, owner: npt.NDArray[np.intp], step: int, size: int) -> tuple[Int64, Int64]:
    """Return the last step of each series that a rollup holds, and how many points are in it; -1 and 0 without any."""
    held = entries["points"] > 0
    number, points = np.full(size, _NEVER, np.int64), np.zeros(size, np.int64)
    number[owner[held]] = entries["last"][held] // step  # of several layers of a series the last counts
    points[owner[held]] = entries["tail"][held]
    return number, points


def _add(cells: Cells, place: npt.NDArray[np.intp], tails: tuple[Int64, Int64], begin: int, mean: Float64) -> None:
    """Write cells to the grid; one that a rollup has begun is continued."""
    at, column = place[cells.owner], cells.step - begin
    begun = np.where(tails[0][at] == cells.step, tails[1][at], 0)
    before = np.where(begun > 0, mean[at, column], 0.0)
    share = begun / (begun + cells.points)
    mean[at, column] = before * share + cells.mean * (1.0 - share)
