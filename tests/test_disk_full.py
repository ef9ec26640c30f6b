"""A whole Foreband on a disk that somebody else fills."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest

from collector_processor.ledger import Signal
from collector_processor.otlp.status import retry_delay
from collector_processor.pipeline import PipelineState
from tests.house import House, Moment
from tests.process import wait_until
from tests.small_disk import empty, fill, small_disk

NO_RESERVE = "store.reserve=0B"
RESERVE = ("store.reserve=8MiB", "store.reserve_share=0")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "48m") as disk:
        yield disk


def refuse(house: House, moment: Moment) -> None:
    error = house.fail(Signal.METRICS, moment.gauge("g", (1, 2.0)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 10


def send_until_refused(house: House, moment: Moment) -> tuple[int, Any]:
    for number in range(10_000):
        try:
            house.send(Signal.METRICS, moment.gauge(f"g{number % 50}", (number / 1000, number)))
        except grpc.RpcError as error:
            return number, error
    raise AssertionError("everything was taken")


def readiness(house: House) -> str:
    try:
        with urlopen(f"http://{house.addresses.http}/readyz", timeout=10) as response:
            return str(json.load(response)["status"])
    except HTTPError as error:
        return error.read().decode()


def catalog(house: House) -> list[str]:
    with urlopen(f"http://{house.addresses.http}/api/v1/catalog", timeout=10) as response:
        return [row["metric"] for row in json.load(response)["series"]]


def test_it_only_reads_while_the_disk_is_nearly_full(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(disk, *RESERVE)
    try:
        moment = house.moment("s")
        house.send(Signal.METRICS, moment.gauge("g", (0, 1.0)))
        fill(disk, 1 << 20)
        reloads: list[int] = []
        monkeypatch.setattr(PipelineState, "reload", lambda _self, now: reloads.append(now))
        for _ in range(5):
            refuse(house, moment)
            house.clock.advance(2_000_000_000)
        assert "the disk is nearly full" in readiness(house)
        assert catalog(house) == ["g"]
        assert reloads == []
        assert wait_until(lambda: "saving state failed" in caplog.text)
        assert caplog.text.count("saving state failed") == 1
        empty(disk)
        assert house.send(Signal.METRICS, moment.gauge("g", (1, 2.0))) == b""
        assert readiness(house) == "ready"
        assert house.stored(moment) == {"g/value": [(0, 1.0), (1, 2.0)]}
    finally:
        house.close()


def test_a_disk_full_to_the_last_byte_refuses_and_recovers(disk: Path) -> None:
    house = House(disk, NO_RESERVE)
    try:
        moment = house.moment("s")
        house.send(Signal.METRICS, moment.gauge("g", (0, 1.0)))
        fill(disk)
        taken, error = send_until_refused(house, moment)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        house.clock.advance(10_000_000_000)  # names are read anew now and then
        assert wait_until(lambda: "g" in catalog(house))
        empty(disk)
        house.send(Signal.METRICS, moment.gauge("g", (20, 3.0)))
        assert house.stored(moment)["g/value"] == [(0, 1.0), (20, 3.0)]
        assert sum(map(len, house.stored(moment).values())) == taken + 2
    finally:
        house.close()


def test_it_starts_on_a_full_disk_answers_and_takes_again_once_there_is_room(disk: Path) -> None:
    first = House(disk, *RESERVE)
    moment = first.moment("s")
    first.send(Signal.METRICS, moment.gauge("g", (0, 1.0)))
    first.close()
    fill(disk)
    house = House(disk, *RESERVE)
    try:
        refuse(house, moment)
        assert catalog(house) == ["g"]
        empty(disk)
        assert house.send(Signal.METRICS, moment.gauge("g", (1, 2.0))) == b""
        assert house.stored(moment) == {"g/value": [(0, 1.0), (1, 2.0)]}
    finally:
        house.close()
