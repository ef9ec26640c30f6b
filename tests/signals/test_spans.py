from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.signals.spans import CALLS, DURATION, ERRORS, SpanSignals
from collector_processor.signals.windows import WindowSettings
from collector_processor.telemetry.series import Statistic
from tests.signals.room import SECOND, START, Room, SpanRow, at, parse_attributes, raw, spans

RATE, RATIO, P50, P95, P99 = (
    Statistic.RATE,
    Statistic.ERROR_RATIO,
    Statistic.P50,
    Statistic.P95,
    Statistic.P99,
)
Named = dict[tuple[str, str, Statistic, float], float]
"""Service, span name, statistic, window end in seconds after `START`."""


def named(room: Room) -> Named:
    result = {}
    for (series, time), value in room.stored.items():
        key = room.keys[series]
        name = str(dict(key.attributes)["span.name"])
        result[key.service, name, key.statistic, (time - START) / SECOND] = value
    return result


def window(n: int, end: float = 60, name: str = "get", service: str = "shop") -> list[SpanRow]:
    """Return n spans in the window that ends at `end`, every fourth an error, of 1, 2, 3, ... ms."""
    return [(service, name, end - 60 + 59.0 * i / n, (i + 1) / 1000, i % 4 == 0) for i in range(n)]


def test_an_operation_is_named_by_service_kind_and_name() -> None:
    room = Room()
    room.take_spans(spans(window(1)), now=60)
    assert [(k.metric, k.unit, k.statistic) for k in room.keys] == [
        (CALLS, "{span}/s", RATE),
        (ERRORS, "1", RATIO),
        (DURATION, "s", P50),
        (DURATION, "s", P95),
        (DURATION, "s", P99),
    ]
    assert {k.resource for k in room.keys} == {(("service.name", "shop"),)}
    assert {k.attributes for k in room.keys} == {(("span.kind", "server"), ("span.name", "get"))}


def test_instances_of_a_service_are_one_service() -> None:
    rows = spans([("a", "get", 1, 0.1, False), ("b", "get", 1, 0.1, False), ("c", "get", 1, 0.1, False)])
    same = {"service.name": "shop", "deployment.environment.name": "test"}
    resources = [raw(same | {"host.name": "a"}), raw(same | {"host.name": "b"}), raw(same | {"service.namespace": "x"})]
    streams = Room().take_spans(replace(rows, resources=resources), now=1).stream.tolist()
    assert streams == [0, 0, 5]


def test_a_service_without_a_name_is_unknown() -> None:
    room = Room()
    room.take_spans(replace(spans(window(1)), resources=[raw({"host.name": "a"})]), now=60)
    assert {key.service for key in room.keys} == {"unknown_service"}


def test_the_length_of_a_window_is_a_setting() -> None:
    signals = SpanSignals(Room().catalog, parse_attributes, windows=WindowSettings(length=10 * SECOND))
    signals.consume([spans([("shop", "get", 1, 0.1, False), ("shop", "get", 19, 0.1, False)])], at(19))
    points = signals.flush(at(100))
    rates = points.take(points.series == 0)
    assert rates.time_unix_nano.tolist() == [at(10), at(20)]
    assert rates.value.tolist() == [0.1, 0.1]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((0, "unspecified"), (1, "internal"), (2, "server"), (3, "client"), (4, "producer"), (5, "consumer")),
        *((6, "unspecified"), (127, "unspecified"), (-1, "unspecified")),
    ],
)
def test_span_kinds_have_names(kind: int, name: str) -> None:
    room = Room()
    room.take_spans(spans(window(1), kind), now=60)
    assert dict(room.keys[0].attributes)["span.kind"] == name


