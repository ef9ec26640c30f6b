from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import DAY, HOUR, ManualClock
from collector_processor.config.policy import CapacityPolicy, MatchConfig, PolicyConfig
from collector_processor.policy import Policies, PoliciesInForce
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from grafana_datasource.backend import Session
from grafana_datasource.budget import Budget
from grafana_datasource.capacity import Capacity
from grafana_datasource.outlook import Outlooks
from grafana_datasource.query import Limits
from tests.grafana.scene import CALLS, CPU, NOW, PAY, Scene
from tests.grafana.strict import body_of

NAMES = {key.stable_id: key for key in (CALLS, CPU, PAY)}


def limited(limit: float, name: str = "GET /cart") -> PolicyConfig:
    match = MatchConfig(metric="traces.span.calls", attributes={"span.name": name})
    return PolicyConfig(match=match, capacity=CapacityPolicy(limit=limit))


def client(scene: Scene, *policies: PolicyConfig, clock: ManualClock | None = None) -> FlaskClient:
    settings = Settings(
        partial(open_reader, scene.directory),
        clock=clock or ManualClock(NOW),
        policies=PoliciesInForce(Policies(policies)),
    )
    return create_app(settings).test_client()


def rows(asked: FlaskClient) -> dict[str, dict[str, float]]:
    return {NAMES[row["series"]].metric: row for row in body_of(asked.get("/api/v1/capacity"))}


def values(asked: FlaskClient, query: str) -> dict[str, float]:
    reply = asked.get("/prom/api/v1/query", query_string={"query": query, "time": NOW / 1e9})
    return {
        row["metric"].get("quantile", row["metric"].get("horizon")): float(row["value"][1])
        for row in body_of(reply)["data"]["result"]
    }


def test_only_utilisation_has_a_bound_by_itself(scene: Scene) -> None:
    found = rows(client(scene))
    assert list(found) == [CPU.metric]
    assert found[CPU.metric]["limit"] == 1.0


def test_a_series_that_comes_near_its_bound_every_day_reaches_it_at_the_busy_hour(scene: Scene) -> None:
    row = rows(client(scene, limited(140.0)))[CALLS.metric]
    assert row["probability"] > 0.9
    peak = (NOW / DAY % 1 * 24 + row["p50_seconds"] / 3600) % 24
    assert 11 <= peak <= 18  # of the day of CALLS


def test_a_series_far_below_its_bound_will_not_reach_it(scene: Scene) -> None:
    row = rows(client(scene, limited(5000.0)))[CALLS.metric]
    assert row["probability"] == 0.0
    assert row["p10_seconds"] is None


def test_nothing_is_said_of_a_time_that_the_model_does_not_hold_for(scene: Scene) -> None:
    row = rows(client(scene, limited(5000.0)))[CALLS.metric]
    assert row["horizon_seconds"] == pytest.approx(3 * 86_400, abs=3600)  # a window of three days, where 30 were asked


def test_the_same_figures_are_series(scene: Scene) -> None:
    asked = client(scene, limited(140.0))
    row = rows(asked)[CALLS.metric]
    of_calls = '{metric="traces.span.calls"}'
    assert values(asked, f"foreband_breach_probability{of_calls}") == {"30d": row["probability"]}
    seconds = values(asked, f"foreband_time_to_breach_seconds{of_calls}")
    assert seconds["0.5"] == row["p50_seconds"]
    assert sorted(seconds) == ["0.1", "0.5", "0.9"]


def test_a_likely_breach_is_an_annotation_of_the_future(scene: Scene) -> None:
    asked = client(scene, limited(140.0))
    span = {"from": (NOW - HOUR) // 10**6, "to": (NOW + 3 * DAY) // 10**6}
    told = [a for a in body_of(asked.get("/api/v1/annotations", query_string=span)) if "breach" in a["tags"]]
    assert [a["id"] for a in told] == [f"breach-{CALLS.stable_id}"]
    assert NOW // 10**6 < told[0]["time"] <= told[0]["timeEnd"]
    past = span | {"to": NOW // 10**6}
    assert not [a for a in body_of(asked.get("/api/v1/annotations", query_string=past)) if "breach" in a["tags"]]


def test_time_passes_between_two_looks(scene: Scene) -> None:
    clock = ManualClock(NOW)
    asked = client(scene, limited(140.0), clock=clock)
    first = rows(asked)[CALLS.metric]["p90_seconds"]
    clock.advance(10 * 60 * 10**9)
    assert rows(asked)[CALLS.metric]["p90_seconds"] == pytest.approx(first - 600)


@contextmanager
def lent(scene: Scene, samples_read: int = 5_000_000) -> Iterator[Session]:
    with closing(open_reader(scene.directory)) as reader:
        clock = ManualClock(NOW)
        outlook = Outlooks(clock, 1.0).current(reader)
        yield Session(reader, outlook, NOW, Budget.start(Limits(samples_read=samples_read), clock))


@pytest.mark.parametrize(("at_once", "samples_read"), [(1, 5_000_000), (100, 17_000)])
def test_a_question_looks_at_no_more_series_than_it_may(scene: Scene, at_once: int, samples_read: int) -> None:
    capacity = Capacity(PoliciesInForce(Policies([limited(140.0), limited(140.0, "POST /pay")])), at_once)
    counts = []
    for _ in range(4):
        with lent(scene, samples_read) as session:
            counts.append(len(capacity.found(session, session.outlook.directory.modelled)))
    assert counts == [1, 2, 3, 3]


def test_the_likeliest_breach_comes_first(scene: Scene) -> None:
    found = body_of(client(scene, limited(140.0)).get("/api/v1/capacity"))
    assert [row["metric"] for row in found] == [CALLS.metric, CPU.metric]
