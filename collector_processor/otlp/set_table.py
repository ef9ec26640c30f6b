"""Attribute sets of points by number: compiled code finds those that are known, and nobody cuts them again.

A set is known once it was parsed, so that its bytes hold attributes and nothing else.
"""

import os
from collections.abc import Sequence
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.otlp.attributes import MAX_VALUE_BYTES, AttributeSizes
from collector_processor.otlp.elements import Budget
from collector_processor.telemetry.points import Int32, Int64

_COST = 200  # bytes of a set beside its own, which are there twice
_SLOTS_PER_SET = 4
_FIRST_SETS, _FIRST_BYTES = 1 << 10, 1 << 16


class SetTable:
    """Sets seen by this process; past `max_bytes` it starts again from nothing. For any thread."""

    def __init__(self, sizes: AttributeSizes, max_bytes: int) -> None:
        self._sizes = sizes
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._seed = np.uint64(int.from_bytes(os.urandom(8)))  # nobody can choose sets that meet
        self._begin()

    def _begin(self) -> None:
        self._count, self._used = 0, 0
        self._raw = np.empty(_FIRST_SETS, np.object_)
        self._size = np.zeros(_FIRST_SETS, np.int64)
        self._hash = np.zeros(_FIRST_SETS, np.uint64)
        self._place = np.zeros((_FIRST_SETS, 2), np.int64)
        self._kept = np.zeros(_FIRST_BYTES, np.uint8)
        self._slots = np.full(_SLOTS_PER_SET * _FIRST_SETS, -1, np.int32)

    def measured(self, kernel: ModuleType, body: bytes, places: Int32, budget: Budget) -> tuple[list[bytes], Int64]:
        """Return the sets at places `(2, n)` of a request, equal ones the same object, and their sizes.

        Raises:
            MalformedRequestError, TooLargeError: if one can't be parsed, or all new ones together cost too much.
        """
        count = places.shape[1]
        number, mixed = np.empty(count, np.int32), np.empty(count, np.uint64)
        with self._lock:
            known = kernel.Known(self._seed, self._slots, self._hash, self._place, self._kept)
            kernel.find(np.frombuffer(body, np.uint8), places, known, number, mixed)
            sets, size = self._raw[number].tolist(), self._size[number]
            new: dict[bytes, tuple[bytes, int, int]] = {}
            for row in np.flatnonzero(number == kernel.UNKNOWN).tolist():
                begin, length = places[:, row].tolist()
                raw = body[begin : begin + length]
                if raw not in new:
                    new[raw] = raw, self._sizes.look_at(raw, budget), mixed[row]
                sets[row], size[row], _ = new[raw]
            if new:
                self._put(kernel, [each for each in new.values() if len(each[0]) <= MAX_VALUE_BYTES])
        return sets, size

    def _put(self, kernel: ModuleType, new: Sequence[tuple[bytes, int, int]]) -> None:
        """Keep sets with their sizes and hashes."""
        length = np.array([len(raw) for raw, _, _ in new], np.int64)
        first, last = self._count, self._count + len(new)
        begin, end = self._used, self._used + int(length.sum())
        if 2 * end + last * _COST > self._max_bytes:
            self._begin()
            return
        self._make_room(kernel, last, end)
        self._kept[begin:end] = np.frombuffer(b"".join(raw for raw, _, _ in new), np.uint8)
        self._place[first:last, 0], self._place[first:last, 1] = begin + np.cumsum(length) - length, length
        for number, (raw, size, mixed) in enumerate(new, first):
            self._raw[number], self._size[number], self._hash[number] = raw, size, mixed
        self._count, self._used = last, end
        kernel.fill(self._slots, self._hash, first, last)

    def _make_room(self, kernel: ModuleType, sets: int, used: int) -> None:
        """Make the arrays large enough for so many sets of so many bytes together."""
        if used > len(self._kept):
            self._kept = _grown(self._kept, used)
        if sets > len(self._raw):
            self._raw, self._size = _grown(self._raw, sets), _grown(self._size, sets)
            self._hash, self._place = _grown(self._hash, sets), _grown(self._place, sets)
            self._slots = np.full(_SLOTS_PER_SET << (len(self._raw) - 1).bit_length(), -1, np.int32)
            kernel.fill(self._slots, self._hash, 0, self._count)


def _grown(array: npt.NDArray[Any], least: int) -> npt.NDArray[Any]:
    """Return an array of at least this length that begins with what there is, twice as long or more."""
    longer = np.empty((max(2 * len(array), least), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
