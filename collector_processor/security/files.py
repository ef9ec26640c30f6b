"""Files that decide what Foreband does: nobody else may write them, and a change of them is noticed."""

import logging
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from collector_processor.errors import ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")
_Stamp = tuple[tuple[int, int, int], ...]


def check_not_writable_by_others(path: Path) -> None:
    """Refuse a file that its group or everybody may write.

    Raises:
        ConfigError: if so, or if there is no such file.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path}: others may write it (mode {stat.S_IMODE(mode):04o}); do: chmod go-w {path}")


class Reloaded(Generic[T]):
    """What was read from files; looked at again at most once in `look_every` seconds, from any thread.

    What cannot be read the first time is a ConfigError; later it is logged, and what was read before stays.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T], *, look_every: float = 1.0) -> None:
        self._paths = paths
        self._read = read
        self._look_every = look_every
        self._lock = Lock()
        self._looked = time.monotonic()
        self._stamp = self._stamps()
        self._value = self._read_checked()

    def current(self) -> T:
        """Return what the files say."""
        with self._lock:
            if time.monotonic() - self._looked >= self._look_every:
                self._looked = time.monotonic()
                self._look()
            return self._value

    def _look(self) -> None:
        try:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._stamp = stamp
                self._value = self._read_checked()
                log.info("read again: %s", ", ".join(map(str, self._paths)))
        except ConfigError as error:
            log.error("what was read before stays in force: %s", error)  # noqa: TRY400

    def _read_checked(self) -> T:
        for path in self._paths:
            check_not_writable_by_others(path)
        return self._read()

    def _stamps(self) -> _Stamp:
        """Return what changes with a file, also where a symbolic link is swapped."""
        found = []
        for path in self._paths:
            try:
                status = path.stat()
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)
