"""A wall clock that jumps: nothing stalls, nothing is deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector_processor.clock import DAY, HOUR, MINUTE, ManualClock
from collector_processor.ledger import Signal
from tests.bad_inputs import SPANS
from tests.house import SECOND, House
from tests.process import wait_until

YEARS = 3650 * DAY


class JumpingClock(ManualClock):
    """Its wall time can be put wrong."""

    jump = 0

    def now_unix_nano(self) -> int:
        return super().now_unix_nano() + self.jump


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("tests.house.ManualClock", JumpingClock)
    house = House(tmp_path)
    yield house
    house.close()


@pytest.mark.parametrize("jump", [HOUR, -HOUR, YEARS, -YEARS])
def test_a_clock_that_jumps_there_and_back_stalls_nothing_and_deletes_nothing(house: House, jump: int) -> None:
    assert isinstance(house.clock, JumpingClock)
    moment = house.moment("s")
    for i in range(3):
        house.send(Signal.METRICS, moment.gauge("g", (i - 3, float(i))))
    house.clock.jump = jump
    let_ticks_pass(house)
    there = house.moment("there")
    assert house.send(Signal.METRICS, there.gauge("g", (0, 5.0))) == b""
    assert house.stored(there) == {"g/value": [(0, 5.0)]}
    let_ticks_pass(house)
    house.clock.jump = 0
    let_ticks_pass(house)
    assert house.stored(moment) == {"g/value": [(i - 3, float(i)) for i in range(3)]}
    again = house.moment("again")
    house.send(Signal.METRICS, again.gauge("g", (0, 7.0)))
    house.send(Signal.TRACES, again.spans({}))
    house.close_windows()
    assert house.stored(again)["g/value"] == [(0, 7.0)]
    assert house.stored(again)[SPANS + "GET /"] == [(0, 1 / 60)]
    assert wait_until(lambda: is_saved(house))


def is_saved(house: House) -> bool:
    """Tell, a second later, whether the state of the newest series is in the store."""
    house.clock.advance(SECOND)
    saved: int = house.read(lambda reader: reader.bands()).size
    known: int = len(house.read(lambda reader: reader.catalog()))
    return saved == known


def let_ticks_pass(house: House) -> None:
    """Let the consumer and its housekeeping run at a few times."""
    for _ in range(3):
        house.clock.advance(MINUTE)
        house.foreband._consumer.call(lambda _now: None).result(20)
