"""The one thread that owns all series state.

Handler threads decode and wait; this thread takes all that is waiting as one micro-batch, so one durable commit
acknowledges many requests. Models, forwarded items and other changes come in as calls between two batches.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any, TypeVar

from collector_processor.clock import NANOS_PER_SECOND, Clock
from collector_processor.errors import PermanentError, RetryableError, StoreError
from collector_processor.otlp.status import Answer
from collector_processor.pipeline import Pipeline
from collector_processor.pipeline.request import Request
from collector_processor.pipeline.saving import TURNS_PER_SECOND

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH = 64
MAX_ITEMS = 16_384  # of a micro-batch, but for its last request: new series take 0.1 ms each, a Collector waits for 5 s
_TICK_NANOS = NANOS_PER_SECOND
_PAUSE_NANOS = NANOS_PER_SECOND // 20  # between two slices
_SAVE_NANOS = NANOS_PER_SECOND // TURNS_PER_SECOND
_REST_NANOS = NANOS_PER_SECOND // 5  # where nothing is left to do
_SLICE_SECONDS = 0.002  # of housekeeping: who waits for an acknowledgement waits for a slice, too


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    answer: "Future[Answer]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Call:
    work: Callable[[int], Any]
    result: "Future[Any]" = field(default_factory=Future)


class _Stop:
    """Everything queued before this is still done."""


class Consumer:
    """Feeds the pipeline from a bounded queue; `submit` and `call` are safe from any thread."""

    def __init__(self, pipeline: Pipeline, clock: Clock, *, queue_limit: int = 1024) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._queue: Queue[_Waiting | _Call | _Stop] = Queue(queue_limit)
        self._thread = Thread(target=self._run, name="foreband-consumer", daemon=True)
        self._next_tick = self._next_turn = self._next_slice = 0
        self._refused: set[str] = set()  # by the store, and told of

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is queued, save all state and end the thread."""
        self._queue.put(_Stop())
        self._thread.join()

    def submit(self, request: Request) -> "Future[Answer]":
        """Queue one request.

        Raises:
            RetryableError: if the queue is full; nothing was taken.
        """
        waiting = _Waiting(request)
        try:
            self._queue.put_nowait(waiting)
        except Full:
            raise RetryableError("overloaded: too many requests are waiting", retry_after_seconds=1.0) from None
        return waiting.answer

    def call(self, work: Callable[[int], T]) -> "Future[T]":
        """Run `work(now_unix_nano)` on the consumer thread, between two batches."""
        call = _Call(work)
        self._queue.put(call)
        return call.result

    def _run(self) -> None:
        while True:
            batch, calls, is_stopping = self._take()
            if batch:
                self._process(batch)
            for call in calls:
                self._answer_call(call)
            self._tick(is_last=is_stopping)
            if is_stopping:
                return

    def _take(self) -> tuple[list[_Waiting], list[_Call], bool]:
        batch: list[_Waiting] = []
        calls: list[_Call] = []
        items = 0
        try:
            item = self._queue.get(timeout=_PAUSE_NANOS / NANOS_PER_SECOND)
            while True:
                if isinstance(item, _Stop):
                    return batch, calls, True
                if isinstance(item, _Call):
                    calls.append(item)
                else:
                    batch.append(item)
                    items += item.request.items
                if len(batch) >= MAX_BATCH or items >= MAX_ITEMS:
                    break
                item = self._queue.get_nowait()
        except Empty:
            pass
        return batch, calls, False

    def _process(self, batch: list[_Waiting]) -> None:
        """Answer every request of a batch; one that breaks the pipeline is set apart from the others."""
        try:
            answers = self._pipeline.process([w.request for w in batch], self._clock.now_unix_nano())
        except (StoreError, OSError, MemoryError) as error:  # no request is to blame
            self._recover()
            for waiting in batch:
                waiting.answer.set_exception(error)
        except Exception as error:  # a bug must cost one request, not the process
            log.exception("a batch of %d requests broke the pipeline", len(batch))
            self._recover()
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for waiting in batch:
                self._process([waiting])
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                waiting.answer.set_result(answer)

    def _answer_call(self, call: _Call) -> None:
        try:
            call.result.set_result(call.work(self._clock.now_unix_nano()))
        except PermanentError as error:  # refused before anything changed
            call.result.set_exception(error)
        except Exception as error:  # handed to whoever asked
            if not isinstance(error, StoreError):
                log.exception("a call on the consumer thread failed")
            self._recover()
            call.result.set_exception(error)

    def _tick(self, *, is_last: bool) -> None:
        """Do one thing that is due, so that nobody waits for more; a turn that ticks kept waiting comes with one."""
        now, monotonic = self._clock.now_unix_nano(), self._clock.monotonic_nano()
        if is_last or monotonic >= self._next_tick:
            self._next_tick = monotonic + _TICK_NANOS
            self._attempt("saving state", partial(self._pipeline.tick, now, is_last=is_last))
            if is_last or monotonic < self._next_turn + _TICK_NANOS:
                return
        if monotonic >= self._next_turn:
            self._next_turn = monotonic + _SAVE_NANOS
            self._attempt("saving state", partial(self._pipeline.save, now))
        elif monotonic >= self._next_slice:
            self._next_slice = monotonic + _REST_NANOS
            self._attempt("housekeeping", partial(self._maintain, now, monotonic))

    def _maintain(self, now: int, monotonic: int) -> None:
        if self._pipeline.maintain(now, _SLICE_SECONDS):
            self._next_slice = monotonic + _PAUSE_NANOS

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        """Do what a later tick does again; a store that refuses is told of once, and once when it no longer does."""
        try:
            work()
        except StoreError as error:
            if what not in self._refused:
                log.warning("%s failed, will try again: %s", what, error)
            self._refused.add(what)
            self._recover()
        except Exception:  # a thread that ended would be noticed only by the missing answers
            log.exception("%s failed, will try again", what)
            self._recover()
        else:
            if what in self._refused:
                log.info("%s works again", what)
            self._refused.discard(what)

    def _recover(self) -> None:
        """Rebuild state from what is durable: what a failed commit left in memory never happened."""
        try:
            self._pipeline.recover(self._clock.now_unix_nano())
        except StoreError as error:
            log.error("the store cannot be read; requests are refused until it can: %s", error)  # noqa: TRY400
        except Exception:
            log.exception("the state cannot be rebuilt from the store; will try again")
