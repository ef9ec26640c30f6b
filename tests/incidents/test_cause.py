from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.incidents.cause import NOBODY_STANDS_OUT, NOTHING_CHANGED, Scene, rank
from collector_processor.incidents.change import Change, Role, measured
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.service_graph import Edge, ServiceGraph


def graph(*calls: str, peers: tuple[str, ...] = ()) -> Topology:
    """Return a graph of calls written as `client>server`."""
    pairs = [call.split(">") for call in calls]
    return Topology(ServiceGraph(0, 0, tuple(Edge(a, b, b in peers, 1.0, 0.0, 0.1) for a, b in pairs)))


def slow(entity: str, by: float, role: Role = Role.DURATION) -> Change:
    return Change(entity, f"series of {entity}", f"{role.value} p95", role, 0.1, 0.1 + by, 0.005)


def failing(entity: str, share: float, role: Role = Role.ERRORS) -> Change:
    return Change(entity, f"series of {entity}", "error ratio", role, 0.0, share, 0.0)


SHOP = graph("web>checkout", "checkout>payment", "checkout>stock", "web>cart")


def named(scene: Scene) -> list[str]:
    return [cause.entity for cause in rank(scene).causes]


def test_the_deepest_service_whose_time_explains_the_others_is_the_cause() -> None:
    changes = [slow("web", 0.52), slow("checkout", 0.51), slow("payment", 0.5)]
    ranking = rank(Scene(["web", "checkout", "payment"], changes, SHOP))
    assert ranking.causes[0].entity == "payment"
    assert ranking.causes[0].score > 0.9
    assert ranking.causes[0].evidence[0].text == "duration p95 rose from 0.1 to 0.6"
    assert ranking.no_cause == ""


def test_a_symptom_is_not_the_cause_however_far_it_is_out() -> None:
    far = Change("web", "w", "duration p95", Role.DURATION, 0.1, 0.7, 0.0001)
    assert named(Scene(["web", "payment"], [far, slow("checkout", 0.6), slow("payment", 0.6)], SHOP))[0] == "payment"


def test_a_callee_that_became_a_little_slower_does_not_explain_a_caller_that_became_much_slower() -> None:
    changes = [slow("web", 1.0), slow("checkout", 1.0), slow("payment", 0.05)]
    assert named(Scene(["web", "checkout"], changes, SHOP))[0] == "checkout"


def test_blame_passes_through_a_service_that_shows_no_durations() -> None:
    changes = [slow("web", 0.5), slow("payment", 0.5)]
    assert named(Scene(["web"], changes, SHOP)) == ["payment"]


def test_errors_are_followed_to_where_they_are_made() -> None:
    changes = [failing("web", 0.1), failing("checkout", 0.2), failing("stock", 0.4)]
    assert named(Scene(["web", "checkout", "stock"], changes, SHOP))[0] == "stock"


def test_a_service_that_died_is_the_cause_of_its_callers_errors() -> None:
    changes = [failing("web", 0.9), failing("checkout", 0.9)]
    ranking = rank(Scene(["web", "checkout"], changes, SHOP, silent=frozenset({"payment"})))
    assert ranking.causes[0].entity == "payment"
    assert ranking.causes[0].evidence[0].kind == "silence"


def test_slow_calls_that_no_callee_explains_are_left_to_a_database_that_shows_nothing() -> None:
    shop = graph("web>orders", "orders>db", peers=("db",))
    changes = [slow("web", 0.5), slow("orders", 0.5), slow("orders", 0.45, Role.CALLING)]
    ranking = rank(Scene(["web", "orders"], changes, shop))
    assert (ranking.causes[0].entity, ranking.causes[0].is_peer) == ("db", True)
    assert named(Scene(["web", "orders"], changes[:2], shop))[0] == "orders"


def test_more_traffic_comes_from_the_first_who_gets_more() -> None:
    def more(entity: str) -> Change:
        return Change(entity, "s", "rate", Role.TRAFFIC, 10.0, 50.0, 0.5)

    assert named(Scene(["checkout", "web", "payment"], [more("web"), more("checkout"), more("payment")], SHOP)) == [
        "web"
    ]


def test_a_host_of_which_only_gauges_changed_is_its_own_cause() -> None:
    change = Change("node-7", "s", "system.memory.usage", Role.OTHER, 10.0, 50.0, 0.5, "By")
    (cause,) = rank(Scene(["node-7"], [change], graph())).causes
    assert (cause.entity, cause.series, cause.score) == ("node-7", "s", 1.0)
    assert cause.evidence[0].text == "system.memory.usage rose from 10 to 50 By"


def test_a_release_just_before_makes_one_of_two_the_likelier() -> None:
    shop = graph("web>cart", "web>checkout")
    changes = [slow("web", 1.0), slow("cart", 0.5), slow("checkout", 0.5)]
    ranking = rank(Scene(["web"], changes, shop, released={"checkout": "version 2 runs since 3 min before"}))
    assert ranking.causes[0].entity == "checkout"
    assert {each.kind for each in ranking.causes[0].evidence} == {"duration", "release"}


def test_where_nothing_changed_no_cause_is_named() -> None:
    ranking = rank(Scene(["web", "cart"], [slow("web", 0.001), slow("web", -0.5)], SHOP))
    assert (ranking.causes, ranking.no_cause) == ((), NOTHING_CHANGED)


def test_where_many_are_as_suspect_no_cause_is_named() -> None:
    names = [f"s{number}" for number in range(6)]
    ranking = rank(Scene(names, [slow(name, 0.5) for name in names], graph()))
    assert (ranking.causes, ranking.no_cause) == ((), NOBODY_STANDS_OUT)


def test_services_that_call_each_other_in_a_circle_come_to_an_end() -> None:
    changes = [slow("a", 0.5), slow("b", 0.5)]
    assert len(named(Scene(["a", "b"], changes, graph("a>b", "b>a")))) == 2


@given(
    st.lists(st.sampled_from(["a>b", "b>c", "c>a", "a>c", "b>d", "d>e", "e>b"]), unique=True),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.0, 10.0), min_size=1),
    st.sets(st.sampled_from("abcde")),
)
def test_shares_are_shares_whatever_the_graph(calls: list[str], amounts: dict[str, float], silent: set[str]) -> None:
    changes = [slow(entity, by) for entity, by in amounts.items()]
    causes = rank(Scene(sorted(amounts), changes, graph(*calls), frozenset(silent))).causes
    assert sum(cause.score for cause in causes) <= 1.0 + 1e-9
    assert all(a.score >= b.score > 0.0 for a, b in pairwise(causes))


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_change_found_a_minute_late_is_the_same_change(late: int) -> None:
    rng = np.random.default_rng(3)
    before = np.concatenate([rng.normal(0.1, 0.01, 120), np.full(late, 0.6)])
    found = measured("payment", "s", "p95", Role.DURATION, before, np.full(3, 0.6))
    assert found is not None
    assert found.amount == pytest.approx(0.5, abs=0.01)
    assert found.is_abnormal()


def test_too_few_points_say_nothing() -> None:
    assert measured("a", "s", "p95", Role.DURATION, np.full(4, 1.0), np.ones(3)) is None
    assert measured("a", "s", "p95", Role.DURATION, np.full(9, 1.0), np.full(3, np.nan)) is None
