from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from collector_processor.config.policy import PolicyConfig
from collector_processor.forecast.local_time import day_of
from collector_processor.policy import Policies
from collector_processor.telemetry.rule import Direction
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from tests.policy.test_policies import policies
from tests.policy.test_selector import KEY

SECOND = 1_000_000_000
RATE = replace(KEY, statistic=Statistic.RATE)


def nowhere(_: SeriesKey) -> int:
    return -1


def rule(*blocks: dict[str, Any]) -> Any:
    return policies(*({"detect": block} for block in blocks)).rules([KEY], nowhere)[0]


def times(*texts: str) -> np.ndarray[Any, Any]:
    return np.array([int(np.datetime64(text, "s").astype(np.int64)) * SECOND for text in texts])


def test_without_policies_a_series_has_the_defaults_of_its_kind() -> None:
    found = rule()
    assert (found["direction"], found["threshold"], found["least_events"]) == (Direction.UP, 1.25, 10.0)
    assert found["limits"].tolist() == (0.005, 0.1, 0.0, np.inf)
    assert not found["has_bounds"]


def test_a_later_block_overrides_only_what_it_sets() -> None:
    found = rule({"direction": "down", "min_deviation": 2.0, "threshold": 1.5}, {"direction": "both"})
    assert (found["direction"], found["threshold"]) == (Direction.BOTH, 1.5)
    assert found["limits"]["least"] == 2.0
    assert found["limits"]["least_share"] == 0.1


def test_a_profile_is_a_threshold_by_name_and_a_threshold_beside_it_is_more_exact() -> None:
    assert [rule({"profile": name})["threshold"] for name in ("agile", "basic", "robust")] == [1.15, 1.25, 1.45]
    assert rule({"profile": "robust"}, {"profile": "agile"})["threshold"] == 1.15
    assert rule({"profile": "robust", "threshold": 2.0})["threshold"] == 2.0
    assert Policies([], 1.4).rules([KEY], nowhere)[0]["threshold"] == 1.4


def test_series_of_one_metric_are_a_family_whatever_their_attributes() -> None:
    others = [replace(KEY, attributes=(("pod", "b"),)), RATE, replace(KEY, metric="another")]
    own, like, *unlike = Policies().rules([KEY, *others], nowhere)["family"].tolist()
    assert own == like > 0
    assert len({own, *unlike}) == 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [("above", Direction.UP), ("below_expected", Direction.DOWN), ("above_expected", Direction.UP)],
)
def test_the_words_of_other_tools_for_a_direction_are_understood(word: str, meant: Direction) -> None:
    assert rule({"direction": word})["direction"] == meant


def test_bounds_of_an_operator_replace_those_of_the_kind() -> None:
    found = rule({"bounds": {"max": 5}})
    assert (found["limits"]["low"], found["limits"]["high"], found["has_bounds"]) == (-np.inf, 5.0, True)


def test_a_stated_kind_brings_its_defaults() -> None:
    found = rule({"kind": "utilisation"})
    assert (found["direction"], found["limits"]["least"], found["limits"]["high"]) == (Direction.BOTH, 0.05, 1.0)


def test_a_latency_is_counted_by_the_rate_of_the_same_histogram() -> None:
    asked: list[SeriesKey] = []

    def find(key: SeriesKey) -> int:
        asked.append(key)
        return 7

    found = policies().rules([KEY, RATE], find)
    assert found["companion"].tolist() == [7, -1]
    assert asked == [RATE]


def test_an_error_ratio_of_spans_is_counted_by_their_calls() -> None:
    attributes = (("span.kind", "server"), ("span.name", "GET /"))
    key = SeriesKey(KEY.resource, Scope(), "traces.span.errors", "1", Kind.SPAN, Statistic.ERROR_RATIO, attributes)
    calls = replace(key, metric="traces.span.calls", unit="{span}/s", statistic=Statistic.RATE)
    assert policies().rules([key], lambda k: 3 if k == calls else -1)["companion"].tolist() == [3]


def test_maintenance_windows_add_up_and_follow_the_clocks_of_the_policy(tmp_path: Path) -> None:
    file = tmp_path / "freeze.ics"
    file.write_text(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:t\nBEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20260310\n"
        "DTEND;VALUE=DATE:20260311\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    once = {"from": "2026-03-01T22:00", "until": "2026-03-02T02:00"}
    weekly = {"from": "2026-01-04T03:00", "until": "2026-01-04T04:00", "rule": "FREQ=WEEKLY;BYDAY=SU"}
    found = policies(
        {"forecast": {"time_zone": "Europe/Berlin"}, "detect": {"maintenance": [once, weekly]}},
        {"detect": {"maintenance": [{"ical": str(file)}]}},
    )
    assert found.rules([KEY, RATE], nowhere)["maintenance"].tolist() == [1, 1]
    (windows,) = found.maintenance
    inside = times("2026-03-01T21:00", "2026-03-02T00:59", "2026-03-22T02:00", "2026-03-29T01:30", "2026-03-10T12:00")
    outside = times("2026-03-01T20:59", "2026-03-02T01:00", "2026-03-29T02:30", "2026-03-11T00:00", "2025-12-28T02:00")
    assert windows.covers(inside).all()
    assert not windows.covers(outside).any()
    assert found.forecast(KEY).maintenance == windows


def test_windows_across_the_edge_of_what_is_worked_out_at_once_are_whole() -> None:
    edge = 640 * 32  # a block of days begins
    window = {"from": f"{day_of(edge - 1)}T20:00:00+00:00", "until": f"{day_of(edge)}T04:00:00+00:00"}
    found = policies({"detect": {"maintenance": [window]}})
    found.rules([KEY], nowhere)
    midnight = edge * 86_400 * SECOND
    asked = midnight + np.array([-5, -4, -1, 0, 3, 4]) * 3600 * SECOND
    assert found.maintenance[0].covers(asked).tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"direction": "sideways"}, "'both', 'up' or 'down'"),
        ({"bounds": {"min": 2, "max": 1}}, "min 2 must be less than max 1"),
        ({"maintenance": [{"from": "2026-03-01T22:00"}]}, "either from and until, or ical"),
        ({"maintenance": [{"from": "2026-03-02", "until": "2026-03-01"}]}, "must come after from"),
        ({"maintenance": [{"from": "2026-03-01T00:00Z", "until": "2026-03-02T00:00"}]}, "or neither"),
        ({"maintenance": [{"from": "2026-03-01", "until": "2026-03-02", "rule": "FREQ=SECONDLY"}]}, "RRULE"),
    ],
)
def test_a_block_that_cannot_be_meant_is_refused(block: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PolicyConfig.model_validate({"detect": block})
