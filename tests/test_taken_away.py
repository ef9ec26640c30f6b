"""A Foreband whose files somebody moves, deletes or replaces while it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest

from collector_processor.ledger import Signal
from collector_processor.otlp.status import retry_delay
from tests.house import House, Moment


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def move(directory: Path) -> None:
    directory.rename(directory.with_suffix(".moved"))


def replace(directory: Path) -> None:
    move(directory)
    directory.mkdir(mode=0o700)
    for name in ("foreband.db", "foreband.db-wal"):
        (directory / name).touch()


def put_back(directory: Path) -> None:
    if directory.exists():
        directory.rename(directory.with_suffix(".other"))
    directory.with_suffix(".moved").rename(directory)


@pytest.mark.parametrize("take_away", [move, replace])
def test_a_directory_that_is_taken_away_is_refused_for_later_and_works_again_in_its_place(
    house: House, caplog: pytest.LogCaptureFixture, take_away: Callable[[Path], None]
) -> None:
    moment = house.moment("s")
    house.send(Signal.METRICS, moment.gauge("g", (-1, 1.0)))
    take_away(house.directory)
    assert_refused(house, moment)
    put_back(house.directory)
    house.send(Signal.METRICS, moment.gauge("g", (1, 3.0)))
    assert house.stored(moment) == {"g/value": [(-1, 1.0), (1, 3.0)]}
    assert not [record for record in caplog.records if record.exc_info]


def test_a_log_that_is_deleted_is_refused_for_later_and_costs_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    moment = house.moment("s")
    house.send(Signal.METRICS, moment.gauge("g", (-1, 1.0)))
    (house.directory / "foreband.db-wal").unlink()
    assert_refused(house, moment)
    house.close()
    again = House(tmp_path)
    assert again.stored(moment) == {"g/value": [(-1, 1.0)]}
    again.close()


def assert_refused(house: House, moment: Moment) -> None:
    """Assert that a sender is told to come again, and an operator why."""
    error = house.fail(Signal.METRICS, moment.gauge("g", (0, 2.0)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 10
    assert "while it is written" in error.details()
    with pytest.raises(HTTPError, match="503") as caught:
        urlopen(f"http://{house.addresses.http}/readyz", timeout=10)
    assert "while it is written" in caught.value.read().decode()
