"""Rollups at rest: what a few neighbouring series were in one part, as means over a step.

A level is a mean on a lattice of the series' own: `offset + level * unit`, where the unit is a power of two near a
200,000th of the standard deviation. That is far below any noise, keeps 1e12 +- 1, gives numbers of few bits, and zero
and whole numbers come back as they were. Values too large or too close to each other for a lattice have no levels: they
are read point by point.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.store import finite, layout
from collector_processor.store.codec import decode_column, encode_block, seal, unseal
from collector_processor.store.faults import DamagedStoreError
from collector_processor.store.finite import ENTRY_DTYPE, Entries, FinitePoints, Piece
from collector_processor.telemetry.points import Float64, Int32

GONE = -1
"""The series of an entry that was taken out while its levels stayed; `read` leaves it out."""

MISSING = np.iinfo(np.int32).min
"""The level of a step without a finite point."""

_LATTICE_BITS = 18
_HIGHEST_LEVEL = 1 << 30
_HUGE, _TINY = 1e300, 1e-280


@dataclass(frozen=True, slots=True)
class Rollup:
    """Some series of one part, ascending: entries `(m,)` and levels `(m, steps)`; a unit is NaN without levels."""

    entries: Entries
    levels: Int32

    @classmethod
    def empty(cls, steps: int) -> "Rollup":
        """Return one of no series."""
        return cls(np.empty(0, ENTRY_DTYPE), np.empty((0, steps), np.int32))

    def without(self, series: Sequence[int]) -> "Rollup":
        """Return the other series."""
        kept = ~np.isin(self.entries["series"], series)
        return Rollup(self.entries[kept], self.levels[kept])

    def joined(self, other: "Rollup") -> "Rollup":
        """Return the series of both, which have none in common."""
        entries = np.concatenate([self.entries, other.entries])
        order = np.argsort(entries["series"])
        return Rollup(entries[order], np.concatenate([self.levels, other.levels])[order])

    def means(self, rows: npt.NDArray[np.intp], steps: slice) -> Float64:
        """Return the means of some rows over some of the steps `(n, m)`, NaN where there is none."""
        levels = self.levels[:, steps] if rows.size == len(self.levels) else self.levels[rows, steps]
        found = levels.astype(np.float64)  # converted on the way, products take twice the time
        found[levels == MISSING] = np.nan
        found *= self.entries["unit"][rows, np.newaxis]
        found += self.entries["offset"][rows, np.newaxis]
        return found

    def write(self, connection: sqlite3.Connection, row_id: int) -> None:
        """Put it in place of what the row held."""
        entries = seal(self.entries.tobytes(), row_id)
        connection.execute(
            "INSERT OR REPLACE INTO rollup (id, entries, levels) VALUES (?, ?, ?)",
            (row_id, entries, seal(encode_block(self.levels), row_id)),
        )


def read(row: tuple[int, object, object], steps: int) -> Rollup:
    """Return what a row `(id, entries, levels)` holds.

    Raises:
        DamagedStoreError: if it is not what was written there.
    """
    row_id, sealed_entries, sealed_levels = row
    entries = np.frombuffer(unseal(sealed_entries, row_id, "rollup"), ENTRY_DTYPE)
    levels = decode_column(unseal(sealed_levels, row_id, "rollup"), np.int32)
    if levels.size != entries.size * steps:
        raise DamagedStoreError(f"rollup {row_id} has {levels.size} levels for {entries.size} series")
    found = Rollup(entries, levels.reshape(entries.size, steps))
    return found if (entries["series"] != GONE).all() else found.without([GONE])


def divides(step: int) -> bool:
    """Tell whether every part is made of whole steps; else there are no rollups over this step."""
    return layout.BLOCK % step == 0


def steps_of(part: int, step: int) -> int:
    """Return how many steps a part has."""
    start, end = layout.span(part)
    return (end - start) // step


def roll_up(pieces: Sequence[Piece], part: int, step: int) -> Rollup:
    """Return the rollup of the points of some series in one part; pieces ascend by series."""
    points = FinitePoints.of(pieces)
    entries = finite.describe(pieces, points)
    entries["offset"], entries["unit"] = _lattice(entries)
    levels = np.full((len(pieces), steps_of(part, step)), MISSING, np.int32)
    if points.owner.size:
        _level(entries, levels, points, (points.time - layout.span(part)[0]) // step)
    return Rollup(entries, levels)


def _lattice(entries: Entries) -> tuple[Float64, Float64]:
    """Return offset and unit; the unit is 0 where all values are equal, NaN where there is no lattice."""
    mean, std = entries["mean"], entries["std"]
    has_lattice = (std == 0.0) | ((std > _TINY) & (std < _HUGE) & (np.abs(mean) < _HUGE))
    with np.errstate(all="ignore"):
        unit = np.where(std > 0.0, np.ldexp(1.0, np.frexp(std)[1] - _LATTICE_BITS), 0.0)
        offset = np.where(unit > 0.0, np.rint(mean / unit) * unit, mean)
    return offset, np.where(has_lattice, unit, np.nan)


def _level(entries: Entries, levels: Int32, points: FinitePoints, step: npt.NDArray[np.int64]) -> None:
    """Fill in the levels, and how many points the last step holds; take back units that do not reach far enough."""
    cell = points.owner * levels.shape[1] + step
    starts = np.flatnonzero(np.append([True], cell[1:] != cell[:-1]))
    counts = np.diff(starts, append=cell.size)
    owner = points.owner[starts]
    unit, offset = entries["unit"][points.owner], entries["offset"][points.owner]
    with np.errstate(all="ignore"):
        distance = np.where(unit > 0.0, (points.value - offset) / unit, 0.0)
        level = np.rint(np.add.reduceat(distance, starts) / counts)
    entries["unit"][owner[~(np.abs(level) < _HIGHEST_LEVEL)]] = np.nan
    fits = ~np.isnan(entries["unit"])[owner]
    levels.ravel()[cell[starts[fits]]] = level[fits]
    entries["tail"][points.held] = counts[np.append(owner[1:] != owner[:-1], [True])]
