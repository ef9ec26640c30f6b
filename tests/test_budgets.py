from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from collector_processor.budgets import BudgetKeeper, found_factors
from collector_processor.clock import HOUR, ManualClock
from collector_processor.config import load_config
from collector_processor.pipeline import PipelineSettings
from collector_processor.policy import Policies
from collector_processor.policy.budget import BudgetLog
from tests.pipeline_room import NOW, Room, gauge_request, opened

DAY_SECONDS = 86_400
LATER = NOW + 4 * HOUR
NAME = '{"metric":"depth"}'


def policies(tmp_path: Path, budget: float) -> Policies:
    (tmp_path / "foreband.yaml").write_text(f"policies: [{{match: {{metric: depth}}, detect: {{budget: {budget}}}}}]")
    config = load_config(tmp_path / "foreband.yaml", environ={})
    return Policies(config.policies, config.detect.threshold)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A series with a slight alarm, and a clear one three hours later."""
    with opened(tmp_path / "store", PipelineSettings(policies=policies(tmp_path, 40))) as room:
        room.metrics(gauge_request("depth", (-2 * DAY_SECONDS, 50.0), (-60, 50.0)))
        room.teach("depth/value", 50.0)
        values = [50.0, 52.2, *[50.0] * 178, 20.0, *[50.0] * 10]
        room.metrics(gauge_request("depth", *((60.0 * k, value) for k, value in enumerate(values))), now=LATER)
        yield room


def threshold(room: Room) -> float:
    return float(room.state.detector.bands(0, 1)["threshold"][0])


def test_a_budget_with_room_leaves_the_threshold_and_a_tight_one_raises_it(room: Room, tmp_path: Path) -> None:
    per_alarm = 7 * DAY_SECONDS / (190 * 60)  # a series-week
    loose = found_factors(room.writer, policies(tmp_path, 2.1 * per_alarm), LATER)
    tight = found_factors(room.writer, policies(tmp_path, 1.1 * per_alarm), LATER)
    assert loose == {NAME: 1.0}
    assert 1.0 < tight[NAME] < 3.0


def test_factors_hold_at_once_and_after_a_restart(room: Room) -> None:
    before = threshold(room)
    room.desk.keep_budgets({NAME: 1.5}, LATER)
    assert threshold(room) == pytest.approx(1.5 * before)
    room.pipeline.tick(LATER, is_last=True)
    room.state.reload(LATER)
    assert threshold(room) == pytest.approx(1.5 * before)


def test_scores_given_under_a_factor_are_compared_as_without_it(room: Room, tmp_path: Path) -> None:
    tight = policies(tmp_path, 1.1 * 7 * DAY_SECONDS / (190 * 60))
    found = found_factors(room.writer, tight, LATER)
    room.desk.keep_budgets(found, LATER)
    assert found_factors(room.writer, tight, LATER) == found


def test_a_log_knows_which_factor_was_in_force() -> None:
    log = BudgetLog().then(10, {"a": 1.5}).then(20, {"a": 2.0, "b": 1.2})
    again = BudgetLog.from_bytes(log.to_bytes())
    times = np.array([9, 10, 19, 20, 99])
    assert again.factors("a", times).tolist() == [1.0, 1.5, 1.5, 2.0, 2.0]
    assert again.factors("b", times).tolist() == [1.0, 1.0, 1.0, 1.2, 1.2]
    assert again.newest == {"a": 2.0, "b": 1.2}


@pytest.mark.usefixtures("room")
def test_the_keeper_hands_over_what_it_finds(tmp_path: Path) -> None:
    found, done = list[Mapping[str, float]](), Event()

    def apply(factors: Mapping[str, float]) -> None:
        found.append(factors)
        done.set()

    keeper = BudgetKeeper(tmp_path / "store", policies(tmp_path, 500), ManualClock(LATER), apply)
    keeper.start()
    assert done.wait(30)
    keeper.stop()
    assert found == [{NAME: 1.0}]
