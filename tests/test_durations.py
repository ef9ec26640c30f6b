"""What spans should take is looked up when a second of their time has passed, or models changed."""

from pathlib import Path

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.pipeline.durations import Durations, ExpectedDurations
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32, Int64
from tests.pipeline_room import NOW, SECOND, Room, calm_seed, opened, span_request

_DAY = np.linspace(1.0, 2.0, SLOTS)


def test_an_operation_is_evaluated_again_when_a_second_of_its_spans_has_passed(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        _learn(room, version=7)
        durations = Durations()
        first = _asked(room, durations, 0)
        assert first == _asked(room, Durations(), 0)
        assert first == _asked(room, durations, SECOND) != _asked(room, Durations(), SECOND)
        assert first == _asked(room, durations, -MINUTE)
        assert _asked(room, durations, SECOND + 1) == _asked(room, Durations(), SECOND + 1)
        assert _asked(room, durations, -MINUTE) == _asked(room, Durations(), -MINUTE)


def test_new_models_hold_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        _learn(room, version=7)
        durations = Durations()
        assert _asked(room, durations, 0)[-1] == 7
        _learn(room, version=8)
        assert _asked(room, durations, 0)[-1] == 8


def test_nothing_is_expected_of_spans_without_an_operation(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        _learn(room, version=7)
        stream = np.array([-1, room.names()["traces.span.calls/rate/server/GET /"], -1], np.int32)
        end = np.array([np.iinfo(np.int64).max, NOW, np.iinfo(np.int64).min])
        found = _expected(room, Durations(), stream, end)
        assert np.isnan(found.yhat).tolist() == [True, False, True]
        assert found.model_version.tolist() == [0, 7, 0]


def test_each_operation_is_evaluated_at_the_last_of_its_spans(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        _learn(room, version=7)
        stream = np.full(3, room.names()["traces.span.calls/rate/server/GET /"], np.int32)
        found = _expected(room, Durations(), stream, NOW + np.array([0, 3, 1]) * MINUTE)
        assert found.yhat.tolist() == [_asked(room, Durations(), 3 * MINUTE)[0]] * 3


def _learn(room: Room, version: int) -> None:
    """Give the durations of an operation a model by which they grow over the day."""
    room.spans(span_request(-100 - version))
    series = [room.names()[f"traces.span.duration/{q}/server/GET /"] for q in ("p50", "p95", "p99")]
    parameters = pack(None, [FittedSeasonal(_DAY)] * 2, 1.0)
    made = (NOW, NOW - MINUTE, NOW)
    room.publish(
        [ModelRecord(each, version, *made, "seasonal", "a test", parameters) for each in series],
        [(each, calm_seed(0.1)) for each in series],
    )


def _asked(room: Room, durations: Durations, after: int) -> tuple[float, float, float, int]:
    """Return what is expected of a span that ended so long after NOW."""
    stream = np.array([room.names()["traces.span.calls/rate/server/GET /"]], np.int32)
    found = _expected(room, durations, stream, np.array([NOW + after]))
    return found.yhat.item(), found.lower.item(), found.upper.item(), found.model_version.item()


def _expected(room: Room, durations: Durations, stream: Int32, end: Int64) -> ExpectedDurations:
    state = room.state
    return durations.expected(stream, end, state.spans.duration_series, state.fleet, state.detector)
