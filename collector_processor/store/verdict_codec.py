"""Verdicts at rest: rounded once when committed, lossless from then on.

A band is rounded to a power of two near a millionth of its own half-width. That is far below anything a graph or
a threshold sees, holds at any magnitude (1e12 +- 1 keeps its 1), and leaves the columns full of zero bits
that compress to about a third. The score follows from value and band, so it is stored only where it does not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.store.codec import decode_column, encode_column, join, split
from collector_processor.telemetry.points import Bool, Float64
from collector_processor.telemetry.verdict import VerdictBatch

BAND_BITS = 20
"""The rounding unit is between 2^-20 and 2^-21 of the narrower half of the band."""

Encode = Callable[[npt.NDArray[Any]], bytes]
"""Returns what `decode_column` reads."""

_EXPONENT = 0x7FF0_0000_0000_0000  # of the bits of a double; alone they are the power of two below it
SCORE_TOLERANCE = 2.0 ** (2 - BAND_BITS)
_LOWER_AS_OFFSET, _UPPER_AS_OFFSET, _SCORE_FOLLOWS, _NO_ANOMALY = 1, 2, 4, 8


def rounded(value: Float64, verdicts: VerdictBatch) -> VerdictBatch:
    """Return verdicts as they will be kept; rounding twice changes nothing."""
    with np.errstate(all="ignore"):
        yhat, lower, upper = _rounded(verdicts)
        follows = _score(value, yhat, lower, upper)
        size = np.abs(verdicts.score)
        close = np.abs(follows - verdicts.score) <= SCORE_TOLERANCE * (1 + size)
        close &= (np.abs(follows) > 1) == (size > 1)
    score = np.where(close, follows, verdicts.score)
    return VerdictBatch(yhat, lower, upper, score, verdicts.anomaly)


def is_absent(verdicts: VerdictBatch) -> Bool:
    """Tell per row whether nothing is said."""
    nothing: Bool = np.isnan(verdicts.yhat)
    if not nothing.any():  # nearly always: all have a forecast, or none has
        return nothing
    nothing &= np.isnan(verdicts.lower) & np.isnan(verdicts.upper) & np.isnan(verdicts.score) & (verdicts.anomaly == 0)
    return nothing


def encode_verdicts(
    value: Float64, verdicts: VerdictBatch, encode: Encode = encode_column, flags: int | None = None
) -> bytes | None:
    """Compress the verdicts of points with these values; None if there are none.

    `flags`, where they are known, are those of these points or of more.
    """
    if is_absent(verdicts).all():
        return None
    flags = flags_of(value, verdicts) if flags is None else flags
    with np.errstate(all="ignore"):
        lower = verdicts.lower - verdicts.yhat if flags & _LOWER_AS_OFFSET else verdicts.lower
        upper = verdicts.upper - verdicts.yhat if flags & _UPPER_AS_OFFSET else verdicts.upper
    columns = [verdicts.yhat, lower, upper]
    if not flags & _SCORE_FOLLOWS:
        columns.append(verdicts.score)
    if not flags & _NO_ANOMALY:
        columns.append(verdicts.anomaly.astype(np.int64))
    return join([bytes([flags]), *(encode(column) for column in columns)])


def flags_of(value: Float64, verdicts: VerdictBatch) -> int:
    """Return what need not be written, or not in full, since it follows from the rest."""
    with np.errstate(all="ignore"):
        lower, upper = verdicts.lower - verdicts.yhat, verdicts.upper - verdicts.yhat
        return (
            _LOWER_AS_OFFSET * _same(verdicts.yhat + lower, verdicts.lower)
            | _UPPER_AS_OFFSET * _same(verdicts.yhat + upper, verdicts.upper)
            | _SCORE_FOLLOWS * _same(_score_of(value, verdicts), verdicts.score)
            | _NO_ANOMALY * (not verdicts.anomaly.any())
        )


def decode_verdicts(blob: bytes | None, value: Float64) -> VerdictBatch:
    """Return the verdicts of points with these values."""
    if blob is None:
        return VerdictBatch.absent(value.size)
    flag_byte, *sections = split(blob)
    flags, rest = flag_byte[0], iter(sections)
    yhat, lower, upper = (decode_column(next(rest), np.float64) for _ in range(3))
    with np.errstate(all="ignore"):
        lower = yhat + lower if flags & _LOWER_AS_OFFSET else lower
        upper = yhat + upper if flags & _UPPER_AS_OFFSET else upper
        follows = flags & _SCORE_FOLLOWS
        score = _score(value, yhat, lower, upper) if follows else decode_column(next(rest), np.float64)
    plain = flags & _NO_ANOMALY
    anomaly = np.zeros(value.size, np.int8) if plain else decode_column(next(rest), np.int64).astype(np.int8)
    return VerdictBatch(yhat, lower, upper, score, anomaly)


def _rounded(verdicts: VerdictBatch) -> Float64:
    """Return yhat, lower and upper `(3, n)` as multiples of a unit; what has none, or overflows it, stays as it is."""
    half = np.minimum(verdicts.upper - verdicts.yhat, verdicts.yhat - verdicts.lower)
    unit = (np.maximum(half, 0.0).view(np.int64) & _EXPONENT).view(np.float64)
    unit *= 2.0**-BAND_BITS
    bands = np.array((verdicts.yhat, verdicts.lower, verdicts.upper))
    multiple = bands / unit
    np.rint(multiple, out=multiple)
    multiple *= unit
    multiple += 0.0  # no -0.0
    np.copyto(bands, multiple, where=np.isfinite(multiple))
    return bands


def _score_of(value: Float64, verdicts: VerdictBatch) -> Float64:
    return _score(value, verdicts.yhat, verdicts.lower, verdicts.upper)


def _score(value: Float64, yhat: Float64, lower: Float64, upper: Float64) -> Float64:
    """Return the signed distance from `yhat` in half-widths of the band on that side."""
    score: Float64 = (value - yhat) / np.where(value >= yhat, upper - yhat, yhat - lower)
    return score


def _same(a: Float64, b: Float64) -> bool:
    return np.array_equal(a, b, equal_nan=True)
