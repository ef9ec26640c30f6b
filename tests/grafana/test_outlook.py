from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import cast

import pytest

from collector_processor.clock import ManualClock
from collector_processor.forecast.fleet import FleetModel
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from grafana_datasource.outlook import Outlook, Outlooks
from tests.grafana.scene import NOW, Scene

MS = 1_000_000


class Slow:
    """A reader whose catalog takes a while."""

    def __init__(self, reader: SeriesReader, clock: ManualClock, takes: int) -> None:
        self._reader, self._clock, self._takes = reader, clock, takes
        self.entered, self.leave = Event(), Event()
        self.leave.set()

    def __getattr__(self, name: str) -> object:
        if name == "catalog":
            self._clock.advance(self._takes)
            self.entered.set()
            assert self.leave.wait(10)
        return getattr(self._reader, name)


class Modelless:
    """A reader that has no models to give."""

    def __init__(self, reader: SeriesReader) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> object:
        assert name != "models"
        return getattr(self._reader, name)


@contextmanager
def slow_outlooks(directory: Path, takes: int) -> Iterator[tuple[Outlooks, SeriesReader, Slow, ManualClock]]:
    clock = ManualClock(NOW)
    reader = open_reader(directory)
    slow = Slow(reader, clock, takes)
    yield Outlooks(clock, 1.0), cast("SeriesReader", slow), slow, clock
    reader.close()


@pytest.mark.parametrize(("takes_ms", "serves_ms"), [(0, 1000), (10, 1000), (200, 4000), (3000, 10_000)])
def test_an_outlook_serves_twenty_times_as_long_as_the_last_refresh_took(
    scene: Scene, takes_ms: int, serves_ms: int
) -> None:
    with slow_outlooks(scene.directory, takes_ms * MS) as (outlooks, reader, _, clock):
        outlooks.current(reader)
        clock.advance(2000 * MS)
        second = outlooks.current(reader)
        clock.advance((serves_ms - takes_ms - 1) * MS)
        assert outlooks.current(reader) is second
        clock.advance(2 * MS)
        assert outlooks.current(reader) is not second


def test_others_go_on_with_the_old_outlook_while_one_refreshes(scene: Scene) -> None:
    with slow_outlooks(scene.directory, 0) as (outlooks, reader, slow, clock):
        first = outlooks.current(reader)
        clock.advance(2000 * MS)
        slow.leave.clear()
        slow.entered.clear()
        refreshed: list[Outlook] = []
        thread = Thread(target=lambda: refreshed.append(outlooks.current(reader)))
        thread.start()
        assert slow.entered.wait(10)
        assert outlooks.current(reader) is first
        slow.leave.set()
        thread.join(10)
        assert refreshed[0] is not first
        assert first.refreshed_nano + 2000 * MS == refreshed[0].refreshed_nano


def test_models_that_this_process_has_are_not_read_from_the_store(scene: Scene) -> None:
    with closing(open_reader(scene.directory)) as reader:
        fleet = FleetModel.from_records(reader.models())
        outlooks = Outlooks(ManualClock(NOW), 1.0, lambda: fleet)
        assert outlooks.current(cast("SeriesReader", Modelless(reader))).fleet is fleet