@pytest.mark.parametrize(
    ("n", "present"),
    [
        *((1, {RATE, RATIO, P50}), (19, {RATE, RATIO, P50})),
        *((20, {RATE, RATIO, P50, P95}), (99, {RATE, RATIO, P50, P95}), (100, {RATE, RATIO, P50, P95, P99})),
    ],
)
def test_quantiles_need_enough_spans(n: int, present: set[Statistic]) -> None:
    room = Room()
    room.take_spans(spans(window(n)), now=60)
    room.flush(now=75)
    points = named(room)
    assert {statistic for _, _, statistic, _ in points} == present
    assert {end for *_, end in points} == {60}
    assert points["shop", "get", RATE, 60] == n / 60
    assert points["shop", "get", RATIO, 60] == -(-n // 4) / n
    durations = np.array([round(d * SECOND) / SECOND for *_, d, _ in window(n)])
    for statistic, q in ((P50, 0.5), (P95, 0.95), (P99, 0.99)):
        if statistic in present:
            assert points["shop", "get", statistic, 60] == np.quantile(durations, q)


@pytest.mark.parametrize(("time", "end"), [(0, 60), (59.999999, 60), (60, 120), (119, 120)])
def test_a_window_holds_its_start_and_not_its_end(time: float, end: float) -> None:
    room = Room()
    room.take_spans(spans([("shop", "get", time, 0.1, False)]), now=time)
    room.flush(now=500)
    assert named(room)["shop", "get", RATE, end] == 1 / 60


def test_a_window_closes_when_its_service_is_past_the_grace() -> None:
    room = Room()
    room.take_spans(spans([*window(2), ("shop", "get", 74, 0.1, False), ("other", "get", 100, 0.1, False)]), now=80)
    assert named(room) == {}
    room.take_spans(spans([("shop", "get", 75, 0.1, False)]), now=81)
    assert {end for *_, end in named(room)} == {60}


def test_a_window_closes_by_the_clock_when_its_service_is_silent() -> None:
    room = Room()
    room.take_spans(spans(window(2)), now=59)
    room.flush(now=74.9)
    assert named(room) == {}
    room.flush(now=75)
    assert {end for *_, end in named(room)} == {60}


def test_a_service_that_tells_nothing_new_is_silent_whatever_others_do() -> None:
    room = Room()
    room.take_spans(spans(window(2)), now=59)
    room.take_spans(spans([("shop", "get", 29, 0.1, False), ("other", "get", 73, 0.1, False)]), now=74)
    assert named(room) == {}
    room.flush(now=75)
    assert named(room)["shop", "get", RATE, 60] == 3 / 60


def test_a_window_that_held_nothing_is_closed_too() -> None:
    room = Room()
    room.take_spans(spans([("shop", "get", 10, 0.1, False), ("shop", "get", 500, 0.1, False)]), now=500)
    assert room.take_spans(spans([("shop", "get", 100, 0.1, False)]), now=501).settlements[0].rejected == {"late": 1}


def test_a_backlog_is_taken_whole_although_the_clock_is_far_ahead() -> None:
    room = Room()
    for minute in range(10):
        for half in (0, 30):
            rows: list[SpanRow] = [("shop", "get", 60.0 * minute + half + s, 0.1, False) for s in range(30)]
            room.take_spans(spans(rows), now=3600 + minute)
    room.flush(now=3600 + 60)
    assert {end: v for *_, end, v in ((*k, v) for k, v in named(room).items() if k[2] is RATE)} == {
        60.0 * (m + 1): 1.0 for m in range(10)
    }


def test_a_span_of_a_closed_window_is_late_and_the_next_window_is_not() -> None:
    room = Room()
    room.take_spans(spans([("shop", "get", 10, 0.1, False), ("shop", "get", 80, 0.1, False)]), now=80)
    consumed = room.take_spans(
        spans([("shop", "get", 59, 0.1, False), ("shop", "get", 60, 0.1, False), ("new", "get", 1, 0.1, False)]), now=81
    )
    assert consumed.settlements[0].rejected == {"late": 1}
    assert (consumed.stream >= 0).tolist() == [False, True, True]
    before = named(room)
    room.flush(now=500)
    assert before.items() <= named(room).items()


def test_a_clock_ahead_of_ours_closes_nothing_early() -> None:
    room = Room()
    room.take_spans(spans([("shop", "get", 500, 0.1, False), ("shop", "get", 10, 0.1, False)]), now=20)
    assert room.take_spans(spans([("shop", "get", 30, 0.1, False)]), now=31).settlements[0].stored == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("shop", "get", 10, -1.0, False), "bad_span_times"),
        (("shop", "get", -at(0) / 1e9, 0.0, False), "bad_span_times"),
        (("shop", "get", 10, at(10) / 1e9, False), "bad_span_times"),
        (("shop", "get", -at(0) / 1e9 - 10, 0.0, False), "time_out_of_range"),
        (("shop", "get", 1000, 0.1, False), "time_in_future"),
        (("shop", "get", -15 * 86400, 0.1, False), "too_old"),
        (("", "get", 10, 0.1, False), "bad_attributes"),
    ],
)
def test_a_span_without_sense_is_rejected_alone_and_makes_no_series(row: SpanRow, reason: str) -> None:
    room = Room()
    consumed = room.take_spans(spans([row, ("x", "get", 11, 0.1, False)]), now=100)
    assert (consumed.settlements[0].stored, consumed.settlements[0].rejected) == (1, {reason: 1})
    assert len(room.keys) == 5


