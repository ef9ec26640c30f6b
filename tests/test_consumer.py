"""What the thread that owns all series takes at a time."""

from pathlib import Path

import pytest

from collector_processor.clock import ManualClock
from collector_processor.consumer import Consumer
from collector_processor.ledger import Signal
from collector_processor.pipeline import Pipeline
from collector_processor.pipeline.request import Request
from tests.pipeline_room import NOW, gauge_request, opened


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
def test_what_the_process_lacks_is_no_request_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with opened(tmp_path) as room:
        consumer = Consumer(room.pipeline, ManualClock(NOW))
        bodies = [gauge_request(f"g{i}", (0, 1)).SerializeToString() for i in range(5)]
        tried: list[object] = []

        def lacking(*_: object) -> None:
            tried.append(_)
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(room.state.metrics, "consume", lacking)
            answers = [consumer.submit(Request.decode(Signal.METRICS, body)) for body in bodies]
            consumer.start()
            assert [answer.exception(60) for answer in answers] == [error] * 5
        assert len(tried) == 1
        assert not consumer.submit(Request.decode(Signal.METRICS, bodies[0])).result(60).rejected
        consumer.stop()


@pytest.mark.parametrize(("most", "commits"), [(9, 3), (10, 3), (11, 2), (1000, 1)])
def test_what_waits_is_committed_so_many_items_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, commits: int
) -> None:
    monkeypatch.setattr("collector_processor.consumer.MAX_ITEMS", most)
    done: list[float] = []
    with opened(tmp_path) as room:
        pipeline = Pipeline(room.state, room.ledger, lambda score_seconds, _commit_seconds: done.append(score_seconds))
        consumer = Consumer(pipeline, ManualClock(NOW))
        bodies = [gauge_request(f"g{i}", *((-j, j) for j in range(5))).SerializeToString() for i in range(5)]
        answers = [consumer.submit(Request.decode(Signal.METRICS, body)) for body in bodies]
        consumer.start()
        assert not any(answer.result(60).rejected for answer in answers)
        consumer.stop()
        assert room.ledger.row(Signal.METRICS).stored == 25
    assert len(done) == commits
