import pytest

from collector_processor.clock import DAY
from collector_processor.config.policy import PolicyConfig
from collector_processor.forecast.capacity import Bound
from collector_processor.policy import Policies
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic


def gauge(metric: str, unit: str = "1") -> SeriesKey:
    return SeriesKey((), Scope(), metric, unit, Kind.GAUGE, Statistic.VALUE, ())


def bound(key: SeriesKey, *policies: dict[str, object]) -> Bound | None:
    return Policies([PolicyConfig.model_validate(policy) for policy in policies]).bound(key)


@pytest.mark.parametrize(
    ("key", "limit"), [(gauge("system.cpu.utilization"), 1.0), (gauge("disk.used_percent", "%"), 100.0)]
)
def test_utilisation_should_not_reach_all_there_is(key: SeriesKey, limit: float) -> None:
    assert bound(key) == Bound(limit, 1, 30 * DAY)


def test_nothing_else_has_a_bound_by_itself() -> None:
    assert bound(gauge("queue.length", "{message}")) is None


def test_later_policies_override_what_they_set() -> None:
    policies: list[dict[str, object]] = [
        {"capacity": {"limit": 10.0, "direction": "down"}},
        {"capacity": {"horizon": "7d"}},
    ]
    assert bound(gauge("queue.length", "{message}"), *policies) == Bound(10.0, -1, 7 * DAY)


def test_a_bound_can_be_taken_away() -> None:
    assert bound(gauge("system.cpu.utilization"), {"capacity": {"limit": None}}) is None
