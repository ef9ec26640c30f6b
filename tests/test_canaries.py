"""Canaries in a real pipeline over a real store."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from collector_processor.canaries import Canaries
from collector_processor.clock import DAY
from collector_processor.detect.canary import CanaryKind
from collector_processor.pipeline import PipelineSettings
from collector_processor.policy import Policies
from collector_processor.store.reader import SqliteReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.proof import Proof
from tests.pipeline_room import NOW, Room, gauge_request, opened

NOISE = np.random.default_rng(3).normal(0.0, 0.3, 300).clip(-1, 1)


def canaries(room: Room, directory: Path) -> Canaries:
    subjects = partial(room.desk.subjects, now=NOW)
    open_here: partial[SqliteReader] = partial(open_reader, directory)
    return Canaries(subjects, open_here, room.desk.keep_proof)


def fill(room: Room, *names: str) -> None:
    seconds = np.linspace(-DAY / 1e9 + 60, 0, NOISE.size + 1)[:-1]
    for name in names:
        room.metrics(gauge_request(name, *zip(seconds.tolist(), (50.0 + NOISE).tolist(), strict=True)))
        room.teach(f"{name}/value", 50.0)
        room.metrics(gauge_request(name, (0.0, 50.0)))


def power(proof: Proof) -> dict[str, float]:
    return {p.kind: p.found / p.tried for p in proof.powers if p.size in {0.0, 3.0}}


def test_what_is_found_is_kept_in_the_store(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        fill(room, "queue", "pool")
        watcher = canaries(room, tmp_path)
        watcher.run_round()
        assert {kind: power(watcher.proof)[kind] for kind in ("spike", "drop", "shift")} == dict.fromkeys(
            ("spike", "drop", "shift"), 1.0
        )
        assert all(p.tried == 2 for p in watcher.proof.powers)
        blob = room.writer.blob("self-proof")
    assert blob is not None
    assert b"spike" in blob


def test_a_detector_that_flags_nothing_any_more_shows(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(policies=Policies(threshold=100.0))) as room:
        fill(room, "queue")
        watcher = canaries(room, tmp_path)
        watcher.run_round()
        assert set(power(watcher.proof).values()) == {0.0}
        assert all(p.seconds is None for p in watcher.proof.powers if p.kind != CanaryKind.SILENCE)


def test_nothing_of_it_reaches_the_store_or_an_alert(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        fill(room, "queue")
        before = room.points("queue/value")
        canaries(room, tmp_path).run_round()
        assert room.points("queue/value") == before
        assert room.desk.open_episodes == 0
        assert room.writer.episodes(0, 2**62) == []


def test_series_take_turns(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    with opened(tmp_path) as room:
        fill(room, *names)
        turns = [room.desk.subjects(2, NOW).series.tolist() for _ in range(4)]
    assert turns == [[0, 1], [2], [0, 1], [2]]


def test_a_series_without_a_day_of_calibration_is_no_subject(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("young", (0.0, 1.0)))
        assert room.desk.subjects(25, NOW).series.size == 0


@pytest.mark.parametrize("proof", [Proof(), Proof(NOW, ())])
def test_a_proof_is_read_as_it_was_written(proof: Proof) -> None:
    assert Proof.from_fields(proof.fields()) == proof