def test_a_span_without_length_is_fine() -> None:
    assert Room().take_spans(spans([("shop", "get", 10, 0.0, False)]), now=10).settlements[0].stored == 1


def test_a_silent_operation_of_a_living_service_has_rate_zero_and_nothing_else() -> None:
    room = Room()
    room.take_spans(spans([*window(5), *window(5, name="put"), *window(5, name="put", service="other")]), now=60)
    room.take_spans(spans(window(5, 180)), now=180)
    room.flush(now=500)
    points = named(room)
    assert points["shop", "put", RATE, 180] == 0.0
    assert {s for service, name, s, end in points if (service, name, end) == ("shop", "put", 180)} == {RATE}
    assert {end for service, *_, end in points if service == "other"} == {60}, "no service, no points"
    assert {end for service, *_, end in points if service == "shop"} == {60, 180}


def test_an_operation_unused_for_an_hour_gives_no_more_zeros() -> None:
    room = Room()
    room.take_spans(spans(window(1, name="put")), now=60)
    for end in range(60, 60 * 70, 60):
        room.take_spans(spans(window(1, end)), now=end)
    room.flush(now=6000)
    ends = sorted(end for _, name, s, end in named(room) if (name, s) == ("put", RATE))
    assert ends == [60.0 * i for i in range(1, 62)]


def test_names_past_the_limit_share_an_overflow_operation() -> None:
    room = Room(names_per_service=3)
    names = [f"/item{i}" for i in range(50)]
    consumed = room.take_spans(spans([("shop", n, 10, 0.1, False) for n in names]), now=10)
    assert len(set(consumed.stream.tolist())) == 4
    assert room.take_spans(spans([("shop", names[40], 11, 0.1, False)]), now=11).stream == [consumed.stream[-1]]
    assert dict(room.keys[consumed.stream[-1]].attributes) == {"span.name": "other", "otel.metric.overflow": True}
    room.flush(now=500)
    assert named(room)["shop", "other", RATE, 60] == 48 / 60
    room.take_spans(spans([("else", "a", 300, 0.1, False)]), now=300)
    assert "a" in {dict(k.attributes)["span.name"] for k in room.keys if k.service == "else"}


def test_the_series_limit_leaves_known_operations_alone_and_turns_new_services_away() -> None:
    room = Room(series_limit=12)
    room.take_spans(spans([("shop", "a", 1, 0.1, False), ("shop", "b", 1, 0.1, False)]), now=1)
    consumed = room.take_spans(
        spans([("shop", "a", 2, 0.1, False), ("shop", "c", 2, 0.1, False), ("new", "a", 2, 0.1, False)]), now=2
    )
    assert (consumed.settlements[0].stored, consumed.settlements[0].rejected) == (2, {"series_limit": 1})
    room.flush(now=500)
    rates = {name: v for (_, name, s, _), v in named(room).items() if s is RATE}
    assert rates == {"a": 2 / 60, "b": 1 / 60, "other": 1 / 60}


