"""More than it can take: whoever follows the rules loses nothing."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit
from typing import Any

import grpc
import pytest

from collector_processor.errors import StoreError
from collector_processor.store.sqlite import SqliteWriter
from tests.house import House, Moment
from tests.process import Process, end, wait_until
from tests.strict_sender import StrictSender

SENDERS, REQUESTS = 40, 8


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, "receiver.max_in_flight=4", "receiver.max_message=1MiB")
    yield house
    house.close()


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_senders_that_follow_the_rules_lose_nothing_to_an_overload(
    house: House, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    failing = iter(range(10**9))
    commit = SqliteWriter.commit

    def fail_now_and_then(writer: SqliteWriter, batch: Any) -> None:
        if batch.receipts and next(failing) % 5 == 2:
            raise StoreError("busy")
        commit(writer, batch)

    monkeypatch.setattr(SqliteWriter, "commit", fail_now_and_then)
    moment = house.moment("crowd")
    senders = [StrictSender() for _ in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(lambda i: send_all(senders[i], house, moment, door, i), range(SENDERS)))
    answers = sum((sender.answers for sender in senders), Counter[object]())
    assert [sender.dropped for sender in senders] == [[]] * SENDERS
    assert sum(sender.rejected for sender in senders) == 0
    assert answers.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, 200, 503}
    assert len(answers) == 2, "nothing was refused: this was no overload"
    found = house.stored(moment)
    expected = [(-number, float(number)) for number in reversed(range(REQUESTS))]
    assert found == {f"g{i}/value": expected for i in range(SENDERS)}
    house.assert_balanced()


def send_all(sender: StrictSender, house: House, moment: Moment, door: str, name: int) -> None:
    send = sender.over_grpc(house.addresses.otlp) if door == "grpc" else sender.over_http(house.addresses.otlp_http)
    for number in reversed(range(REQUESTS)):
        send(moment.gauge(f"g{name}", (-number, float(number))).SerializeToString())


def test_what_can_never_be_taken_is_dropped_at_once(house: House) -> None:
    sender, moment = StrictSender(), house.moment("s")
    large = moment.gauge("g", (0, 1.0), text="x" * (1 << 20)).SerializeToString()
    for body in (large, b"\xff" * 4):
        sender.over_grpc(house.addresses.otlp)(body)
        sender.over_http(house.addresses.otlp_http)(body)
    told = [grpc.StatusCode.RESOURCE_EXHAUSTED, 413, grpc.StatusCode.INVALID_ARGUMENT, 400]
    assert [why for _, why in sender.dropped] == told
    assert sender.answers.total() == 4


def test_without_file_descriptors_connections_wait_and_the_log_stays_calm(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.start()
    try:
        prlimit(process.pid, RLIMIT_NOFILE, (64, 64))
        addresses = [address.rpartition(":") for address in (process.otlp_http, process.http)]
        crowd = [socket.create_connection((host, int(port))) for host, _, port in addresses for _ in range(60)]
        assert wait_until(lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())) >= 63)
        for connection in crowd:
            connection.close()
        assert wait_until(process.is_ready)
        sender, moment = StrictSender(), Moment(time.time_ns(), "s")
        sender.over_grpc(process.otlp)(moment.gauge("g", (0, 1.0)).SerializeToString())
        assert sender.dropped == []
        process.assert_balanced()
        process.assert_log_is_calm()
    finally:
        end(process)
