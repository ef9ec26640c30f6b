"""Points at rest, written: what chunks become is found out first, slice by slice, and then written at once.

A transaction rewrites the rollups, summaries and times that its chunks share with others, so it pays to write many.
"""

import json
import sqlite3
from collections import defaultdict

import numpy as np

from collector_processor.store import chunks, layout, rows
from collector_processor.store.chunks import ENDS_DTYPE
from collector_processor.store.codec import encode_block, encode_column, seal
from collector_processor.store.rollup_writer import RollupWriter
from collector_processor.store.rows import Columns
from collector_processor.store.verdict_codec import Encode, encode_verdicts
from collector_processor.telemetry.points import Int64

_End = tuple[int, int, int, float]


class ChunkWriter:
    """Collects chunks of which it is given each once, and writes them, with what describes them, on `finish`."""

    def __init__(self, connection: sqlite3.Connection, step: int = 0) -> None:
        """Keep rollups over `step`, none without one."""
        self._connection = connection
        self._step = step
        self._rollups = RollupWriter(connection, step)
        self._ends: defaultdict[int, dict[int, _End | None]] = defaultdict(dict)
        self._growth: defaultdict[int, int] = defaultdict(int)
        self._times: dict[int, Int64] = {}
        self._new_times: list[tuple[int, bytes]] = []
        self._times_ids: dict[tuple[int, bytes], int] = {}
        self._next_times_id: dict[int, int] = {}
        self._replaced_times: set[int] = set()
        self._gone: list[tuple[int]] = []
        self._chunks: list[tuple[int, int, bytes, bytes | None]] = []
        self.points = 0
        """How many wait for `finish`."""

    def merge(self, part: int, newer: Columns) -> None:
        """Put rows of one series, sorted by time, over what its chunk holds."""
        series = int(newer[0][0])
        held = self._take(part, series)
        self._put(part, series, [*held, newer])

    def merge_day(self, day: int, series: int, blocks: list[int]) -> None:
        """Move one series' blocks into its day, under what the day holds: that came later."""
        moved = [rows for block in blocks for rows in self._take(block, series)]
        if moved:
            self._put(day, series, [*moved, *self._take(day, series)])

    def finish(self) -> None:
        """Write chunks, and bring rollups, summaries, parts and shared times up to date, in a transaction."""
        self._connection.executemany("DELETE FROM chunk WHERE id = ?", self._gone)
        self._connection.executemany("INSERT INTO times (id, body) VALUES (?, ?)", self._new_times)
        self._connection.executemany("INSERT INTO chunk (id, times, value, verdicts) VALUES (?, ?, ?, ?)", self._chunks)
        self._rollups.finish()
        for row_id, changed in self._ends.items():
            self._update_summary(row_id, changed)
        self._connection.executemany(
            "INSERT INTO part (id, points, step) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET points = points + excluded.points",
            [(part, growth, self._step) for part, growth in self._growth.items()],
        )
        self._connection.execute(
            "DELETE FROM times WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.times = times.id)",
            (json.dumps(sorted(self._replaced_times)),),
        )

    def _take(self, part: int, series: int) -> list[Columns]:
        """Return a chunk that `finish` removes; a list of one or none."""
        found = chunks.read_one(self._connection, part, series, self._times)
        if found is None:
            return []
        times_id, held = found
        self._gone.append((layout.chunk_id(part, series),))
        self._replaced_times.add(times_id)
        self._growth[part] -= held[1].size
        self._ends[layout.summary_id(part, series)][series] = None
        self._rollups.remove(part, series)
        return [held]

    def _put(self, part: int, series: int, pieces: list[Columns]) -> None:
        """Note the chunk of a series that has none in this part, or whose own was taken."""
        held = rows.last_wins(rows.concat(pieces))
        time, value = held[1], held[2]
        row_id, times_id = layout.chunk_id(part, series), self._times_id(part, time)
        verdicts = encode_verdicts(value, rows.verdicts_of(held), _encoding(part))
        key = row_id + times_id
        sealed = None if verdicts is None else seal(verdicts, key)
        self._chunks.append((row_id, times_id, seal(_encoding(part)(value), key), sealed))
        self.points += time.size
        self._growth[part] += time.size
        self._rollups.put(part, series, time, value)
        self._ends[layout.summary_id(part, series)][series] = (series, int(time[0]), int(time[-1]), float(value[-1]))

    def _update_summary(self, row_id: int, changed: dict[int, _End | None]) -> None:
        found = self._connection.execute("SELECT body FROM summary WHERE id = ?", (row_id,)).fetchone()
        held = np.empty(0, ENDS_DTYPE) if found is None else chunks.decode_ends(row_id, found[0])
        kept = held[~np.isin(held["series"], list(changed))]
        new = np.array([end for end in changed.values() if end is not None], ENDS_DTYPE)
        ends = np.concatenate([kept, new])
        body = seal(ends[np.argsort(ends["series"])].tobytes(), row_id)
        self._connection.execute("INSERT OR REPLACE INTO summary (id, body) VALUES (?, ?)", (row_id, body))

    def _times_id(self, part: int, time: Int64) -> int:
        """Return the row that these times get in this part, with whoever else has the same."""
        key = part, time.tobytes()
        if key not in self._times_ids:
            times_id = self._next_times_id.get(part) or self._free_times_id(part)
            self._next_times_id[part] = times_id + 1
            self._times_ids[key] = times_id
            self._new_times.append((times_id, seal(_encoding(part)(time), times_id)))
        return self._times_ids[key]

    def _free_times_id(self, part: int) -> int:
        first, last = layout.ids_of(part)
        ((highest,),) = self._connection.execute("SELECT max(id) FROM times WHERE id BETWEEN ? AND ?", (first, last))
        return first if highest is None else int(highest) + 1


def _encoding(part: int) -> Encode:
    """Return how columns of a part are compressed: those of a block are soon written again, into their day."""
    return encode_column if layout.is_day(part) else encode_block