def test_a_span_finds_the_series_it_is_judged_by() -> None:
    room = Room()
    consumed = room.take_spans(spans([*window(1), ("", "get", 1, 0.1, False), *window(1, name="put")]), now=60)
    ids = room.spans.duration_series(consumed.stream)
    for stream, row in zip(consumed.stream.tolist(), ids.tolist(), strict=True):
        if stream < 0:
            assert max(row) < 0
        else:
            assert [room.keys[i].statistic for i in row] == [P50, P95, P99]
            assert {room.keys[i].attributes for i in row} == {room.keys[stream].attributes}


def test_rows_and_settlements_know_their_request() -> None:
    room = Room()
    consumed = room.take_spans(spans(window(2)), spans([]), spans([("", "x", 1, 0.1, False), *window(1)]), now=60)
    assert consumed.first.tolist() == [0, 2, 2, 4]
    assert [s.stored for s in consumed.settlements] == [2, 0, 1]
    assert room.take_spans(now=60).first.tolist() == [0]


def test_only_events_of_open_windows_need_to_be_kept() -> None:
    room = Room()
    assert room.spans.oldest_open() > at(1e6)
    room.take_spans(spans([("shop", "get", 10, 0.1, False), ("other", "get", 5, 0.1, False)]), now=10)
    assert room.spans.oldest_open() == at(5)
    room.take_spans(spans([("other", "get", 90, 0.1, False)]), now=24)
    assert room.spans.oldest_open() == at(5), "a sender's clock is ahead of ours: the clock decides"
    room.flush(now=90)
    assert room.spans.oldest_open() == at(90)
    room.flush(now=500)
    assert len(room.events) == 0


def test_after_a_restart_senders_get_a_grace_to_bring_what_they_kept() -> None:
    room = Room()
    room.take_spans(spans([("shop", "get", 10, 0.1, False)]), now=10)
    room.restart()
    room.flush(now=600)
    assert named(room) == {}
    assert room.take_spans(spans([("shop", "get", 20, 0.1, False)]), now=610).settlements[0].stored == 1
    room.flush(now=640)
    assert named(room)["shop", "get", RATE, 60] == 2 / 60


