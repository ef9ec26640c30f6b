"""Finite points of several series at once: what they come to per series, and per step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.telemetry.points import Float64, Int64

ENTRY_DTYPE = np.dtype(
    [
        ("series", "<i4"),
        ("tail", "<i4"),  # finite points in the step of the last one
        ("begin", "<i8"),  # times of the oldest and the newest point, finite or not
        ("end", "<i8"),
        ("first", "<i8"),  # the same of the finite ones, 0 without any
        ("last", "<i8"),
        ("points", "<i8"),  # finite ones
        ("mean", "<f8"),  # of them
        ("std", "<f8"),
        ("offset", "<f8"),  # of the levels, see `rollup`
        ("unit", "<f8"),
    ]
)
_LEAST = np.nextafter(0.0, 1.0)

Entries = npt.NDArray[np.void]
"""Rows of ENTRY_DTYPE: some points of one series each."""

Piece = tuple[int, Int64, Float64]
"""A series with some of its points, at least one, ascending: their times and values `(n,)`."""


@dataclass(frozen=True, slots=True)
class FinitePoints:
    """The finite points of m pieces: `owner` is the piece of each, `counts` `(m,)` how many each has."""

    owner: Int64
    time: Int64
    value: Float64
    counts: Int64

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "FinitePoints":
        """Leave out what is not finite."""
        owner = np.repeat(np.arange(len(pieces)), [time.size for _, time, _ in pieces])
        time = np.concatenate([np.empty(0, np.int64), *(time for _, time, _ in pieces)])
        value = np.concatenate([np.empty(0), *(value for _, _, value in pieces)])
        finite = np.isfinite(value)
        if not finite.all():
            owner, time, value = owner[finite], time[finite], value[finite]
        return cls(owner, time, value, np.bincount(owner, minlength=len(pieces)))

    @property
    def held(self) -> Int64:
        """Return the pieces that have any."""
        return np.flatnonzero(self.counts)

    @property
    def starts(self) -> Int64:
        """Return where the points of those begin."""
        counts = self.counts[self.counts > 0]
        return np.cumsum(counts) - counts


@dataclass(frozen=True, slots=True)
class Cells:
    """Steps that hold points: the piece, the number of the step since 1970, how many points, and their mean."""

    owner: Int64
    step: Int64
    points: Int64
    mean: Float64


@dataclass(frozen=True, slots=True)
class Summed:
    """What some points come to: an entry for each piece, and cells whose owner is an entry."""

    entries: Entries
    cells: Cells


def summed(pieces: Sequence[Piece], step: int) -> Summed:
    """Sum up the points of pieces, per piece and per step."""
    points = FinitePoints.of(pieces)
    return Summed(describe(pieces, points), cells(points, step))


def describe(pieces: Sequence[Piece], points: FinitePoints) -> Entries:
    """Return what is known of each piece but its levels."""
    entries = np.zeros(len(pieces), ENTRY_DTYPE)
    entries["series"] = [series for series, _, _ in pieces]
    entries["begin"] = [time[0] for _, time, _ in pieces]
    entries["end"] = [time[-1] for _, time, _ in pieces]
    held, starts = points.held, points.starts
    if not held.size:
        return entries
    counts = points.counts[held]
    low, high = np.minimum.reduceat(points.value, starts), np.maximum.reduceat(points.value, starts)
    scale = power_of_two(np.maximum(np.abs(low), np.abs(high)))
    scaled = points.value / np.repeat(scale, counts)
    mean = np.clip(np.add.reduceat(scaled, starts) / counts, low / scale, high / scale)
    deviation = scaled - np.repeat(mean, counts)
    std = np.sqrt(np.add.reduceat(deviation * deviation, starts) / counts) * scale
    entries["first"][held], entries["last"][held] = points.time[starts], points.time[starts + counts - 1]
    entries["points"][held] = counts
    entries["mean"][held] = mean * scale
    entries["std"][held] = np.where(low < high, np.maximum(std, _LEAST), 0.0)
    return entries


def cells(points: FinitePoints, step: int) -> Cells:
    """Return the steps that hold points, ascending by piece and time; finite means, however large the values are."""
    if not points.owner.size:
        return Cells(points.owner, points.time, points.owner, points.value)
    number = points.time // step
    is_first = np.append([True], (points.owner[1:] != points.owner[:-1]) | (number[1:] != number[:-1]))
    starts = np.flatnonzero(is_first)
    counts = np.diff(starts, append=number.size)
    greatest = np.maximum.reduceat(np.abs(points.value), starts)
    scale = power_of_two(greatest)
    mean = np.add.reduceat(points.value / np.repeat(scale, counts), starts) / counts * scale
    return Cells(points.owner[starts], number[starts], counts, np.clip(mean, -greatest, greatest))


def power_of_two(x: Float64) -> Float64:
    """Return a power of two near each number, 1 for zero: dividing by it is exact and leaves at most 2."""
    return np.where(x == 0.0, 1.0, np.ldexp(1.0, np.frexp(x)[1] - 1))
