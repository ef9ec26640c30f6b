from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.incidents.correlate import Correlator
from collector_processor.incidents.topology import Topology
from collector_processor.telemetry.episode import DEVIATION, DRIFT, SILENCE
from collector_processor.telemetry.incident import MOST_MEMBERS, TOGETHER, Cause, Incident, Member
from collector_processor.telemetry.service_graph import Edge, ServiceGraph

START = 19_000 * DAY


def chain(*services: str, peers: tuple[str, ...] = ()) -> Topology:
    """Return a graph in which each service calls the next."""
    edges = [Edge(a, b, b in peers, 1.0, 0.0, 0.1) for a, b in pairwise(services)]
    return Topology(ServiceGraph(0, 0, tuple(edges)))


ALONE = chain()


def member(
    name: str, entity: str = "shop", at: float = 0.0, end: float | None = None, kind: str = DEVIATION, **more: bool
) -> Member:
    """Describe an episode of a series of its own; times in minutes from START."""
    until = None if end is None else START + round(end * MINUTE)
    return Member(
        name, f"series {name}", entity, "m", "value", "m", kind, "warning", 1, 1.5, START + round(at * MINUTE), until,
        **more,
    )  # fmt: skip


class Room:
    """A correlator that is told of episodes at once."""

    def __init__(self, topology: Topology = ALONE) -> None:
        self.correlator, self.topology = Correlator(), topology
        self.stored: dict[str, Incident] = {}

    def take(self, *members: Member) -> list[Incident]:
        for each in members:
            now = max(each.start_unix_nano, each.end_unix_nano or 0)
            self.correlator.take(each, self.topology, now)
            changed = self.correlator.take_changed()
            self.stored |= {incident.incident_id: incident for incident in changed}
        return list(self.stored.values())


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_lone_episode_is_no_incident(room: Room) -> None:
    assert room.take(member("a"), member("b", "elsewhere"), member("a", end=9.0)) == []


def test_two_series_of_one_service_at_about_the_same_time_are_one(room: Room) -> None:
    (found,) = room.take(member("a"), member("b", at=14.0))
    assert (found.entities, found.is_open, found.start_unix_nano) == (("shop",), True, START)
    assert [each.episode_id for each in found.members] == ["a", "b"]
    assert found.opened_unix_nano == START + 14 * MINUTE


def test_what_began_much_later_does_not_agree(room: Room) -> None:
    assert room.take(member("a"), member("b", at=16.0)) == []


def test_one_series_twice_does_not_agree_with_itself(room: Room) -> None:
    again = replace(member("a", at=5.0), episode_id="a2")
    assert room.take(member("a", end=1.0), again) == []


def test_two_services_on_one_path_agree_across_a_hop_that_shows_nothing() -> None:
    room = Room(chain("web", "queue", "worker"))
    (found,) = room.take(member("a", "web"), member("b", "worker", at=1.0))
    assert set(found.entities) == {"web", "worker"}


def test_services_that_do_not_call_each_other_do_not_agree() -> None:
    room = Room(chain("web", "a", "b", "far"))
    assert room.take(member("a", "web"), member("b", "far"), member("c", "other")) == []


def test_two_callers_of_one_database_agree() -> None:
    edges = [Edge(client, "db", True, 1.0, 0.0, 0.1) for client in ("orders", "stock")]
    room = Room(Topology(ServiceGraph(0, 0, tuple(edges))))
    (found,) = room.take(member("a", "orders"), member("b", "stock"))
    assert set(found.entities) == {"orders", "stock"}


def test_the_silence_of_everything_a_service_has_is_agreement(room: Room) -> None:
    (found,) = room.take(member("a", kind=SILENCE, is_whole=True))
    assert found.members[0].is_whole


def test_a_drift_belongs_to_no_incident(room: Room) -> None:
    assert room.take(member("a", kind=DRIFT), member("b")) == []


def test_it_ends_with_its_last_episode(room: Room) -> None:
    room.take(member("a"), member("b"), member("a", end=10.0))
    assert room.stored.popitem()[1].is_open
    (found,) = room.take(member("b", end=20.0))
    assert found.end_unix_nano == START + 20 * MINUTE


def test_what_begins_soon_after_the_end_opens_it_again_and_later_makes_another(room: Room) -> None:
    room.take(member("a"), member("b"), member("a", end=10.0), member("b", end=20.0))
    (found,) = room.take(member("c", at=79.0))
    assert (found.is_open, found.reopened) == (True, 1)
    room.take(member("c", at=79.0, end=80.0))
    assert len(room.take(member("d", at=141.0), member("e", at=141.0))) == 2


