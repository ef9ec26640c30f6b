"""Searching many series, by index where there is one, finds what looking at each of them finds."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from grafana_datasource.directory import Directory
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.vector import sort_key
from grafana_datasource.selection import select


def keys(count: int) -> Iterator[tuple[int, SeriesKey]]:
    for i in range(count):
        statistic = Statistic.TOTAL if i % 5 == 0 else Statistic.RATE
        attributes = (("pod", f"pod-{i}"), *((("zone", f"z{i % 3}"),) if i % 4 else ()))
        resource = (("service.name", f"s{i % 7}"),)
        yield i, SeriesKey(resource, Scope(), f"m{i % 3}", "", Kind.COUNTER_CUMULATIVE, statistic, attributes)


WHOLE = Directory().with_series(list(keys(60)))
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["service_name", "pod", "zone", "statistic", "nowhere", "band", "title"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "s1", "s[12]", "pod-1", "pod-.*", "z0", "z1|z2", ".*", ".+", "rate", "alert", "calibrated"]),
)


@given(st.lists(MATCHERS, max_size=3))
def test_a_search_finds_exactly_what_meets_all_matchers(matchers: list[Matcher]) -> None:
    found = [group.labels(entry) for group in select(WHOLE, matchers) for entry in group.entries]
    everything = [group.labels(entry) for group in select(WHOLE, []) for entry in group.entries]
    meant = [labels for labels in everything if all(matcher.matches(labels) for matcher in matchers)]
    assert sorted(map(sort_key, found)) == sorted(map(sort_key, meant))


def test_series_added_later_are_found_and_the_older_directory_stays_as_it_was() -> None:
    rows = list(keys(60))
    first = Directory().with_series(rows[:20])
    both = first.with_series(rows[20:])
    assert len(first.entries) == 20
    assert sum(map(len, first.texts["service_name"].values())) == 20
    assert both.next_series == 60
    assert both.texts == WHOLE.texts
    assert both.by_name == WHOLE.by_name
    assert list(both.modelled) == list(WHOLE.modelled)


@pytest.mark.parametrize("name", ["m1_rate", "m1_total", "foreband_yhat", "m1_rate:actual", "y", "anomaly_score"])
def test_a_name_narrows_before_any_label_is_looked_at(name: str) -> None:
    groups = select(WHOLE, [Matcher("__name__", "=", name)])
    assert [group.name for group in groups] == [name]
