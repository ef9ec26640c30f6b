from dataclasses import replace
from typing import Any

import pytest

from collector_processor.config.policy import MatchConfig
from collector_processor.policy.selector import Selector
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic

KEY = SeriesKey(
    resource=(("host.name", "web-1"), ("service.name", "shop")),
    scope=Scope("tests", "", ()),
    metric="http.server.Duration",
    unit="s",
    kind=Kind.HISTOGRAM_DELTA,
    statistic=Statistic.P95,
    attributes=(("code", 200), ("http.route", "/pay/{id}"), ("is_slow", True)),
)


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"metric": "HTTP.server.duration"},
        {"metric": "http.*", "service": "sh?p", "unit": "s", "statistic": "p*"},
        {"attributes": {"http.route": "/pay/*", "code": "200", "is_slow": "true"}},
        {"attributes": {"host.name": "web-*"}},
    ],
)
def test_a_series_matches_what_it_is(match: dict[str, Any]) -> None:
    assert Selector(MatchConfig(**match)).matches(KEY)


@pytest.mark.parametrize(
    "match",
    [
        {"metric": "http.*", "service": "cart"},
        {"metric": "http"},
        {"service": "Shop"},
        {"unit": ""},
        {"statistic": "p50"},
        {"attributes": {"http.route": "/pay/?"}},
        {"attributes": {"region": "*"}},
    ],
)
def test_one_thing_that_differs_is_enough_not_to_match(match: dict[str, Any]) -> None:
    assert not Selector(MatchConfig(**match)).matches(KEY)


def test_an_attribute_of_the_series_comes_before_that_of_its_resource() -> None:
    key = replace(KEY, attributes=(("host.name", "db-1"),))
    assert not Selector(MatchConfig(attributes={"host.name": "web-1"})).matches(key)
    assert Selector(MatchConfig(attributes={"host.name": "db-1"})).matches(key)
