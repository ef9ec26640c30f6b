"""Rollups at rest, written beside the chunks they are made of, in the same transaction: so they are never stale."""

import sqlite3
from collections import defaultdict

import numpy as np

from collector_processor.store import layout, rollup
from collector_processor.store.codec import seal, unseal
from collector_processor.store.finite import ENTRY_DTYPE, Piece
from collector_processor.store.rollup import Rollup
from collector_processor.telemetry.points import Float64, Int64

_Changes = dict[int, Piece | None]


class RollupWriter:
    """Collects what a slice of housekeeping does to chunks, and follows on `finish`; `step` 0 keeps no rollups."""

    def __init__(self, connection: sqlite3.Connection, step: int) -> None:
        self._connection = connection
        self._step = step
        self._parts: defaultdict[int, defaultdict[int, _Changes]] = defaultdict(lambda: defaultdict(dict))

    def put(self, part: int, series: int, time: Int64, value: Float64) -> None:
        """Note all points of a chunk that was written."""
        self._parts[part][layout.rollup_id(part, series)][series] = series, time, value

    def remove(self, part: int, series: int) -> None:
        """Note that a chunk was taken away."""
        self._parts[part][layout.rollup_id(part, series)][series] = None

    def finish(self) -> None:
        """Bring the rollups of parts that have them up to date; from now on a part of another step has none."""
        for part, rows in self._parts.items():
            found = self._connection.execute("SELECT step FROM part WHERE id = ?", (part,)).fetchone()
            if found is not None and found[0] != self._step:
                self._connection.execute("UPDATE part SET step = 0 WHERE id = ?", (part,))
            elif self._step:
                for row_id, changes in rows.items():
                    self._update(part, row_id, changes)

    def _update(self, part: int, row_id: int, changes: _Changes) -> None:
        steps = rollup.steps_of(part, self._step)
        row = self._connection.execute("SELECT id, entries, levels FROM rollup WHERE id = ?", (row_id,)).fetchone()
        pieces = sorted((piece for piece in changes.values() if piece is not None), key=lambda piece: piece[0])
        if pieces:
            held = Rollup.empty(steps) if row is None else rollup.read(row, steps).without(list(changes))
            held.joined(rollup.roll_up(pieces, part, self._step)).write(self._connection, row_id)
        elif row is not None:
            self._blank(row_id, row[1], list(changes))

    def _blank(self, row_id: int, sealed: bytes, gone: list[int]) -> None:
        """Take series out, and leave their levels: a part is emptied series by series, and then dropped."""
        entries = np.frombuffer(unseal(sealed, row_id, "rollup"), ENTRY_DTYPE).copy()
        entries["series"][np.isin(entries["series"], gone)] = rollup.GONE
        self._connection.execute(
            "UPDATE rollup SET entries = ? WHERE id = ?", (seal(entries.tobytes(), row_id), row_id)
        )
