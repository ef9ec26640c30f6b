"""What goes wrong below the store, in words an operator can act on; SQL text stays inside."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from collector_processor.errors import StoreError

_WHAT_TO_DO = "stop Foreband and restore the directory from a backup, or move it away to start with an empty store"
_TEXTS = (
    ("SQLITE_FULL", "the disk is full", 10.0),
    ("SQLITE_BUSY", "the store is busy", 1.0),
    ("SQLITE_LOCKED", "the store is busy", 1.0),
    ("SQLITE_IOERR", "the disk refused a read or write", 10.0),
    ("SQLITE_READONLY", "the store may not be written: check owner and permissions of its directory", 10.0),
    ("SQLITE_CANTOPEN", "the store cannot be opened: check owner and permissions of its directory", 10.0),
    ("SQLITE_TOOBIG", "one value is larger than the store can hold", 10.0),
)
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class DamagedStoreError(StoreError):
    """The files hold something else than what was written; the message says what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the store is damaged ({what}): {_WHAT_TO_DO}", retry_after_seconds=30.0)


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into StoreError.

    Raises:
        StoreError: instead of any `sqlite3.Error`.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _as_store_error(error) from error
    except UnicodeDecodeError as error:
        raise DamagedStoreError("text in it is not text") from error


def _as_store_error(error: sqlite3.Error) -> StoreError:
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if name.startswith(_DAMAGE):
        return DamagedStoreError(name)
    for prefix, text, retry_after in _TEXTS:
        if name.startswith(prefix):
            return StoreError(f"{text} ({name})", retry_after_seconds=retry_after)
    return StoreError(f"the store failed ({name})")
