from dataclasses import replace

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.evaluation.trace import Trace
from tests.evaluation.labelled import START, labelled, load, with_faults


@pytest.fixture(scope="module")
def trace() -> Trace:
    (found,) = replay([with_faults(0, "one.csv")], ReplaySettings())
    return found


def test_the_three_faults_are_the_three_episodes(trace: Trace) -> None:
    starts = (trace.episode[:, 0] - START) / HOUR
    assert starts.tolist() == [129.0, 168.0, 254.0]


def test_nothing_looks_ahead(trace: Trace) -> None:
    series = with_faults(0, "one.csv")
    n = 6 * 96
    (shorter,) = replay(
        [replace(series, time_unix_nano=series.time_unix_nano[:n], value=series.value[:n])], ReplaySettings()
    )
    for name in ("yhat", "lower", "upper", "offset_upper", "hour_ahead", "day_ahead"):
        assert np.array_equal(getattr(shorter, name), getattr(trace, name)[:n], equal_nan=True), name


def test_labels_change_nothing(trace: Trace) -> None:
    (unlabelled,) = replay([replace(with_faults(0, "one.csv"), events=())], ReplaySettings())
    assert np.array_equal(unlabelled.yhat, trace.yhat, equal_nan=True)
    assert np.array_equal(unlabelled.episode, trace.episode)


def test_series_side_by_side_are_as_if_each_were_alone(trace: Trace) -> None:
    time, value = load(4, 3)
    hourly = labelled(time[::4] - 400 * DAY, value[::4], name="other.csv")
    _, found = replay([hourly, with_faults(0, "one.csv")], ReplaySettings())
    assert np.array_equal(found.episode, trace.episode)
    assert np.allclose(found.yhat, trace.yhat, rtol=1e-9, equal_nan=True)


def test_points_that_are_late_or_repeated_are_counted_and_left_out() -> None:
    time, value = load(1)
    order = np.array([0, 1, 2, 1, 3, 3, *range(4, time.size)])
    (found,) = replay([labelled(time[order], value[order])], ReplaySettings())
    assert found.rejected == 2
    assert np.array_equal(found.time_unix_nano, time)