def test_what_begins_much_later_next_door_has_nothing_to_do_with_it() -> None:
    room = Room(chain("web", "shop"))
    room.take(member("a"), member("b"), member("c", "web", 36.0), member("d", "web", 37.0))
    assert [incident.entities for incident in room.stored.values()] == [("shop",), ("web",)]
    room.take(member("e", at=38.0))
    assert [len(incident.members) for incident in room.stored.values()] == [2, 3]
    assert not any(incident.merged_into for incident in room.stored.values())


@pytest.mark.parametrize(("last", "sizes"), [(50.0, [5]), (130.0, [2, 3])])
def test_a_swarm_stays_together_however_far_apart_its_series_were_first_far_out(
    room: Room, last: float, sizes: list[int]
) -> None:
    room.take(member("a"), member("b"))
    swarm = [member(name, at=at, kind=TOGETHER) for name, at in (("x", 10.0), ("y", 40.0), ("z", last))]
    room.correlator.take_group(swarm, ALONE, START + round(last * MINUTE))
    assert [len(incident.members) for incident in room.correlator.open_incidents()] == sizes


def test_its_onset_is_that_of_most_of_its_episodes(room: Room) -> None:
    late = [member(name, at=40.0 + minute) for minute, name in enumerate("cde")]
    (found,) = room.take(member("a"), member("b"), *late)
    assert (found.start_unix_nano, found.onset_unix_nano) == (START, START + 40 * MINUTE)


def test_an_episode_that_goes_on_after_its_end_opens_its_incident_again(room: Room) -> None:
    room.take(member("a"), member("b"), member("a", end=10.0), member("b", end=20.0))
    (found,) = room.take(member("b"))
    assert (found.is_open, found.reopened) == (True, 1)


def test_an_episode_that_links_two_incidents_merges_the_newer_into_the_older() -> None:
    room = Room(chain("a", "b", "c", "d", "e"))
    room.take(member("a1", "a"), member("a2", "a"), member("e1", "e", 1.0), member("e2", "e", 1.0))
    assert len(room.stored) == 2
    room.take(member("c", "c", 2.0))
    older, newer = sorted(room.stored.values(), key=lambda each: each.opened_unix_nano)
    assert newer.merged_into == older.incident_id
    assert not newer.is_open
    assert (len(older.members), set(older.entities)) == (5, {"a", "c", "e"})


def test_it_has_the_same_id_after_a_restart_and_goes_on(room: Room) -> None:
    (before,) = room.take(member("a"), member("b"))
    again = Room()
    again.correlator.restore([before])
    (after,) = again.take(member("c", at=3.0))
    assert (after.incident_id, len(after.members)) == (before.incident_id, 3)
    assert Room().take(member("a"), member("b"))[0].incident_id == before.incident_id


def test_what_was_found_out_of_causes_stays(room: Room) -> None:
    (found,) = room.take(member("a"), member("b"))
    cause = Cause("shop", is_peer=False, score=1.0, series="", evidence=())
    room.correlator.explain(found.incident_id, [cause], "", "It is the shop.")
    (after,) = room.take(member("c", at=1.0))
    assert (after.cause, after.sentence) == (cause, "It is the shop.")


def test_an_outage_of_thousands_of_series_keeps_some_by_name_and_counts_the_rest(room: Room) -> None:
    names = [str(number) for number in range(MOST_MEMBERS + 50)]
    (found,) = room.take(*map(member, names))
    assert (len(found.members), found.more) == (MOST_MEMBERS, 50)
    room.take(*(member(name, end=5.0) for name in names[:-1]))
    assert room.correlator.open_count == 1
    (found,) = room.take(member(names[-1], end=6.0))
    assert found.end_unix_nano == START + 6 * MINUTE


def test_it_forgets_what_cannot_change_any_more(room: Room) -> None:
    room.take(member("a"), member("b"), member("a", end=1.0), member("b", end=1.0), member("lone", "other"))
    room.correlator.expire(START + 2 * HOUR)
    assert room.correlator.__dict__ | {"_changed": {}, "_merged": []} == Correlator().__dict__


@given(st.permutations([member(name, at=at) for name, at in (("a", 0.0), ("b", 3.0), ("c", 6.0), ("d", 9.0))]))
def test_the_order_of_reports_does_not_matter(members: list[Member]) -> None:
    (found,) = Room().take(*members)
    assert {each.episode_id for each in found.members} == set("abcd")
    assert found.start_unix_nano == START
