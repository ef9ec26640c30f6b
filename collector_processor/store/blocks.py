"""Writing past the system's cache: whole blocks, from a buffer of our own.

What nobody reads from the disk has no business in that cache, where each page is found, filled, written out and dropped
again: on ext4 that is twice the work. A filesystem that takes no such writes gets the same blocks through its cache.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 4096
"""Where buffer and writes begin and end; every disk's sectors are parts of it, or its filesystem uses the cache."""

_BUFFER_BYTES = 1 << 20
_PAST_THE_CACHE = getattr(os, "O_DIRECT", 0)  # macOS has none
_sync = getattr(os, "fdatasync", os.fsync)  # nor this


class BlockWriter:
    """Appends to a file; between the end of what was written and that of its block lies whatever was in the buffer."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES, mmap.MAP_PRIVATE))
        self._end = 0  # of what was written last; what of it shares a block with what follows begins the buffer
        with suppress(OSError):
            fcntl.fcntl(self._fd, fcntl.F_SETFL, _PAST_THE_CACHE)

    def write(self, parts: Sequence[bytes], at: int) -> None:
        """Write these, one behind the other, where the file has everything up to `at`; wait until they are on the disk.

        Raises:
            OSError: if they are not; bytes before `at` are as they were.
        """
        place, filled = self._begin_at(at)
        for part in parts:
            rest = memoryview(part)
            while rest:
                taken, rest = rest[: _BUFFER_BYTES - filled], rest[_BUFFER_BYTES - filled :]
                self._buffer[filled : filled + len(taken)] = taken
                filled += len(taken)
                if filled == _BUFFER_BYTES:
                    self._put(place, filled)
                    place, filled = place + filled, 0
        self._put(place, -(-filled // BLOCK_BYTES) * BLOCK_BYTES)
        _sync(self._fd)
        _uncache(self._fd, at, place + filled - at)
        kept = filled % BLOCK_BYTES
        self._buffer[:kept] = self._buffer[filled - kept : filled]
        self._end = place + filled

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)

    def _begin_at(self, at: int) -> tuple[int, int]:
        """Begin the buffer with what the block of `at` has before it; return where that begins, and how much it is."""
        filled, known = at % BLOCK_BYTES, self._end
        self._end = -1  # until all is written
        if at != known and os.preadv(self._fd, [self._buffer[:BLOCK_BYTES]], at - filled) < filled:
            raise OSError(errno.EIO, "the file became shorter")
        return at - filled, filled

    def _put(self, place: int, size: int) -> None:
        """Write so much of the buffer."""
        done = 0
        while done < size:
            try:
                done += os.pwrite(self._fd, self._buffer[done:size], place + done)
            except OSError as error:
                if error.errno != errno.EINVAL or not fcntl.fcntl(self._fd, fcntl.F_GETFL) & _PAST_THE_CACHE:
                    raise
                fcntl.fcntl(self._fd, fcntl.F_SETFL, 0)  # larger sectors, or a limit that is no end of a block


def _uncache(fd: int, at: int, size: int) -> None:
    """Let the system drop its copy, where it had to make one: dropped pages are cheap to reuse."""
    if hasattr(os, "posix_fadvise"):  # Linux
        with suppress(OSError):
            os.posix_fadvise(fd, at, size, os.POSIX_FADV_DONTNEED)
