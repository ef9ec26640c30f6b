import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.signals.catalog import MALFORMED, REFUSED, VACANT, Catalog
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.series import Attributes, Kind, SeriesKey, Statistic
from tests.signals.room import Room, numbers, parse_attributes, parse_scope, raw

SOURCE = Source(b'{"service.name": "shop"}', b"scope", "requests", "1", Kind.GAUGE)
VALUE = (Statistic.VALUE,)
TWO = (Statistic.TOTAL, Statistic.RATE)


def catalog(series_limit: int = 1000, alias_bytes: int = 1 << 20) -> Catalog:
    return Catalog(parse_attributes, parse_scope, parse_attributes, series_limit, alias_bytes)


def ids(
    c: Catalog, *attributes: bytes, statistics: tuple[Statistic, ...] = VALUE, source: Source = SOURCE
) -> list[int]:
    return [int(i) for i in c.resolve(source, attributes, statistics)[:, 0]]


def test_the_order_of_attributes_is_no_part_of_the_identity() -> None:
    attributes = [("a", 1), ("b", "x"), ("ü", True)]
    c = catalog()
    assert {*ids(c, *(raw(dict(p)) for p in permutations(attributes)))} == {0}
    assert len(c) == 1


def test_another_encoding_is_another_alias_of_the_same_series() -> None:
    c = catalog()
    assert ids(c, b'{"a":1}', b'{ "a" : 1 }', b'{"\\u0061":1}') == [0, 0, 0]
    assert c.alias_of(0) == (SOURCE, b'{"\\u0061":1}')


def test_values_that_python_calls_equal_are_different_series() -> None:
    values: list[Any] = [1, 1.0, True, "1", "true", "1.0", None, [1], [True], {"k": 1}]
    c = catalog()
    assert ids(c, *(raw({"a": v}) if not isinstance(v, list | dict) else raw({"a": str(v)}) for v in values)) == list(
        range(len(values))
    )


@pytest.mark.parametrize(("one", "other"), [("é", "e\u0301"), ("K", "\u212a"), ("", " "), ("a\x00", "a"), ("ß", "ss")])
def test_text_is_compared_code_point_by_code_point(one: str, other: str) -> None:
    assert ids(catalog(), raw({"a": one}), raw({"a": other}), raw({one: 1}), raw({other: 1})) == [0, 1, 2, 3]


def test_metric_names_differ_by_more_than_case_and_units_and_kinds_count() -> None:
    c = catalog()
    sources = [
        Source(SOURCE.resource, b"scope", metric, unit, kind)
        for metric, unit, kind in [
            ("requests", "1", Kind.GAUGE),
            ("Requests", "1", Kind.GAUGE),
            ("requests", "ms", Kind.GAUGE),
            ("requests", "1", Kind.UPDOWN_CUMULATIVE),
        ]
    ]
    assert [ids(c, b"{}", source=s)[0] for s in sources] == [0, 0, 1, 2]


def test_statistics_of_one_point_are_neighbours_and_a_known_point_gets_them_again() -> None:
    c = catalog()
    first = c.resolve(SOURCE, [b"{}", raw({"a": 1}), b"{}"], TWO)
    np.testing.assert_array_equal(first, [[0, 1], [2, 3], [0, 1]])
    np.testing.assert_array_equal(c.resolve(SOURCE, [raw({"a": 1})], TWO), [[2, 3]])
    assert [k.statistic for k in c.keys] == [*TWO, *TWO]


@pytest.mark.parametrize("broken", ["attributes", "resource"])
def test_bytes_that_cannot_be_parsed_spoil_their_own_point_only(broken: str) -> None:
    c = catalog()
    source = Source(b"{" if broken == "resource" else b"{}", b"scope", "m", "1", Kind.GAUGE)
    attributes = b"{" if broken == "attributes" else b"{}"
    assert ids(c, b'{"a": 1}', attributes, source=source)[1] == MALFORMED
    assert ids(c, attributes, source=source) == [MALFORMED]
    assert ids(c, b'{"a": 1}') == [len(c) - 1]


