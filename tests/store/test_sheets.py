"""Sheets hold what the head held, by series, until it is at rest."""

from itertools import chain

import numpy as np
import pytest

from collector_processor.clock import HOUR, MINUTE
from collector_processor.errors import StoreError
from collector_processor.store import compact, layout, sheet_writer, sheets
from collector_processor.store.base import Commit
from collector_processor.store.connection import snapshot
from collector_processor.store.sqlite import SqliteWriter
from tests.store.batches import FOREVER, START, ids, points, read_all, same_bits, same_verdicts, tick
from tests.store.conftest import SqliteStores, take_smallest_steps

SERIES = 300
STEP = 5 * MINUTE


def sort(store: SqliteWriter) -> None:
    for _ in compact.sort_head(store._connection, 1 << 40):
        pass


def sizes(store: SqliteWriter, group: int) -> list[int]:
    found = store._connection.execute(
        "SELECT size FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id", layout.sheet_ids(group)
    )
    return [size for (size,) in found]


def rows_of_head(store: SqliteWriter) -> int:
    ((count,),) = store._connection.execute("SELECT count(*) FROM head")
    return int(count)


def test_a_sorted_head_reads_as_before_in_every_way(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(4):
        store.commit(tick(number, SERIES))
    before, last, first = read_all(store, SERIES), store.last_points(), store.first_times()
    sort(store)
    assert rows_of_head(store) == 0
    assert [sizes(store, group) for group in range(3)] == [[512], [512], [176]]
    for seen in (store, stores.reader()):
        assert same_bits(read_all(seen, SERIES).points, before.points)
        assert same_verdicts(read_all(seen, SERIES).verdicts, before.verdicts)
        assert same_bits(seen.last_points(), last)
        assert [column.tolist() for column in seen.first_times()] == [column.tolist() for column in first]
        assert seen.existing(before.points)[0].all()
        assert not seen.existing(tick(9, SERIES).points)[0].any()
        some = seen.read_points(ids(7, 129, 299), START + MINUTE, START + 3 * MINUTE)
        assert some.series.tolist() == [7, 7, 129, 129, 299, 299]


def test_small_sheets_become_one_as_soon_as_that_is_full(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_writer, "FULL", 10)
    store, seen = stores.writer(), []
    for number in range(5):
        store.commit(tick(number, series=4))
        sort(store)
        seen.append(sizes(store, 0))
    assert seen == [[4], [4, 4], [12], [12, 4], [12, 4, 4]]
    assert len(read_all(store).points) == 20


def test_a_head_that_is_sorted_bit_by_bit_reads_as_before_all_the_time(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_smallest_steps(monkeypatch)
    store, seen = stores.writer(), stores.reader()
    for number in (0, 2, 1):
        store.commit(tick(number, SERIES))
        before, last, first = read_all(store, SERIES), store.last_points(), store.first_times()
        for _ in compact.sort_head(store._connection, 1 << 40):
            assert same_bits(read_all(seen, SERIES).points, before.points)
            assert same_verdicts(read_all(seen, SERIES).verdicts, before.verdicts)
            assert same_bits(seen.last_points(), last)
            assert [column.tolist() for column in seen.first_times()] == [column.tolist() for column in first]


def test_a_sheet_is_compressed_once_it_is_full(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_writer, "FULL", 4 * SERIES)
    store, weights = stores.writer(), []
    for number in range(10):
        store.commit(tick(number, SERIES))
        sort(store)
        query = "SELECT sum(length(points) + length(verdicts)) / sum(size) FROM sheet WHERE id < ?"
        weights += store._connection.execute(query, (layout.sheet_ids(1)[0],)).fetchone()
    assert min(weights[:9]) > 40
    assert weights[9] < 10


def test_series_far_apart_are_sorted_as_neighbours_are(stores: SqliteStores) -> None:
    store = stores.writer()
    for time in (START, START + 1):
        wanted = np.arange(0, layout.MAX_SERIES, 40_000)
        store.commit(Commit(points=points([(series, time, float(series)) for series in wanted.tolist()])))
    before = store.read_points(wanted.astype(np.int32), 0, FOREVER)
    sort(store)
    assert same_bits(store.read_points(wanted.astype(np.int32), 0, FOREVER), before)
    assert len(before) == 2 * wanted.size


def test_of_equal_points_the_last_one_counts_whatever_sheet_it_is_in(stores: SqliteStores) -> None:
    store = stores.writer()
    for value in (1.0, 2.0, 3.0):
        store.commit(Commit(points=points([(5, START, value), (6, START + round(value), value)])))
        sort(store)
    assert store.read_points(ids(5), 0, FOREVER).value.tolist() == [3.0]
    assert store.last_points().value.tolist() == [3.0, 3.0]
    assert store.first_times()[1].tolist() == [START, START + 1]


@pytest.mark.parametrize("points_written_at_once", [0, 10, 1 << 40])
def test_what_comes_into_a_group_while_it_settles_is_kept(
    points_written_at_once: int, stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "_SLICE_NANO", 0)
    monkeypatch.setattr(compact, "_POINTS_WRITTEN_AT_ONCE", points_written_at_once)
    store = stores.writer()
    for number in range(0, 180, 30):
        store.commit(tick(number))
    sort(store)
    work = compact.settle(store._connection, START + 2 * HOUR, STEP)
    for _ in range(3):
        next(work)
    newer = [(0, START, -1.0), (4, START, -2.0), (4, START + 2 * HOUR, -3.0), (3, START + 4 * HOUR, -4.0)]
    store.commit(Commit(points=points(newer)))
    sort(store)
    before, last = read_all(store), store.last_points()
    for _ in chain(work, compact.settle(store._connection, START + 2 * HOUR, STEP)):
        assert same_bits(read_all(store).points, before.points)
        assert same_bits(store.last_points(), last)
    assert not sheets.begins_before(store._connection, 0, START + 2 * HOUR)
    for series, time, value in newer:
        assert store.read_points(ids(series), time, time + 1).value.tolist() == [value]


def test_a_group_whose_points_are_all_at_rest_has_no_sheet_left(stores: SqliteStores) -> None:
    store = stores.writer()
    for number in range(0, 120, 30):
        store.commit(tick(number))
    before, last = read_all(store), store.last_points()
    sort(store)
    for _ in compact.settle(store._connection, START + 2 * HOUR, STEP):
        pass
    assert list(sheets.groups(store._connection)) == list(sheets.ends(store._connection)) == []
    assert same_bits(read_all(store).points, before.points)
    assert same_bits(store.last_points(), last)


def test_an_older_snapshot_sees_rows_of_the_head_that_are_gone_for_others(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_smallest_steps(monkeypatch)
    store, older = stores.writer(), stores.reader()
    for number in range(20):
        store.commit(tick(number))
    before = read_all(store).points
    with snapshot(older._connection):
        assert len(older._head.at(older._connection)) == 100
        work = compact.sort_head(store._connection, 1 << 40)
        while rows_of_head(store) > 7:
            next(work)
        assert len(older._head.at(older._connection)) == 100
    assert len(older._head.at(older._connection)) == 35
    assert same_bits(read_all(older).points, before)


def test_groups_with_many_points_are_written_a_sheet_at_a_time(
    stores: SqliteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_writer, "FULL", 100)
    store = stores.writer()
    for number in range(50):
        store.commit(tick(number))
    before = read_all(store)
    sort(store)
    assert sizes(store, 0) == [100, 100, 50]
    assert same_bits(read_all(store).points, before.points)


@pytest.mark.parametrize("column", ["points", "verdicts"])
def test_a_body_under_the_row_of_another_group_is_noticed(stores: SqliteStores, column: str) -> None:
    store = stores.writer()
    store.commit(tick(0, SERIES))
    sort(store)
    other, _ = layout.sheet_ids(1)
    store._connection.execute(f"UPDATE sheet SET {column} = (SELECT {column} FROM sheet WHERE id = ?)", (other,))
    with pytest.raises(StoreError, match="fails its checksum"):
        read_all(store)


def test_series_without_verdicts_have_none_in_their_sheets(stores: SqliteStores) -> None:
    store = stores.writer()
    store.commit(Commit(points=points([(0, START, 1.0), (200, START, float("nan"))])))
    sort(store)
    assert np.isnan(read_all(store, SERIES).verdicts.yhat).all()
    assert store._connection.execute("SELECT count(*) FROM sheet WHERE verdicts IS NOT NULL").fetchone() == (0,)
