"""Free disk that the store leaves alone: it goes on reading, and takes nothing, before the disk is full.

SQLite needs space even to delete and to open. So commits stop while there is room for housekeeping, and a ballast file
keeps what a start takes: where somebody else filled the disk to the last byte, it is given back first.
"""

import os
from contextlib import suppress
from pathlib import Path

from collector_processor.store.files import disk_space, open_private
from collector_processor.store.settings import StoreSettings

BALLAST = "ballast"
BALLAST_BYTES = 4 << 20
_ENOUGH_AGAIN = 1.1
"""Commits go on once so many times the reserve is free: not a moment here and a moment there."""


class Reserve:
    """What a directory's disk must have left for commits; a reserve of 0 bytes asks for nothing."""

    def __init__(self, directory: Path, settings: StoreSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._is_short = False
        self._has_ballast = settings.reserve_bytes == 0

    def make_room(self) -> None:
        """Give up the ballast if a start might not get through without."""
        if self._settings.reserve_bytes and disk_space(self._directory)[0] < BALLAST_BYTES:
            (self._directory / BALLAST).unlink(missing_ok=True)

    def shortage(self) -> str:
        """Return why nothing more is written now, empty where it is."""
        try:
            free, size = disk_space(self._directory)
        except OSError as error:
            return f"the store's disk does not answer: {error.strerror}"
        reserve = self._settings.reserve_bytes and max(
            self._settings.reserve_bytes, int(self._settings.reserve_share * size)
        )
        self._is_short = free < reserve * (_ENOUGH_AGAIN if self._is_short else 1.0)
        if self._is_short:
            return f"the disk is nearly full: {free >> 20:,} MiB are left, {reserve >> 20:,} MiB are reserved"
        if not self._has_ballast:
            self._has_ballast = True
            self._take_ballast()
        return ""

    def _take_ballast(self) -> None:
        with suppress(OSError), open_private(self._directory, BALLAST) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
            else:
                file.write(bytes(BALLAST_BYTES))
