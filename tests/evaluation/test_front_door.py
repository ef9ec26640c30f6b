"""The fast replay comes to the same alerts as a running Foreband that is fed over OTLP and asked over HTTP."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.evaluation.replay import ReplaySettings, replay, request_body
from collector_processor.ledger import Signal
from collector_processor.training import Trainer
from tests.evaluation.labelled import labelled
from tests.forecast.shapes import daily
from tests.house import NOW, House

STEP = 5 * MINUTE


def episodes(address: str, start: int, end: int) -> list[list[int]]:
    """Return start and end of every episode as the product's own API tells them, ms."""
    url = f"http://{address}/api/v1/episodes?from={start // 1_000_000}&to={end // 1_000_000}"
    with urllib.request.urlopen(url) as reply:
        rows: list[dict[str, Any]] = json.load(reply)
    return sorted([row["start"], row["end"]] for row in rows)


def test_the_replay_finds_the_very_episodes_that_a_running_foreband_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = NOW + STEP * np.arange(1, 3 * DAY // STEP)
    value = daily(time) + 12.0 * ((time > NOW + 40 * HOUR) & (time < NOW + 41 * HOUR))
    value -= 60.0 * ((time > NOW + 60 * HOUR) & (time < NOW + 63 * HOUR))
    (expected,) = replay([labelled(time, value)], ReplaySettings())

    trainers: list[Trainer] = []

    def hold(trainer: Trainer) -> None:
        trainers.append(trainer)  # its rounds are driven here: a fit takes no virtual time

    monkeypatch.setattr(Trainer, "start", hold)
    house = House(tmp_path)
    try:
        for at, number in zip(time.tolist(), value.tolist(), strict=True):
            house.clock.advance(at - house.clock.now_unix_nano())
            house.send(Signal.METRICS, request_body(np.array([at]), np.array([number]), "load"))
            trainers[0].run_round(60.0)
        judged = house.read(lambda reader: reader.read_judged(np.array([0], np.int32), 0, 2**62))
        found = episodes(house.addresses.http, NOW, int(time[-1]) + 1)
    finally:
        house.close()
    assert len(found) >= 2
    assert found == (expected.episode // 1_000_000).tolist()
    for name in ("yhat", "lower", "upper"):
        told = getattr(judged.verdicts, name)  # stored as digits that can be seen
        assert np.allclose(told, getattr(expected, name), atol=1e-4, equal_nan=True), name
