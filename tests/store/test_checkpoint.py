from collector_processor.store.files import DATABASE
from tests.store.batches import START, tick
from tests.store.conftest import SqliteStores

COMMITS = 70  # more than a log is left to grow by


def test_a_log_is_moved_between_commits_and_its_blocks_are_written_again(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(COMMITS):
        store.commit(tick(number))
    log = stores.directory / f"{DATABASE}-wal"
    before = log.stat().st_size
    for number in range(COMMITS, 2 * COMMITS):
        store.maintain(START, 0.0)
        store.commit(tick(number))
    assert log.stat().st_size == before
