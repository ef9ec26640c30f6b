"""The files beside the database: the lock of its one writer, and the mark of what was acknowledged."""

import fcntl
import os
import zlib
from io import FileIO
from pathlib import Path

from collector_processor.errors import StoreError

DATABASE = "foreband.db"
_PART_OF = {DATABASE: "database", f"{DATABASE}-wal": "log", ".outbox": "outbox"}
"""Names and suffixes of files, and which part of the store they are."""

_LOCK = "lock"
_MARK = "acknowledged"
_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700


def prepare(directory: Path) -> None:
    """Create the directory if need be, for this user only.

    Raises:
        StoreError: if it cannot be used.
    """
    try:
        directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        mode = directory.stat().st_mode
    except OSError as error:
        raise _unusable(directory, error) from error
    if mode & 0o002:
        raise StoreError(f"the store's directory {directory} is writable by everybody: chmod 700 it")


def has_database(directory: Path) -> bool:
    """Tell whether there is anything in the database file."""
    path = directory / DATABASE
    return path.exists() and path.stat().st_size > 0


def create_database(directory: Path) -> None:
    """Make an empty database file that only this user may read; its log files take over the permissions.

    Raises:
        StoreError: if it may not be written.
    """
    open_private(directory, DATABASE).close()


def disk_space(directory: Path) -> tuple[int, int]:
    """Return the bytes this user can still fill, and the size of the disk."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def bytes_on_disk(directory: Path) -> dict[str, int]:
    """Return how much is in the database, in its write-ahead log, in what waits to be forwarded, and in the rest."""
    sizes = dict.fromkeys(("database", "log", "outbox", "other"), 0)
    for path in directory.rglob("*"):
        try:
            if path.is_file():
                sizes[_PART_OF.get(path.name) or _PART_OF.get(path.suffix, "other")] += path.stat().st_size
        except FileNotFoundError:  # a segment that has just been sent whole
            continue
    return sizes


class DirectoryLock:
    """Held by the one writer until it closes or dies."""

    def __init__(self, directory: Path) -> None:
        self._file = open_private(directory, _LOCK)
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StoreError(f"another Foreband is writing to {directory}; each needs its own directory") from error

    def release(self) -> None:
        """Let another writer in."""
        self._file.close()


class OpenFiles:
    """The files that a writer has open: what goes into one that was taken away is gone with the process."""

    def __init__(self, directory: Path) -> None:
        self._identities = {path: _identity(path) for path in (directory / DATABASE, directory / f"{DATABASE}-wal")}

    def objection(self) -> str:
        """Say which is not in its place any more, empty where all are."""
        for path, identity in self._identities.items():
            try:
                found = _identity(path)
            except OSError as error:
                return f"{path.name} was taken away while it is written ({error.strerror}): put it back, or restart"
            if found != identity:
                return f"{path.name} was replaced while it is written: put it back, or restart"
        return ""


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class NumberFile:
    """A number in a file of its own, written without waiting for the disk: after a power failure it may lag behind."""

    def __init__(self, directory: Path, name: str) -> None:
        self._file = open_private(directory, name)

    def read(self) -> int:
        """Return the number, 0 where none is on record."""
        body = os.pread(self._file.fileno(), 12, 0)
        number, checksum = body[:8], body[8:]
        is_whole = zlib.crc32(number).to_bytes(4, "little") == checksum
        return int.from_bytes(number, "little") if is_whole else 0

    def write(self, number: int) -> None:
        """Put the number on record."""
        body = number.to_bytes(8, "little")
        os.pwrite(self._file.fileno(), body + zlib.crc32(body).to_bytes(4, "little"), 0)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class AcknowledgedMark(NumberFile):
    """How many commits were acknowledged, kept outside the database.

    SQLite silently ends its log at the first frame it cannot read, so the database alone cannot know that it lost
    commits. The mark is written after each commit, so it never runs ahead.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _MARK)


def open_private(directory: Path, name: str) -> FileIO:
    """Open a file that only this user may read and write, made if need be.

    Raises:
        StoreError: if it cannot be opened.
    """
    try:
        return FileIO(os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE), "r+")
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: OSError) -> StoreError:
    return StoreError(f"the store's directory {directory} cannot be used: {error.strerror}")
