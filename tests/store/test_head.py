"""The head in memory is what each connection's snapshot holds, however many connections share it."""

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.store.connection import snapshot
from collector_processor.store.head import Head
from collector_processor.store.sqlite import SqliteWriter
from tests.store.batches import START, ids, maintain_all, tick
from tests.store.conftest import SqliteStores

LATER = START + 150 * MINUTE


def compacted(store: SqliteWriter) -> None:
    """Commit a point two and a half hours later, and compact all."""
    store.commit(tick(0, series=1, start=LATER))
    maintain_all(store, LATER)


def test_the_head_counts_each_of_its_series_once(stores: SqliteStores) -> None:
    store = stores.writer()
    assert store._head.at(store._connection).series_count() == 0
    for number in range(3):
        store.commit(tick(number, series=7))
    assert store._head.at(store._connection).series_count() == 7


def test_an_older_snapshot_sees_no_row_that_another_connection_has_read(stores: SqliteStores) -> None:
    store, older, newer, head = stores.writer(), stores.reader(), stores.reader(), Head()
    store.commit(tick(0, series=3))
    with snapshot(older._connection):
        assert len(head.at(older._connection)) == 3
        for number in range(1, 40):
            store.commit(tick(number, series=3))
        assert len(head.at(newer._connection)) == 120
        assert len(head.at(older._connection)) == 3
    assert len(head.at(older._connection)) == 120


def test_an_older_snapshot_sees_the_rows_that_another_connection_knows_to_be_compacted(stores: SqliteStores) -> None:
    store, older, newer, head = stores.writer(), stores.reader(), stores.reader(), Head()
    for number in range(5):
        store.commit(tick(number, series=3))
    with snapshot(older._connection):
        assert len(head.at(older._connection)) == 15
        compacted(store)
        store.commit(tick(1, series=1, start=LATER))
        assert len(head.at(newer._connection)) == 1
        assert len(head.at(older._connection)) == 15
    assert len(head.at(older._connection)) == 1


def test_a_shared_head_is_always_what_a_new_one_would_read(stores: SqliteStores) -> None:
    store, connection, head = stores.writer(), stores.reader()._connection, Head()
    for number in range(60):
        store.commit(tick(number, series=1 + number % 9))
        if number == 30:
            compacted(store)
        told, read = (one.points() for one in (head.at(connection), Head().at(connection)))
        assert all(np.array_equal(*columns) for columns in zip(told, read, strict=True))


def test_verdicts_are_held_from_the_first_time_on_that_somebody_asks_for_them(stores: SqliteStores) -> None:
    store, connection, head = stores.writer(), stores.reader()._connection, Head()
    store.commit(tick(0, series=3))
    assert len(head.at(connection).select(ids(0, 1), START, LATER)) == 3
    judged = head.judged_at(connection).select(ids(0, 1), START, LATER)
    store.commit(tick(1, series=3))
    assert len(judged) == len(head.at(connection).select(ids(0, 1), START, LATER)) == 8
