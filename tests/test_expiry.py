"""Series that come and go for good: nothing of them stays, and nobody else notices."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND, ManualClock
from collector_processor.config.policy import PolicyConfig
from collector_processor.pipeline import PipelineSettings
from collector_processor.policy import Policies
from collector_processor.signals.admit import TimeLimits
from collector_processor.signals.catalog import KNOWN_PER_PLACE
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.feedback import Answer, Said
from grafana_datasource.outlook import Outlook, Outlooks
from tests.otlp.stock import Metric, request_with
from tests.pipeline_room import NOW, Room, gauge_request, opened
from tests.store.batches import maintain_all

PLACES = 40


@contextmanager
def room_of(directory: Path, **settings: Any) -> Iterator[Room]:
    """Open a room that keeps points for a day."""
    stored = partial(_open, StoreSettings(reserve_bytes=0, retention_nano=DAY))
    made = PipelineSettings(series_limit=PLACES, idle_nano=6 * HOUR, limits=TimeLimits(retention=DAY), **settings)
    with opened(directory, made, lambda path, _: stored(path)) as room:
        yield room


def _open(settings: StoreSettings, directory: Path) -> Any:
    return open_writer(directory, settings)


def seconds(time: int) -> float:
    return (time - NOW) / NANOS_PER_SECOND


def counter(name: str, now: int, value: float) -> Any:
    metric: Any = Metric(name=name)
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    metric.sum.data_points.add(start_time_unix_nano=NOW, time_unix_nano=now, as_double=value)
    return request_with(metric, **{"service.name": "shop"})


def pass_time(room: Room, now: int) -> None:
    """Let a tick and all housekeeping happen at `now`."""
    maintain_all(room.writer, now)
    room.pipeline.tick(now)


def rows(room: Room) -> dict[str, int]:
    tables = ("series", "model", "episode", "exemplar", "feedback", "blob", "chunk", "rollup")
    connection = room.writer._connection
    return {table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables}


def test_hundreds_of_short_lived_series_in_turn_leave_nothing_behind(tmp_path: Path) -> None:
    policies = Policies([PolicyConfig.model_validate({"match": {"metric": "steady"}})])
    with room_of(tmp_path, policies=policies) as room:
        most: dict[str, int] = {}
        for half_day in range(40):
            now = NOW + half_day * DAY // 2
            names = [f"pod-{half_day}-{n}" for n in range(8)]
            (answer, *others) = room.metrics(
                gauge_request("steady", (seconds(now), 1.0)),
                *(counter(name, now, 5.0) for name in names),
                now=now,
            )
            assert not answer.rejected
            assert not any(other.rejected for other in others)
            for hours in (0, 6):
                pass_time(room, now + hours * HOUR)
            if half_day >= 20:
                most = {name: max(n, most.get(name, 0)) for name, n in rows(room).items()}
        assert room.desk.forgotten > 400
        assert len(room.desk.keys) <= KNOWN_PER_PLACE * PLACES
        assert len(room.state.detector) <= KNOWN_PER_PLACE * PLACES
        assert most["series"] <= KNOWN_PER_PLACE * PLACES
        assert most["blob"] < 20
        assert len(policies._matches) <= KNOWN_PER_PLACE * PLACES
        assert [series for series, key in room.writer.catalog() if key.metric == "steady"] == [0]


def test_a_forgotten_series_that_returns_starts_anew(tmp_path: Path) -> None:
    with room_of(tmp_path) as room:
        room.metrics(gauge_request("cpu", (0, 10)))
        room.teach("cpu/value", level=10)
        room.metrics(gauge_request("cpu", (60, 99)))
        room.desk.answer(Said(Answer.MISSED, "me", series=0, start_unix_nano=NOW, end_unix_nano=NOW + HOUR), NOW)
        assert room.desk.fleet.versions(np.array([0], np.int32)).tolist() == [1]
        for day in (1, 2, 3):
            room.metrics(gauge_request("steady", (seconds(NOW + day * DAY), 1.0)), now=NOW + day * DAY)
            pass_time(room, NOW + day * DAY + 2 * HOUR)
        assert "cpu/value" not in room.names()
        assert room.desk.forgotten == 1
        now = NOW + 3 * DAY + 3 * HOUR
        room.metrics(gauge_request("cpu", (seconds(now), 5)), gauge_request("other", (seconds(now), 7)), now=now)
        assert sorted(room.names().values()) == [0, 1, 2]
        assert room.points("cpu/value") == [(seconds(now), 5.0)]
        assert room.points("other/value") == [(seconds(now), 7.0)]
        room.pipeline.tick(now, is_last=True)
        again = room.names()["cpu/value"]
        assert room.writer.bands()["reason"][again] == Reason.NO_HISTORY
        assert not room.desk.fleet.versions(np.array([0, 1, 2], np.int32)).any()
        assert (room.writer.episodes(0, 2**62), room.writer.feedback()) == ([], [])


def test_readers_notice_when_an_id_stands_for_another_series(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    with room_of(tmp_path) as room:
        outlooks = Outlooks(clock, refresh_seconds=0.0)
        room.metrics(gauge_request("cpu", (0, 10)))
        room.teach("cpu/value", level=10)
        first = outlooks.current(room.writer)
        for day in (1, 2, 3):
            room.metrics(gauge_request("steady", (seconds(NOW + day * DAY), 1.0)), now=NOW + day * DAY)
            pass_time(room, NOW + day * DAY + 2 * HOUR)
        clock.advance(HOUR)
        second = outlooks.current(room.writer)
        assert metrics(second) == {1: "steady"}
        assert not second.fleet.versions(np.array([0], np.int32)).any()
        now = NOW + 3 * DAY + 3 * HOUR
        room.metrics(gauge_request("other", (seconds(now), 7)), now=now)
        clock.advance(HOUR)
        third = outlooks.current(room.writer)
        assert metrics(third) == {0: "other", 1: "steady"}
        assert third.last_value.tolist() == [7.0, 1.0]
        lineages = [each.directory.lineage for each in (first, second, third)]
        assert len(set(map(id, lineages))) == 3


def metrics(outlook: Outlook) -> dict[int, str]:
    return {series: entry.key.metric for series, entry in outlook.directory.entries.items()}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_and_goes_points_are_those_that_were_sent(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    sent: dict[str, dict[float, float]] = {}
    now = NOW
    with room_of(tmp_path) as room:
        for _ in range(30):
            now += chance.choice([HOUR, 6 * HOUR, DAY, 2 * DAY])
            for name in chance.sample([f"m{n}" for n in range(25)], chance.randrange(1, 8)):
                (answer,) = room.metrics(gauge_request(name, (seconds(now), value := chance.random())), now=now)
                assert not answer.rejected
                sent.setdefault(f"{name}/value", {})[seconds(now)] = value
            pass_time(room, now)
            if chance.random() < 0.1:
                room.pipeline.tick(now, is_last=True)
                room.state.reload(now)
        assert room.desk.forgotten
        for name in room.names():
            found = room.points(name)
            oldest = found[0][0] if found else math.inf
            assert found == [pair for pair in sent[name].items() if pair[0] >= oldest]
        kept = {name for name, points in sent.items() if max(points) > seconds(now - DAY)}
        assert kept <= room.names().keys()
        before = {name: room.points(name) for name in room.names()}
    with room_of(tmp_path) as room:
        assert {name: room.points(name) for name in room.names()} == before


def test_a_policy_holds_for_a_series_that_took_a_free_id(tmp_path: Path) -> None:
    policy = PolicyConfig.model_validate({"match": {"metric": "other"}, "detect": {"threshold": 5.0}})
    with room_of(tmp_path, policies=Policies([policy], 1.3)) as room:
        room.metrics(gauge_request("cpu", (0, 10)))
        for day in (1, 2, 3):
            room.metrics(gauge_request("steady", (seconds(NOW + day * DAY), 1.0)), now=NOW + day * DAY)
            pass_time(room, NOW + day * DAY + 2 * HOUR)
        now = NOW + 3 * DAY + 3 * HOUR
        room.metrics(gauge_request("other", (seconds(now), 7)), now=now)
        assert room.names()["other/value"] == 0
        assert room.state.detector.rules(np.array([0, 1], np.int32))["threshold"].tolist() == [5.0, 1.3]
