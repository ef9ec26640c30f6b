"""Raw attribute bytes that stand for series, of all data points of one source.

Senders name the same series in the same order again and again. Such a block of points is known by one comparison, in
place of a look-up for each point.
"""

from collections.abc import Sequence

from collector_processor.telemetry.points import Int32

_BLOCKS_PER_ALIAS = 4  # rows of blocks: several senders may cut the same series in several ways


class Aliases:
    """`row_of` raw attributes is a row of the catalog's; blocks are kept by the hash of their first attributes."""

    def __init__(self) -> None:
        self.row_of: dict[bytes, int] = {}
        self._ends: dict[int, tuple[int, int]] = {}  # sizes of blocks, and hashes of their last attributes
        self._blocks: dict[int, tuple[Sequence[bytes], Int32]] = {}
        self._rows = 0

    def block(self, attributes: Sequence[bytes]) -> Int32 | None:
        """Return the series ids `(n, k)` of a block that was kept; they cannot be changed."""
        kept = self._blocks.get(hash(attributes[0])) if attributes else None
        return kept[1] if kept is not None and kept[0] == attributes else None

    def has_come_before(self, attributes: Sequence[bytes]) -> bool:
        """Tell whether a block of this size and these ends came before, and take note of it.

        What never repeats is thus never kept.
        """
        if not attributes:
            return False
        first, ends = hash(attributes[0]), (len(attributes), hash(attributes[-1]))
        has_come = self._ends.get(first) == ends
        self._ends[first] = ends
        return has_come

    def keep(self, attributes: Sequence[bytes], ids: Int32) -> None:
        """Keep a block; where that makes too many rows, begin again from nothing."""
        if self._rows + len(attributes) > _BLOCKS_PER_ALIAS * len(self.row_of):
            self._ends, self._blocks, self._rows = {}, {}, 0
        ids.setflags(write=False)
        self._blocks[hash(attributes[0])] = attributes, ids
        self._rows += len(attributes)
