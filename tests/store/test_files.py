from pathlib import Path

from collector_processor.store.base import Commit, OutboxItem
from collector_processor.store.files import DATABASE, bytes_on_disk
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer


def test_what_is_on_disk_is_told_by_part_of_the_store(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    writer = open_writer(directory, StoreSettings())
    try:
        writer.commit(Commit(outbox=[OutboxItem("metrics", 1, bytes(5_000))]))
        sizes = bytes_on_disk(directory)
    finally:
        writer.close()
    assert sizes["database"] > 0
    assert sizes["log"] > 0
    assert sizes["outbox"] >= 5_000
    assert bytes_on_disk(directory)["database"] == (directory / DATABASE).stat().st_size
