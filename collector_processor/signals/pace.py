"""Increases to rates, of intervals that are long enough to be told apart from chance.

A sender that ends flushes what it has, and one that begins reports soon after its start: an increase over a second
says little about a minute. So an interval shorter than half the usual one of its series gives no rate. Its increase is
held and counted with the next, until half a usual interval has passed.

The usual interval follows the intervals seen, a quarter of the way each, and none counts as more than twice the usual.

What is held was acknowledged, so it is saved with the commit that held it, in pieces of `SERIES_PER_PIECE` series; the
usual interval is learned anew.
"""

import math
from collections.abc import Mapping

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

_SHORT = 0.5
_FOLLOW = 0.25
_LONGEST = 2.0

_LONG_RUN, _FEW = 64, 32  # a row takes a microsecond alone, and a wave of any rows some sixty

SERIES_PER_PIECE = 512
_NAME = "pace/"
_HELD = np.dtype([("series", "<i4"), ("increase", "<f8"), ("elapsed", "<f8")])


class Pace:
    """The usual interval of each series and what is held of it, by dense id."""

    def __init__(self) -> None:
        self._usual = np.zeros(0)  # ns; 0: unknown
        self._held = np.zeros(0)  # an increase
        self._elapsed = np.zeros(0)  # ns it took; 0: nothing is held
        self._unsaved: set[int] = set()  # pieces

    def grow(self, size: int) -> None:
        """Make room for series ids below `size`."""
        self._usual = grown(self._usual, size, 0.0)
        self._held = grown(self._held, size, 0.0)
        self._elapsed = grown(self._elapsed, size, 0.0)

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Hold again what `take_unsaved` returned, of series that there is room for."""
        for body in pieces.values():
            held = np.frombuffer(body, _HELD)
            self._held[held["series"]] = held["increase"]
            self._elapsed[held["series"]] = held["elapsed"]

    def forget(self, series: Int32) -> None:
        """Hold nothing of series any more."""
        self._held[series] = self._elapsed[series] = 0.0
        self._unsaved.update(np.unique(series // SERIES_PER_PIECE).tolist())

    def take_unsaved(self) -> dict[str, bytes]:
        """Return, by the name to save it under, all that is held in pieces which changed since the last call."""
        pieces, self._unsaved = sorted(self._unsaved), set()
        return {f"{_NAME}{piece}": self._piece(piece) for piece in pieces}

    def rates(self, series: Int32, increase: Float64, elapsed: Int64) -> Float64:
        """Return the rate `(n,)` per second of increases over `elapsed` ns, NaN where it is held or unknown.

        Rows of a series stand together, ascending by time. An increase is unknown where it is NaN or took no time;
        then what is held before it is given up.
        """
        known = (elapsed > 0) & ~np.isnan(increase)
        rate = np.full(series.size, np.nan)
        longest = _longest_run(series)
        if longest > _LONG_RUN and series.size < _FEW * longest:  # the past of few series
            for at in np.split(np.arange(series.size), np.flatnonzero(np.diff(series)) + 1):
                rate[at] = self._follow(int(series[at[0]]), increase[at], elapsed[at], known[at])
            return rate
        for at in _waves(series):
            rate[at] = self._advance(series[at], increase[at], elapsed[at], known[at])
        return rate

    def _advance(self, series: Int32, increase: Float64, elapsed: Int64, known: Bool) -> Float64:
        """Return the rates of one more interval of each series."""
        took, usual = elapsed.astype(np.float64), self._usual[series]
        usual = np.where(usual > 0, usual, took)
        followed = usual + _FOLLOW * (np.minimum(took, _LONGEST * usual) - usual)
        self._usual[series] = np.where(known, followed, self._usual[series])
        held, took = self._held[series] + increase, self._elapsed[series] + took
        is_short = known & (took < _SHORT * usual)
        changed = series[is_short | (self._elapsed[series] > 0)]
        self._unsaved.update(np.unique(changed // SERIES_PER_PIECE).tolist())
        self._held[series] = np.where(is_short, held, 0.0)
        self._elapsed[series] = np.where(is_short, took, 0.0)
        return np.where(known & ~is_short, held / np.where(took > 0, took / NANOS_PER_SECOND, 1.0), np.nan)

    def _follow(self, series: int, increase: Float64, elapsed: Int64, known: Bool) -> list[float]:
        """Return the rates of many intervals of one series: `_advance` one after the other, without arrays of one."""
        usual, held, waited = (float(of[series]) for of in (self._usual, self._held, self._elapsed))
        rates, is_changed = list[float](), False
        for more, took, is_known in zip(increase.tolist(), elapsed.astype(float).tolist(), known.tolist(), strict=True):
            before = usual if usual > 0 else took
            followed = before + _FOLLOW * (min(took, _LONGEST * before) - before)
            usual = followed if is_known else usual
            total, time = held + more, waited + took
            is_short = is_known and time < _SHORT * before
            is_changed |= is_short or waited > 0
            held, waited = (total, time) if is_short else (0.0, 0.0)
            rates.append(total / (time / NANOS_PER_SECOND) if is_known and not is_short else math.nan)
        self._usual[series], self._held[series], self._elapsed[series] = usual, held, waited
        if is_changed:
            self._unsaved.add(series // SERIES_PER_PIECE)
        return rates

    def _piece(self, piece: int) -> bytes:
        first = piece * SERIES_PER_PIECE
        elapsed = self._elapsed[first : first + SERIES_PER_PIECE]
        (at,) = np.nonzero(elapsed)
        held = np.empty(at.size, _HELD)
        held["series"], held["increase"], held["elapsed"] = first + at, self._held[first + at], elapsed[at]
        return held.tobytes()


def piece_names(series: int) -> list[str]:
    """Return the names under which series ids below `series` are saved."""
    return [f"{_NAME}{piece}" for piece in range(-(-series // SERIES_PER_PIECE))]


def _longest_run(series: Int32) -> int:
    """Return the most rows that any series has; rows of a series stand together."""
    edges = np.flatnonzero(series[1:] != series[:-1]) + 1
    return int(np.diff(edges, prepend=0, append=series.size).max())


def _waves(series: Int32) -> list[Int64]:
    """Split rows so that each part holds the next row of some series; rows of a series stand together."""
    if not series.size:
        return []
    begin = np.flatnonzero(np.concatenate([[True], series[1:] != series[:-1]]))
    rank = np.arange(series.size) - np.repeat(begin, np.diff(np.append(begin, series.size)))
    order = np.argsort(rank, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(rank[order])) + 1)
