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
from collector_processor.store.blocks import BlockWriter

HEAD_BYTES = 32
SUFFIX = ".outbox"
_FIELDS = struct.Struct("<QII7s?I")
_CRC_BYTES = 4
_PRIVATE_FILE = 0o600


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
        self._writer: BlockWriter | None = None

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
            self._writer = self._writer or BlockWriter(self.path)
            self._writer.write(parts, self.end)
        except OSError as error:
            raise refused(error) from error

    def cut(self) -> None:
        """Cut off what is behind the committed end, and release what wrote it.

        Raises:
            OSError: if that is not possible now.
        """
        self._end_writing()
        fd = self._open()
        os.ftruncate(fd, self.end)  # also where it seems done: a sync that failed may have lost it
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
        self._end_writing()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _end_writing(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

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
