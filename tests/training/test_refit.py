"""Refits from the store's means: what the points would have given, without reading them."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.forecast.maintenance import Maintenance, span_text
from collector_processor.forecast.packed import unpack
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.store import chunks
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.training import task
from collector_processor.training.request import FitOutcome, FitRequest, FitStatus, Solver
from collector_processor.training.task import fit_chunk, fit_points
from tests.forecast.shapes import NOW, daily, times
from tests.store.batches import maintain_all

SERIES = 6
TIME = times(9 * 288, 5 * MINUTE, NOW // DAY * DAY + 9 * HOUR)
AHEAD = int(TIME[-1]) + HOUR * np.arange(1, 25)
TESTED = {"end_unix_nano": int(TIME[-1]), "reason": "it was better", "origins": 3, "mean_absolute_error": {}}


def shown(series: int) -> Int64:
    """Return the times of a series: all of its own gaps, the last one young."""
    seen = np.random.default_rng(series).random(TIME.size) > 0.05
    return TIME[seen] if series < SERIES - 1 else TIME[-200:]


def value(series: int, time: Int64) -> Float64:
    return daily(time, series) * 10.0 ** (series - 2)


def points() -> PointBatch:
    each = [(np.full(shown(s).size, s, np.int32), shown(s), value(s, shown(s))) for s in range(SERIES)]
    return PointBatch(*(np.concatenate(column) for column in zip(*each, strict=True)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store in which all but the last hours have come to rest."""
    directory, held = tmp_path_factory.mktemp("refit") / "store", points()
    with closing(open_writer(directory, StoreSettings(reserve_bytes=0))) as writer:
        for start in range(int(TIME[0]), int(TIME[-1]) + 1, 4 * HOUR):
            is_now = (held.time_unix_nano >= start) & (held.time_unix_nano < start + 4 * HOUR)
            writer.commit(Commit(points=held.take(is_now)))
            maintain_all(writer, start + 4 * HOUR)
    return directory


def chunk_of(store: Path) -> tuple[FitRequest, ...]:
    start, end = int(TIME[0]) // DAY * DAY, int(TIME[-1]) + 1
    request = FitRequest(store, 0, start, end, forecaster="prophet", backtest=TESTED)
    return tuple(replace(request, series=series) for series in range(SERIES))


def require_alike(one: FitOutcome, other: FitOutcome) -> None:
    (prophet, medians, std), (prophet_too, medians_too, std_too) = unpack(one.parameters), unpack(other.parameters)
    assert (one.forecaster, one.reason, one.provenance) == (other.forecaster, other.reason, other.provenance)
    assert (one.trained_start_unix_nano, one.trained_end_unix_nano) == (
        other.trained_start_unix_nano,
        other.trained_end_unix_nano,
    )
    assert std == pytest.approx(std_too, rel=1e-9)
    assert (prophet is None) == (prophet_too is None)
    if prophet is not None and prophet_too is not None:
        np.testing.assert_allclose(prophet.predict(AHEAD), prophet_too.predict(AHEAD), atol=1e-3 * std)
    for mine, theirs in zip(medians, medians_too, strict=True):
        np.testing.assert_allclose(mine.profile, theirs.profile, atol=1e-3 * std)


def test_a_refit_from_means_is_one_from_points(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = chunk_of(store)
    expected = fit_points(chunk, points())
    read = list[int]()
    real = chunks.read_points

    def counted(connection: object, part: int, wanted: object, start: int, end: int) -> object:
        read.extend(wanted.tolist())  # type: ignore[attr-defined]
        return real(connection, part, wanted, start, end)  # type: ignore[arg-type]

    monkeypatch.setattr(chunks, "read_points", counted)
    found = fit_chunk(chunk)
    assert set(read) == {SERIES - 1}  # the young one
    assert [outcome.solver for outcome in found[:-1]] == [Solver.BATCH] * (SERIES - 1)
    for one, other in zip(found, expected, strict=True):
        require_alike(one, other)


def test_what_needs_points_gets_them_and_outcomes_keep_their_order(store: Path) -> None:
    chunk = list(chunk_of(store))
    chunk[1] = replace(chunk[1], needs_backtest=True, needs_seed=True)
    chunk[3] = replace(chunk[3], series=99)
    found = fit_chunk(tuple(chunk))
    assert [outcome.request for outcome in found] == chunk
    assert found[1].seed is not None
    assert found[3].status is FitStatus.NOT_ENOUGH_DATA


def test_a_chunk_larger_than_its_memory_is_refitted_in_parts(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fit_chunk(chunk_of(store))
    monkeypatch.setattr(task, "_CELLS_AT_ONCE", 2 * 288 * 11)
    for one, other in zip(fit_chunk(chunk_of(store)), expected, strict=True):
        require_alike(one, other)


def test_maintenance_is_left_out_of_a_refit(store: Path) -> None:
    text = span_text(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 1, tzinfo=UTC), "FREQ=DAILY")
    settings = ProphetSettings(maintenance=Maintenance((text,)))
    requests = tuple(replace(request, settings=settings) for request in chunk_of(store)[:2])
    for one, other in zip(fit_chunk(requests), fit_points(requests, points()), strict=True):
        assert one == other