def test_the_series_limit_refuses_the_new_and_keeps_the_known() -> None:
    c = catalog(series_limit=5)
    known = [raw({"a": i}) for i in range(2)]
    before = c.resolve(SOURCE, known, TWO)
    flood = c.resolve(SOURCE, [raw({"uuid": i}) for i in range(50)], TWO)
    assert (flood == REFUSED).all(), "one series is left, but a point of this kind needs two"
    np.testing.assert_array_equal(c.resolve(SOURCE, known, TWO), before)
    assert len(c) == 4


def test_what_the_names_of_all_series_take_is_bounded_too() -> None:
    c = Catalog(parse_attributes, parse_scope, parse_attributes, 1000, 1 << 20, identity_bytes=20_000)
    big = [raw({"k": str(i) * 4096}) for i in range(9)]
    found = ids(c, *big)
    assert found == [0, 1, 2, *[REFUSED] * 6]
    assert c.room == 0
    assert ids(c, big[0]) == [0]
    restored = Catalog(parse_attributes, parse_scope, parse_attributes, 1000, 1 << 20, identity_bytes=20_000)
    restored.restore(enumerate(c.keys))
    assert ids(restored, *big) == found


def test_while_nothing_new_is_taken_what_exists_goes_on() -> None:
    c = catalog()
    assert ids(c, raw({"a": 1})) == [0]
    c.takes_new = False
    c.forget_aliases()
    assert ids(c, raw({"a": 1}), raw({"a": 2})) == [0, REFUSED]
    c.takes_new = True
    c.forget_aliases()
    assert ids(c, raw({"a": 1}), raw({"a": 2})) == [0, 1]


def test_the_alias_table_is_bounded_and_forgetting_an_alias_changes_no_id() -> None:
    c = catalog(alias_bytes=20_000)
    hot = raw({"hot": 1})
    for i in range(2000):
        blanks = b" " * i
        assert ids(c, blanks + b'{"a": 1}', hot) == [0, 1]
        tables = [*c._aliases.values(), *c._older_aliases.values()]
        assert sum(len(table.row_of) for table in tables) <= 250


def test_an_alias_in_use_is_never_parsed_again() -> None:
    parsed: list[bytes] = []

    def parse(data: bytes) -> Attributes:
        parsed.append(data)
        return parse_attributes(data)

    c = Catalog(parse_attributes, parse_scope, parse, 1000, alias_bytes=20_000)
    hot = raw({"hot": 1})
    for i in range(1000):
        ids(c, b" " * i + b'{"a": 1}', hot)
    assert parsed.count(hot) == 1


def test_new_series_are_handed_out_once_and_survive_a_restart() -> None:
    c = catalog()
    ids(c, raw({"a": 1}), raw({"b": [2.5][0]}), statistics=TWO)
    new = c.take_new()
    assert [series for series, _ in new] == [0, 1, 2, 3]
    assert c.take_new() == []
    again = catalog()
    again.restore([(series, SeriesKey.from_json(key.to_json())) for series, key in new])
    assert again.alias_of(0) is None
    assert ids(again, raw({"b": 2.5}), raw({"a": 1}), raw({"c": 1}), statistics=TWO) == [2, 0, 4]
    assert [series for series, _ in again.take_new()] == [4, 5]


def test_ids_in_disorder_are_not_loaded() -> None:
    c = catalog()
    ids(c, b"{}", b'{"a": 1}')
    entries = c.take_new()
    with pytest.raises(ValueError, match="series id 0 where 2 or more was expected"):
        catalog().restore(entries[::-1])


