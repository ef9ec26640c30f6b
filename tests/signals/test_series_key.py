"""The identity of a series as text: it names the series in every store, so it may never change."""

import json
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from collector_processor.telemetry import series
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic, tagged

texts = st.text(st.characters(), max_size=12) | st.text(st.characters(max_codepoint=127), max_size=12)
values = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary(max_size=4)
attributes = st.dictionaries(texts, values | st.tuples(values, values), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)


@given(attributes, texts, attributes)
def test_the_identity_is_json_in_ascii_whatever_the_names_are(
    resource: Attributes, name: str, points: Attributes
) -> None:
    key = SeriesKey(resource, Scope(name, "1"), name, "1", Kind.GAUGE, Statistic.VALUE, points)
    parts = [tagged(resource), [name, "1", []], name.lower(), "1", "gauge", "value", tagged(points)]
    assert key.identity == json.dumps(parts, separators=(",", ":")).encode()
    assert SeriesKey.from_json(key.to_json()) == key


def test_half_of_a_surrogate_pair_in_a_name_is_a_name_like_any_other() -> None:
    key = SeriesKey((), Scope("\ud800"), "a\ud800", "1", Kind.GAUGE, Statistic.VALUE, ())
    assert SeriesKey.from_json(key.to_json()) == key


def _read(points: Attributes) -> SeriesKey:
    key = SeriesKey((("host.name", "h"),), Scope("s"), "m", "1", Kind.GAUGE, Statistic.VALUE, points)
    return SeriesKey.from_json(key.to_json())


def test_what_two_series_have_in_common_is_held_once() -> None:
    one, other = (_read((("cpu", i), ("disk", "sda"))) for i in (0, 1))
    assert one.resource is other.resource
    assert one.scope is other.scope
    assert one.attributes[1] is other.attributes[1]


def test_values_that_are_equal_and_of_other_types_are_not_held_once() -> None:
    kinds = [type(_read((("a", value),)).attributes[0][1]) for value in (1, True, 1.0, "1")]
    assert kinds == [int, bool, float, str]


def test_an_identity_takes_no_more_memory_than_it_is_long() -> None:
    tracemalloc.start()
    try:
        keys = [_read((("cpu", i),)) for i in range(100)]
        taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, series.__file__)])
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in taken.traces) < 2_000 * len(keys)
