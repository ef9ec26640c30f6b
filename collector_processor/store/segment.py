"""Frames in append-only files: what waits to be forwarded, written once and in order.

A frame is a head (number, items, size, signal, whether it joins the frame before it, checksum of the payload, checksum
of the head) and the payload. A file is named by its log and the number of its first frame. What is committed ends at
`end`, which the database knows; bytes behind it are of no commit, and are overwritten or cut off.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xxhash import xxh3_64_intdigest

from collector_processor.errors import StoreError

HEAD_BYTES = 32
SUFFIX = ".outbox"
_FIELDS = struct.Struct("<QII7s?I")
_CRC_BYTES = 4
_PRIVATE_FILE = 0o600
_MOST_BUFFERS = 512  # in one call; the system allows 1024
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


@dataclass(frozen=True, slots=True)
class Frame:
    """The head of a frame: how many telemetry items of a signal its payload of `size` bytes holds."""

    number: int
    signal: str
    items: int
    size: int
    checksum: int
    joins: bool = False

    @classmethod
    def of(cls, number: int, signal: str, items: int, payload: bytes, *, joins: bool = False) -> "Frame":
        """Return the head of a payload."""
        return cls(number, signal, items, len(payload), _checksum(payload), joins)

    @classmethod
    def decode(cls, raw: bytes) -> "Frame | None":
        """Return the head in these bytes, None where they are damaged."""
        fields, checksum = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
        if len(raw) != HEAD_BYTES or zlib.crc32(fields).to_bytes(_CRC_BYTES, "little") != checksum:
            return None
        number, items, size, signal, joins, crc = _FIELDS.unpack(fields)
        return cls(number, signal.rstrip(b"\0").decode(), items, size, crc, joins)

    def encode(self) -> bytes:
        """Return the bytes of the head."""
        fields = _FIELDS.pack(self.number, self.items, self.size, self.signal.encode(), self.joins, self.checksum)
        return fields + zlib.crc32(fields).to_bytes(_CRC_BYTES, "little")

    @property
    def length(self) -> int:
        """Return the bytes of the whole frame."""
        return HEAD_BYTES + self.size

    def fits(self, payload: bytes) -> bool:
        """Tell whether this is its payload, whole and undamaged; what an older version wrote has a CRC-32."""
        return len(payload) == self.size and self.checksum in (_checksum(payload), zlib.crc32(payload))


class Segment:
    """One file; opened when it is first used."""

    def __init__(self, directory: Path, log: int, first: int, end: int = 0) -> None:
        self.first, self.end = first, end
        self.gaps: dict[int, int] = {}  # where damage begins and where the next frame does
        self.path = directory / f"{log}.{first:020}{SUFFIX}"
        self._fd = -1

    def create(self) -> None:
        """Make the file, and its name durable; what a failed commit left in it is overwritten.

        Raises:
            OSError: if that is not possible now.
        """
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
        sync_directory(self.path.parent)

    def write(self, parts: Sequence[bytes]) -> None:
        """Write behind what is committed, and wait until it is on the disk.

        Raises:
            StoreError: if it is not; `cut` gives back the room.
        """
        try:
            fd, at = self._open(), self.end
            for begin in range(0, len(parts), _MOST_BUFFERS):
                at = _write_all(fd, parts[begin : begin + _MOST_BUFFERS], at)
            _sync(fd)
        except OSError as error:
            raise refused(error) from error
        _uncache(fd, self.end, at - self.end)

    def cut(self) -> None:
        """Cut off what is behind the committed end.

        Raises:
            OSError: if that is not possible now.
        """
        fd = self._open()
        if os.fstat(fd).st_size > self.end:
            os.ftruncate(fd, self.end)
            os.fsync(fd)

    def head(self, at: int) -> Frame | None:
        """Return the head of the frame that begins there, None where it is damaged or not whole.

        Raises:
            OSError: if the disk refuses to read.
        """
        frame = Frame.decode(os.pread(self._open(), HEAD_BYTES, at))
        return frame if frame is not None and at + frame.length <= self.end else None

    def payload(self, at: int, frame: Frame) -> bytes | None:
        """Return the payload of the frame that begins there, None where it is damaged.

        Raises:
            OSError: if the disk refuses to read.
        """
        found = os.pread(self._open(), frame.size, at + HEAD_BYTES)
        return found if frame.fits(found) else None

    def remove(self) -> None:
        """Delete the file; one that cannot be deleted now is deleted after the next start."""
        self.close()
        with suppress(OSError):
            self.path.unlink()
            sync_directory(self.path.parent)

    def close(self) -> None:
        """Release the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        return self._fd


def _checksum(payload: bytes) -> int:
    """Return 32 bits of a hash that takes a tenth of the time of a CRC-32."""
    return xxh3_64_intdigest(payload) & 0xFFFFFFFF


def refused(error: OSError) -> StoreError:
    """Return what an operator has to know of a write that failed."""
    return StoreError(f"the disk refused a write to the outbox: {error.strerror}", retry_after_seconds=10.0)


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _uncache(fd: int, at: int, size: int) -> None:
    """Let the system drop its copy of what is on the disk: the log keeps one, and dropped pages are cheap to reuse."""
    if hasattr(os, "posix_fadvise"):  # Linux
        with suppress(OSError):
            os.posix_fadvise(fd, at, size, os.POSIX_FADV_DONTNEED)


def _write_all(fd: int, parts: Sequence[bytes], at: int) -> int:
    """Write buffers one behind the other; return where they end."""
    done, size = os.pwritev(fd, parts, at), sum(map(len, parts))
    if done < size:  # the disk is filling up: what is left fits, or raises
        rest = memoryview(b"".join(parts))
        while done < size:
            done += os.pwrite(fd, rest[done:], at + done)
    return at + size
