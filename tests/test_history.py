"""The past of a series in one request."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.pipeline import history
from collector_processor.pipeline.history import are_newest
from collector_processor.telemetry.points import PointBatch
from tests.pipeline_room import gauge_request, opened

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), unique=True, max_size=40)


@given(ROWS, st.integers(1, 12))
def test_of_each_series_the_newest_are_judged(rows: list[tuple[int, int]], most: int) -> None:
    series, times = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    points = PointBatch(series.astype(np.int32), times, np.zeros(len(rows)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(history, "MOST_IN_TURN", most)
        found = are_newest(points)
    newer = [sum(of == other and at < later for other, later in rows) for of, at in rows]
    expected = [n < most for n in newer]
    assert (expected if found is None else found.tolist()) == expected
    assert (found is None) == all(expected)


def test_more_points_of_a_series_than_are_judged_at_once_are_stored_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_IN_TURN", 5)
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-600, 10)), gauge_request("calm", (-600, 10)))
        for name in ("cpu", "calm"):
            room.teach(f"{name}/value", level=10)
        room.metrics(gauge_request("cpu", *((-i, 10.0) for i in range(20))), gauge_request("calm", (0, 10)))
        assert len(room.points("cpu/value")) == 21
        assert np.isnan(room.judged("cpu/value").yhat).tolist() == [True] * 16 + [False] * 5
        assert np.isnan(room.judged("calm/value").yhat).tolist() == [True, False]
        assert room.desk.noticed["unjudged_points"] == 15