bursts = st.lists(
    st.tuples(
        st.sampled_from(["shop", "cart"]),
        st.sampled_from(["get", "put", "pay"]),
        st.sampled_from([0, 0, 1, 1, 2, 3, 4, 30, 62, 63, 64, 125]),  # minute
        st.sampled_from([1, 4, 5, 19, 20, 100]),  # spans
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(bursts, st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(0, 8))
def test_windows_are_those_of_a_naive_grouping_however_batched_and_restarted(
    script: list[tuple[str, str, int, int]], seed: int, batches: int, restart: int
) -> None:
    rng = np.random.default_rng(seed)
    rows: list[SpanRow] = []
    for service, name, minute, n in script:
        ends = 60 * minute + rng.integers(0, 60 * SECOND, n) / SECOND
        durations, is_error = rng.integers(0, SECOND, n) / SECOND, rng.random(n) < 0.3
        columns = (ends.tolist(), durations.tolist(), is_error.tolist())
        rows += [(service, name, *row) for row in zip(*columns, strict=True)]
    arrives = [end + delay for (_, _, end, _, _), delay in zip(rows, rng.uniform(0, 14, len(rows)), strict=True)]
    order = np.argsort(arrives)
    room = Room()
    cuts = np.sort(rng.integers(0, len(rows) + 1, batches - 1))
    for i, part in enumerate(np.split(order, cuts)):
        if part.size:
            room.take_spans(spans([rows[j] for j in part]), now=arrives[part[-1]])
        if i == restart:
            room.restart()
    room.flush(now=10_000)
    room.flush(now=10_015)
    assert named(room) == naive(rows)  # to the last bit
    assert len(room.events) == 0


def naive(rows: list[SpanRow]) -> Named:
    """Group spans by window and operation, one by one."""
    groups: dict[tuple[str, float], dict[str, list[tuple[float, bool]]]] = defaultdict(lambda: defaultdict(list))
    for service, name, end, duration, is_error in rows:
        groups[service, 60 * (at(end) // (60 * SECOND) - at(0) // (60 * SECOND) + 1)][name].append((duration, is_error))
    expected: Named = {}
    for (service, end), operations in groups.items():
        for name, members in operations.items():
            durations = [d for d, _ in members]
            expected[service, name, RATE, end] = len(members) / 60
            expected[service, name, RATIO, end] = sum(e for _, e in members) / len(members)
            for statistic, q, least in ((P50, 0.5, 1), (P95, 0.95, 20), (P99, 0.99, 100)):
                if len(members) >= least:
                    expected[service, name, statistic, end] = float(np.quantile(durations, q))
        for name in {n for (s, e), o in groups.items() if s == service and end - 3600 <= e < end for n in o}:
            expected.setdefault((service, name, RATE, end), 0.0)
    return expected


def test_names_that_differ_only_in_ids_are_one_operation() -> None:
    room = Room(names_per_service=2)
    room.take_spans(spans([("shop", f"GET /users/{i}", 10 + i / 10, 0.1, False) for i in range(50)]), now=20)
    assert operations(room) == {"GET /users/{n}"}
    room.flush(200)
    assert sum(room.read(Statistic.RATE).values()) * 60 == 50


def test_templates_can_be_switched_off() -> None:
    room = Room(has_templates=False)
    room.take_spans(spans([("shop", f"GET /users/{i}", 10, 0.1, False) for i in range(3)]), now=20)
    assert operations(room) == {f"GET /users/{i}" for i in range(3)}


def test_a_series_that_has_a_span_name_keeps_it() -> None:
    room = Room(has_templates=False)
    room.take_spans(spans([("shop", "GET /users/1", 10, 0.1, False)]), now=20)
    room._has_templates = True
    room.restart()
    room.take_spans(spans([("shop", f"GET /users/{i}", 70, 0.1, False) for i in range(1, 4)]), now=80)
    assert operations(room) == {"GET /users/1", "GET /users/{n}"}


def operations(room: Room) -> set[object]:
    return {dict(key.attributes)["span.name"] for key in room.keys}


def test_a_service_that_shows_no_span_at_all_has_a_rate_of_zero_while_others_still_arrive() -> None:
    room = Room()
    for end in range(60, 360, 60):
        room.take_spans(spans(window(5, end) + window(5, end, service="cart")), now=end)
        room.flush(now=end, alive=end)
    for end in range(360, 900, 60):
        room.take_spans(spans(window(5, end, service="cart")), now=end)
        room.flush(now=end, alive=end)
    rates = {end: value for (service, _, s, end), value in named(room).items() if (service, s) == ("shop", RATE)}
    assert [rates[end] > 0 for end in range(60, 360, 60)] == [True] * 5
    assert [rates[end] for end in range(360, 720, 60)] == [0.0] * 6
    assert max(rates) <= 900 - 120
    ratios = [end for (service, _, s, end) in named(room) if (service, s) == ("shop", RATIO)]
    assert max(ratios) == 300


def test_where_nothing_arrives_at_all_nobody_knows() -> None:
    room = Room()
    for end in range(60, 360, 60):
        room.take_spans(spans(window(5, end)), now=end)
    room.flush(now=900, alive=300)
    assert max(end for *_, end in named(room)) == 300


def test_zeros_of_a_silent_service_end_after_an_hour() -> None:
    room = Room()
    room.take_spans(spans(window(5, 60)), now=60)
    for now in range(120, 2 * 3600, 60):
        room.flush(now=now, alive=now)
    assert max(end for *_, end in named(room)) == 60 + 3600
