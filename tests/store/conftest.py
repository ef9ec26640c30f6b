from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from collector_processor.store import compact
from collector_processor.store.reader import SqliteReader
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_reader, open_writer

SETTINGS = StoreSettings(reserve_bytes=0)


def take_smallest_steps(patch: pytest.MonkeyPatch) -> None:
    """Let each slice of housekeeping do one thing, and write it."""
    patch.setattr(compact, "_SLICE_NANO", 0)
    patch.setattr(compact, "_POINTS_WRITTEN_AT_ONCE", 0)


class SqliteStores:
    """One directory; whatever was opened in it is closed in the end."""

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self.directory = directory
        self._opened = opened

    def writer(self, settings: StoreSettings = SETTINGS) -> SqliteWriter:
        writer = open_writer(self.directory, settings)
        self._opened.callback(writer.close)
        return writer

    def reader(self) -> SqliteReader:
        return self._opened.enter_context(closing(open_reader(self.directory)))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[SqliteStores]:
    with ExitStack() as opened:
        yield SqliteStores(tmp_path / "store", opened)
