"""Who calls whom: ends of calls of any order and request, peers, decay, bounds, and what others measured."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import MINUTE
from collector_processor.signals.service_graph import ENDS_PER_SECOND, HALF_LIFE, MOST_EDGES, MOST_PEERS
from collector_processor.telemetry.arrival import Peer, SpanArrivals
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic
from collector_processor.telemetry.service_graph import Edge, ServiceGraph
from tests.signals.room import START, Room, at, spans

SERVER, CLIENT, INTERNAL, PRODUCER, CONSUMER = 2, 3, 1, 4, 5
BOTH = (("web", CLIENT), ("cart", SERVER))


def end(
    service: str, kind: int, link: int, *, failed: bool = False, seconds: float = 0.1, when: float = 1.0
) -> SpanArrivals:
    """Return one span that is an end of the call `link`."""
    one = spans([(service, "call", when, seconds, failed)], kind)
    return replace(one, link=np.array([link], np.int64))


def seen(room: Room, seconds: float = 60.0) -> dict[tuple[str, str], Edge]:
    graph = room.spans.graph.graph(at(seconds))
    return {(edge.client, edge.server): edge for edge in graph.edges}


def taken(*ends: SpanArrivals, room: Room | None = None) -> Room:
    room = room or Room()
    for each in ends:
        room.take_spans(each, now=1.0)
    return room


def eight_calls() -> Room:
    return taken(*(end(service, kind, link) for link in range(1, 9) for service, kind in BOTH))


@pytest.mark.parametrize(("caller", "callee"), [(CLIENT, SERVER), (PRODUCER, CONSUMER)])
def test_a_span_and_its_parent_in_another_service_are_a_call(caller: int, callee: int) -> None:
    room = taken(end("web", caller, 7), end("cart", callee, 7, failed=True, seconds=0.3))
    assert set(seen(room)) == {("web", "cart")}
    edge = seen(room)["web", "cart"]
    assert (edge.is_peer, edge.errors) == (False, 1.0)
    assert edge.seconds == pytest.approx(0.3)


@settings(max_examples=30)
@given(st.permutations(range(6)), st.booleans())
def test_the_order_in_which_ends_come_does_not_matter(order: list[int], is_one_batch: bool) -> None:
    ends = [end("web", CLIENT, i) for i in (1, 2, 3)] + [end("cart", SERVER, i) for i in (1, 2, 3)]
    shuffled = [ends[i] for i in order]
    room = Room()
    if is_one_batch:
        room.spans.consume(shuffled, at(1.0))
    else:
        taken(*shuffled, room=room)
    found = seen(room)
    assert set(found) == {("web", "cart")}
    assert found["web", "cart"].calls == pytest.approx(3 / 60, rel=0.02)


def test_calls_within_a_service_roots_and_internal_spans_are_no_edges() -> None:
    room = taken(
        end("web", CLIENT, 1),
        end("web", SERVER, 1),
        end("cart", SERVER, 0),
        end("cart", INTERNAL, 2),
        end("mail", SERVER, 2),
    )
    assert seen(room) == {}


def test_spans_that_are_not_taken_are_no_calls() -> None:
    wrong = replace(end("cart", SERVER, 1), start_unix_nano=np.array([0], np.int64))
    assert seen(taken(end("web", CLIENT, 1), wrong)) == {}


def test_a_past_that_is_brought_is_no_rate_of_now() -> None:
    room = Room()
    room.spans.consume([end("web", CLIENT, 1), end("cart", SERVER, 1)], at(700.0))
    assert seen(room, 760.0) == {}


def test_a_peer_is_an_edge_only_where_its_other_side_shows_no_span() -> None:
    met = replace(end("web", CLIENT, 1), peers=[Peer(1, "cart:8080", 1.0)])
    alone = replace(end("web", CLIENT, 2, failed=True, seconds=0.5), peers=[Peer(2, "postgres", 5.0)])
    room = taken(met, alone, end("cart", SERVER, 1))
    assert set(seen(room, 20.0)) == {("web", "cart")}  # its server may still come
    assert set(seen(room, 40.0)) == {("web", "cart"), ("web", "postgres")}
    edge = seen(room, 60.0)["web", "postgres"]
    assert (edge.is_peer, edge.errors, edge.seconds) == (True, 1.0, 0.5)
    assert edge.calls == pytest.approx(5 / 60, rel=0.02)


def test_a_call_counts_half_after_a_half_life_and_is_forgotten_in_the_end() -> None:
    early, late = eight_calls().spans.graph, at(1.0) + HALF_LIFE
    early.match(at(1.0))
    rate = early.graph(at(1.0) + MINUTE).edges[0].calls
    assert rate == pytest.approx(8 / 60, rel=0.02)
    half_life = HALF_LIFE / 10**9
    assert early.graph(late).edges[0].calls == pytest.approx(8 * 0.5 * np.log(2) / half_life / 0.5)
    assert early.graph(at(1.0) + 5 * HALF_LIFE).edges == ()


def test_a_steady_rate_is_the_rate_however_long_it_goes_on() -> None:
    room = Room()
    for minute in range(90):
        for i in range(6):
            link = 1 + minute * 6 + i
            both = [end("web", CLIENT, link, when=60.0 * minute), end("cart", SERVER, link, when=60.0 * minute)]
            room.spans.consume(both, START + minute * MINUTE)
            room.spans.flush(START + minute * MINUTE)
    assert seen(room, 90 * 60)["web", "cart"].calls == pytest.approx(0.1, rel=0.05)


def test_what_was_saved_goes_on() -> None:
    room = eight_calls()
    saved = room.spans.graph.graph(at(60.0))
    other = Room()
    other.spans.graph.restore(ServiceGraph.from_bytes(saved.to_bytes()))
    (before,), (after,) = room.spans.graph.graph(at(90.0)).edges, other.spans.graph.graph(at(90.0)).edges
    assert after.calls == pytest.approx(before.calls)
    assert (after.errors, after.seconds) == pytest.approx((before.errors, before.seconds))


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"{", b'{"edges": [{"a": 1}]}', b'{"other": 1}'])
def test_a_graph_that_cannot_be_read_is_counted_anew(raw: bytes | None) -> None:
    assert ServiceGraph.from_bytes(raw) == ServiceGraph()


def test_edges_and_peers_are_bounded_and_what_is_too_much_is_counted() -> None:
    room = Room()
    for i in range(MOST_PEERS + 3):
        alone = replace(end("web", CLIENT, i + 1), peers=[Peer(i + 1, f"peer-{i}", 1.0)])
        room.spans.consume([alone], at(1.0))
    graph = room.spans.graph.graph(at(60.0))
    assert len(graph.edges) == MOST_PEERS
    assert graph.dropped == 3
    assert MOST_EDGES > MOST_PEERS


def test_ends_that_share_a_place_lose_calls_but_never_make_wrong_ones() -> None:
    room = Room()
    same = [1 + (i << 48) ^ (i << 16) for i in range(50)]
    for link in same:
        room.spans.consume([end("web", CLIENT, link)], at(1.0))
    for link in same:
        room.spans.consume([end("cart", SERVER, link)], at(1.0))
    found = seen(room)
    assert set(found) <= {("web", "cart")}
    assert sum(edge.calls for edge in found.values()) * 60 <= 50 * 1.02


def test_of_much_traffic_a_share_is_looked_at_and_stands_for_all() -> None:
    room, random = Room(), np.random.default_rng(1)
    rate = 3 * ENDS_PER_SECOND
    for second in range(24):
        links = random.integers(1, 2**63 - 1, rate // 2)
        rows = [spans([(service, "call", float(second), 0.1, False)] * links.size, kind) for service, kind in BOTH]
        room.spans.consume([replace(row, link=links) for row in rows], at(second))
        room.spans.flush(at(second))
    edge = seen(room, 40.0)["web", "cart"]
    assert edge.calls * 60 / 24 == pytest.approx(rate / 2, rel=0.1)  # a minute is the least that a rate is taken over


def test_a_measured_edge_stands_for_what_was_counted() -> None:
    room = taken(end("web", CLIENT, 1), end("cart", SERVER, 1))
    attributes = (("client", "web"), ("server", "cart"))
    keys = [
        SeriesKey((), room.keys[0].scope, f"traces_service_graph_request_{name}", "", kind, statistic, attributes)
        for name, kind, statistic in (
            ("total", Kind.COUNTER_CUMULATIVE, Statistic.RATE),
            ("failed_total", Kind.COUNTER_CUMULATIVE, Statistic.RATE),
            ("server_seconds", Kind.HISTOGRAM_CUMULATIVE, Statistic.MEAN),
        )
    ]
    ids = room.catalog.intern(keys).astype(np.int32)
    room.spans.note(PointBatch(ids, np.full(3, at(30.0)), np.array([4.0, 1.0, 0.2])))
    assert seen(room)["web", "cart"] == Edge("web", "cart", False, 4.0, 0.25, 0.2)
    assert seen(room, 3600) == {}  # nobody measured it for long, and what was counted is forgotten
