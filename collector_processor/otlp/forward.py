"""Send one destination's queue of the durable outbox, exactly by OTLP's retry table.

An item leaves the outbox only when it is done: taken by the downstream, or refused for good and counted. Until then it
survives a restart, so the downstream may see it twice, but never not at all.

Parcels of items (`parcels`) are begun in order, a few at once, so requests may overtake each other by that many: OTLP
promises no order across requests. After a refusal for later, and at the start, one goes alone until it is answered:
whoever is down is asked once, not four times. A parcel of several items that is refused for good is sent again item by
item, so that a bad one costs no other.
"""

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Protocol

from collector_processor.errors import RetryableError
from collector_processor.ledger import Signal
from collector_processor.otlp.downstream import open_downstream
from collector_processor.otlp.endpoint import Downstream, Endpoint, Fate, Reply
from collector_processor.otlp.parcels import Parcel, QueuedItem, packed
from collector_processor.otlp.seldom import Seldom


class Outbox(Protocol):
    """What the forwarder needs of a store; a RetryableError from either means later."""

    def waiting(self, *, after: int, limit: int, destination: str) -> Sequence[QueuedItem]:
        """Return the items that wait for a destination, with id > `after`, ascending: `limit` or a few more."""
        ...

    def done(self, destination: str, item_id: int) -> None:
        """Take note that this item and all before it are done."""
        ...


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How patiently to send; times are in seconds."""

    initial: float = 5.0
    maximum: float = 30.0
    multiplier: float = 1.5
    jitter: float = 0.2
    retry_info_maximum: float = 120.0  # what a downstream may ask for at most
    poll_interval: float = 1.0
    page: int = 512
    in_flight: int = 4


@dataclass(frozen=True, slots=True)
class Canaries:
    """What a destination is sent beside its items to find loops: `make` returns a request per signal it takes.

    They go out before the first item, and with the first item of each further interval (in seconds).
    """

    make: Callable[[], Mapping[Signal, bytes]]
    interval: float


@dataclass(frozen=True, slots=True)
class ForwardCounts:
    """Totals since the start, in items (data points, spans, log records) except `retries`, which counts requests.

    `rejected` are those of `sent` that the downstream did not take (partial success); `dropped` is by (signal, code).
    """

    sent: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)


class Forwarder:
    """One thread that empties a destination's queue while it runs, and a few more that send what goes at the same time.

    What is done is not sent again by this forwarder, whether or not the outbox could take note of it yet.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        outbox: Outbox,
        retry: RetrySettings = RetrySettings(),
        *,
        destination: str = "default",
        canaries: Canaries | None = None,
    ) -> None:
        self.destination = destination
        self._outbox = outbox
        self._retry = retry
        self._downstreams = [open_downstream(endpoint) for _ in range(retry.in_flight)]
        self._in_flight = 1
        self._canaries, self._next_canary = canaries, 0.0
        self._held_for = ""
        self._stopping, self._woken = Event(), Event()
        self._lock = Lock()
        self._counts = ForwardCounts()
        self._last_id = self._reported_id = 0
        self._answered: set[int] = set()  # beyond `_last_id`
        self._failures_in_a_row = 0
        self._telling = Seldom(_TOLD_EVERY)
        self._thread = Thread(target=self._run, name=f"forwarder-{destination}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def hold(self, reason: str) -> None:
        """Send nothing any more; what waits stays in the outbox, until the process starts again."""
        if not self._held_for:
            _log.error("nothing is forwarded to %s any more: %s", self.destination, reason)
        self._held_for = reason

    @property
    def is_held(self) -> bool:
        """Whether sending was ended by `hold`."""
        return bool(self._held_for)

    def wake(self) -> None:
        """Look at the queue now: something new waits there."""
        self._woken.set()

    def stop(self, timeout: float = 1.0) -> bool:
        """Give up calls under way and end; return whether the thread ended in time."""
        self._stopping.set()
        self._woken.set()
        for downstream in self._downstreams:
            downstream.cancel()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def counts(self) -> ForwardCounts:
        """Return a consistent copy of the totals."""
        with self._lock:
            c = self._counts
            return ForwardCounts(Counter(c.sent), Counter(c.rejected), Counter(c.dropped), Counter(c.retries))

    def _run(self) -> None:
        others = max(1, self._retry.in_flight - 1)
        with ThreadPoolExecutor(others, thread_name_prefix=f"sender-{self.destination}") as senders:
            while not self._stopping.is_set():
                try:
                    self._step(senders)
                except Exception:  # noqa: BLE001  (a forwarder that ended would be noticed only by the missing data)
                    _log.exception("forwarding failed; it goes on after %.0f s", self._retry.initial)
                    self._stopping.wait(self._retry.initial)
        for downstream in self._downstreams:
            downstream.close()

    def _step(self, senders: Executor) -> None:
        """Send what waits, or wait for something to send."""
        if self._held_for:
            self._stopping.wait(self._retry.poll_interval)
            return
        self._woken.clear()
        page = self._outbox.waiting(after=self._last_id, limit=self._retry.page, destination=self.destination)
        delay = (self._send_canaries() if page else 0.0) or self._send(senders, page)
        self._report()
        if delay:
            self._stopping.wait(delay)
        elif not page:
            self._woken.wait(self._retry.poll_interval)

    def _send_canaries(self) -> float:
        """Send canaries when they are due; return how long to wait where the downstream takes nothing now."""
        if self._canaries is None or time.monotonic() < self._next_canary:
            return 0.0
        for signal, canary in self._canaries.make().items():
            reply = self._downstreams[0].send(signal, canary)
            if reply.fate is Fate.LATER:
                return self._delay(reply)
        self._next_canary = time.monotonic() + self._canaries.interval
        return 0.0

    def _send(self, senders: Executor, page: Sequence[QueuedItem]) -> float:
        """Send items, a few parcels at once, until one has to wait; return for how long, 0 if all are done."""
        rest, ids = packed(page, self._answered), deque(queued.item_id for queued in page)
        while ids and not self._held_for:
            begun, rest = rest[: self._in_flight], rest[self._in_flight :]
            replies = self._exchange(senders, begun)
            for parcel, reply in zip(begun, replies, strict=True):
                rest = [*self._take(parcel, reply), *rest]
            while ids and ids[0] in self._answered:
                self._last_id = ids.popleft()
                self._answered.remove(self._last_id)
            later = [reply for reply in replies if reply.fate is Fate.LATER]
            self._in_flight = 1 if later else self._retry.in_flight
            if later:
                return self._delay(max(later, key=lambda reply: reply.retry_after or 0.0))
            self._note_success()
            self._report()
        return 0.0

    def _exchange(self, senders: Executor, begun: Sequence[Parcel]) -> list[Reply]:
        """Send these at once, each through a downstream of its own, the first from this thread; return the answers."""
        others = senders.map(_sent, self._downstreams[1:], begun[1:])
        return [_sent(self._downstreams[0], begun[0]), *others]

    def _take(self, parcel: Parcel, reply: Reply) -> list[Parcel]:
        """Settle a parcel; return what of it is to be sent again at once."""
        if reply.fate is Fate.REFUSED and parcel.is_joined:
            self._count_retry(parcel)
            return parcel.apart()
        if reply.fate is not Fate.LATER:
            self._count_done(parcel, reply)
            self._answered.update(queued.item_id for queued in parcel.queued)
        elif not self._stopping.is_set():
            self._count_retry(parcel)
        return []

    def _delay(self, reply: Reply) -> float:
        """Return how long to wait: what the downstream asks for, else exponentially longer, spread by the jitter."""
        retry = self._retry
        backoff = min(retry.maximum, retry.initial * retry.multiplier**self._failures_in_a_row)
        self._failures_in_a_row = min(self._failures_in_a_row + 1, 100)
        if self._failures_in_a_row == _TOLD_AFTER:
            told = "%s took nothing %d times in a row; what is for it waits: %s %s"
            _log.warning(told, self.destination, _TOLD_AFTER, reply.code, reply.details[:_MOST_TOLD])
        if reply.retry_after:
            return min(reply.retry_after, retry.retry_info_maximum)
        return backoff * random.uniform(1 - retry.jitter, 1 + retry.jitter)  # noqa: S311  (no secret)

    def _note_success(self) -> None:
        if self._failures_in_a_row >= _TOLD_AFTER:
            _log.info("%s takes what is sent again", self.destination)
        self._failures_in_a_row = 0

    def _report(self) -> None:
        if self._reported_id < self._last_id:
            try:
                self._outbox.done(self.destination, self._last_id)
            except RetryableError as error:
                _log.warning("forwarded requests stay in the outbox of %s for now: %s", self.destination, error)
            else:
                self._reported_id = self._last_id

    def _count_retry(self, parcel: Parcel) -> None:
        with self._lock:
            self._counts.retries[parcel.signal] += 1

    def _count_done(self, parcel: Parcel, reply: Reply) -> None:
        is_taken = reply.fate is Fate.TAKEN
        with self._lock:
            if is_taken:
                self._counts.sent[parcel.signal] += parcel.items
                self._counts.rejected[parcel.signal] += min(reply.rejected, parcel.items)  # no more, whatever it says
            else:
                self._counts.dropped[parcel.signal, reply.code] += parcel.items
        if not is_taken or reply.rejected or reply.details:
            self._tell(parcel, reply)

    def _tell(self, parcel: Parcel, reply: Reply) -> None:
        """Say what became of a parcel that was not simply taken; of many like it once a minute."""
        if not self._telling.is_due((parcel.signal, reply.code)):
            return
        where, told = self.destination, reply.details[:_MOST_TOLD]
        if reply.fate is not Fate.TAKEN:
            _log.error("%s refused %d %s items for good: %s %s", where, parcel.items, parcel.signal, reply.code, told)
        elif reply.rejected:
            text = "%s did not take %d of %d %s items: %s"
            _log.warning(text, where, reply.rejected, parcel.items, parcel.signal, told)
        else:
            _log.warning("%s took %d %s items and says: %s", where, parcel.items, parcel.signal, told)


def _sent(downstream: Downstream, parcel: Parcel) -> Reply:
    return downstream.send(Signal(parcel.signal), parcel.payload)


_MOST_TOLD = 200
_TOLD_EVERY = 60.0
_TOLD_AFTER = 3
"""A failure or two in a row is what a restart or an overload there looks like."""

_log = logging.getLogger(__name__)