def test_ids_of_forgotten_series_are_given_again_smallest_first() -> None:
    c = catalog(series_limit=4)
    ids(c, *(raw({"a": n}) for n in range(4)))
    entries = c.take_new()
    again = catalog(series_limit=4)
    again.restore([entries[1], entries[3]])
    assert (len(again), again.room, list(again.made)) == (4, 2, [1, 3])
    assert [again.keys[series] is VACANT for series in range(4)] == [True, False, True, False]
    assert ids(again, raw({"a": 3}), raw({"b": 1}), raw({"a": 0}), raw({"c": 1})) == [3, 0, 2, REFUSED]
    assert [series for series, _ in again.take_new()] == [0, 2]
    assert again.keys[2] == entries[0][1]
    again.idle = 1
    assert ids(again, raw({"c": 1})) == [4]


def test_keys_that_belong_together_come_together_or_not_at_all() -> None:
    c = catalog(series_limit=2)
    ids(c, b"{}", b'{"a": 1}')
    known, other = c.keys[0], SeriesKey.from_json(c.keys[1].to_json().replace("requests", "other"))
    assert c.intern([known, other]).tolist() == [0, REFUSED]
    assert c.intern([known, other], beyond_limit=True).tolist() == [0, 2]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.text(max_size=3), scalars, max_size=3), max_size=8), st.randoms())
def test_two_attribute_sets_share_a_series_exactly_when_they_are_the_same(
    sets: list[dict[str, Any]], random: Any
) -> None:
    shuffled = [dict(random.sample(list(s.items()), len(s))) for s in sets]
    c = catalog()
    found = ids(c, *(raw(s) for s in (*sets, *shuffled)))
    # JSON text with sorted keys tells 1, 1.0, true and "1" apart, as identities must
    texts = [json.dumps(s, sort_keys=True) for s in (*sets, *shuffled)]
    for text, series in zip(texts, found, strict=True):
        assert found[texts.index(text)] == series
    assert len(set(found)) == len(set(texts))


def test_a_metric_in_two_kinds_is_said_once() -> None:
    room = Room()
    for kind in (Kind.GAUGE, Kind.COUNTER_CUMULATIVE, Kind.COUNTER_DELTA, Kind.GAUGE):
        room.take_metrics(numbers(kind, [({}, None, 10, 1.0), ({"a": 1}, None, 10, 1.0)]), now=100)
    assert room.catalog.take_mixed() == [
        "metric 'm' of 'unknown_service' comes as gauge in 1 and counter_cumulative in 1: series of each"
    ]
    assert room.catalog.take_mixed() == []


def test_a_block_that_comes_again_is_the_same_series_in_whatever_order_and_part() -> None:
    c, block = catalog(), [raw({"a": i}) for i in range(9)]
    for _ in range(4):
        assert list(c.resolve(SOURCE, block, VALUE)[:, 0]) == list(range(9))
        assert list(c.resolve(SOURCE, block[:1] + block[:0:-1], VALUE)[:, 0]) == [0, *range(8, 0, -1)]
        assert list(c.resolve(SOURCE, block[3:6], VALUE)[:, 0]) == [3, 4, 5]
    assert ids(c, *block, statistics=TWO) == list(range(9, 27, 2))
    assert [c.resolve(SOURCE, [*block[:8], raw({"a": 9})], VALUE)[8, 0] for _ in range(3)] == [27] * 3


def test_a_block_that_came_again_makes_room_for_what_is_new_once_there_is_some() -> None:
    c, block = catalog(series_limit=2), [raw({"a": i}) for i in range(3)]
    assert [list(c.resolve(SOURCE, block, VALUE)[:, 0]) for _ in range(3)] == [[0, 1, REFUSED]] * 3
    c.idle = 1
    assert list(c.resolve(SOURCE, block, VALUE)[:, 0]) == [0, 1, 2]


@settings(max_examples=50)
@given(blocks=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=30))
def test_blocks_give_what_each_of_their_points_gives(blocks: list[list[int]]) -> None:
    c = catalog(alias_bytes=2_000)  # a generation of ten aliases
    for block in blocks:
        attributes = [raw({"a": i}) for i in block]
        one_by_one = [ids(c, a)[0] for a in attributes]
        for _ in range(3):
            assert list(c.resolve(SOURCE, attributes, VALUE)[:, 0]) == one_by_one
