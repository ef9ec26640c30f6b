"""What stands behind both OTLP doors: so many requests and bytes are worked on at once, the rest is turned away.

A door knows one function, `Ingest`. It settles what that can't know about: requests that never reached it, or that it
could not read. Their items can't be counted, so each enters the ledger as one. What is refused for good is said in the
log, once an hour for each reason: few senders say it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition

from collector_processor.errors import MalformedRequestError, PermanentError, RetryableError, TooLargeError
from collector_processor.ledger import Ledger, Signal
from collector_processor.otlp.seldom import Seldom
from collector_processor.otlp.status import (
    FORBIDDEN,
    NOT_READ,
    REASON_TEXT,
    UNAUTHENTICATED,
    Answer,
    StatusAnswer,
    retry_later,
    status_of,
)

Ingest = Callable[[Signal, bytes, Mapping[str, str]], Answer]
"""Take one request, durably, and answer; the mapping is the call's text metadata, keys in lower case.

It settles the items of every request it answers or refuses with RetryableError, and of no other.
"""


class Refusal(StrEnum):
    """Why a whole request was turned away before its items could be counted."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    NOT_READ = "not_read"  # larger than the limit, not inflatable, or given up by the sender while it came in
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_ACCEPTED = "not_accepted"
    INTERNAL = "internal_error"
    OVERLOAD = "overload"
    MEMORY = "memory"
    DRAINING = "draining"
    RESOURCES = "resources"  # descriptors, memory: what this process lacked while it worked on the request

    @property
    def is_retryable(self) -> bool:
        """Whether the sender was told to come again."""
        return self in {Refusal.OVERLOAD, Refusal.MEMORY, Refusal.DRAINING, Refusal.RESOURCES}


Authorize = Callable[[str | None], Refusal | None]
"""Tell by the `authorization` header why a sender may not come in, None if it may."""


def everybody(_authorization: str | None) -> None:
    """Let everybody in."""


OnRefused = Callable[[Signal, Refusal], None]


def into_ledger(ledger: Ledger) -> OnRefused:
    """Return a callback that enters each refused request as one item."""

    def enter(signal: Signal, refusal: Refusal) -> None:
        if refusal.is_retryable:
            ledger.refuse(signal, 1, refusal)
        else:
            ledger.settle(signal, rejected={refusal: 1})

    return enter


def refusal_of(error: Exception) -> Refusal:
    """Return why a request failed that `Ingest` did not settle."""
    match error:
        case MalformedRequestError():
            return Refusal.MALFORMED
        case TooLargeError():
            return Refusal.TOO_LARGE
        case PermanentError():
            return Refusal.NOT_ACCEPTED
        case _:
            return Refusal.INTERNAL


_STATUS_OF = {
    Refusal.UNAUTHENTICATED: UNAUTHENTICATED,
    Refusal.FORBIDDEN: FORBIDDEN,
    Refusal.NOT_READ: NOT_READ,
}


@dataclass(frozen=True, slots=True)
class Entrance:
    """The way in for what either door received; `telling` is when something may be said of what they refuse."""

    gate: "Gate"
    ingest: Ingest
    on_refused: OnRefused
    telling: Seldom = field(default_factory=lambda: Seldom(_TOLD_EVERY))

    def take(
        self, signal: Signal, size: int, read: Callable[[], bytes], metadata: Mapping[str, str]
    ) -> Answer | StatusAnswer:
        """Do one request: `read` gives its protobuf bytes once there is a place for `size` bytes."""
        refusal = self.gate.enter(size)
        if refusal:
            return self.turn_away(signal, refusal)
        try:
            return self._told(signal, self.ingest(signal, read(), metadata))
        except RetryableError as error:
            return status_of(error)
        except (OSError, MemoryError) as error:
            _log.warning("a %s request is refused for later: %r", signal, error)
            return self.turn_away(signal, Refusal.RESOURCES)
        except Exception as error:  # noqa: BLE001  (whatever it is, the sender gets a code it can act on)
            refusal = refusal_of(error)
            if refusal is Refusal.INTERNAL:
                _log.exception("a %s request failed", signal)
            elif self.telling.is_due((signal, refusal)):
                _log.warning("a %s request is refused for good: %s", signal, error)
            self.on_refused(signal, refusal)
            return status_of(error)
        finally:
            self.gate.leave(size)

    def _told(self, signal: Signal, answer: Answer) -> Answer:
        for reason, count in answer.rejected.items():
            if count and self.telling.is_due((signal, reason)):
                text = REASON_TEXT.get(reason, reason)
                _log.warning("of a %s request %d items are not taken: %s", signal, count, text)
        return answer

    def turn_away(self, signal: Signal, refusal: Refusal) -> StatusAnswer:
        """Refuse a request before it is looked into."""
        self.on_refused(signal, refusal)
        if refusal.is_retryable:
            return retry_later(f"not now: {refusal}", self.gate.retry_after_seconds)
        return _STATUS_OF[refusal]


class Gate:
    """Admit up to so many requests and bytes at once; refuse the rest at once rather than queue them.

    While `is_short_of_memory` nobody is admitted.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._lock = Condition()
        self._capacity = max_requests
        self._requests = max_requests
        self._bytes = max_bytes
        self._refused_in_a_row = 0
        self._is_open = True
        self.is_short_of_memory = False

    def objection(self, size: int = 0) -> Refusal | None:
        """Say why a request of `size` bytes would be turned away now."""
        with self._lock:
            return self._objection(size)

    def enter(self, size: int) -> Refusal | None:
        """Take a place for `size` bytes, or say why there is none."""
        with self._lock:
            refusal = self._objection(size)
            if refusal is None:
                self._requests -= 1
                self._bytes -= size
                self._refused_in_a_row = 0
            return refusal

    def _objection(self, size: int) -> Refusal | None:
        if not self._is_open:
            return Refusal.DRAINING
        is_full = self._requests < 1 or self._bytes < size
        if not is_full and not self.is_short_of_memory:
            return None
        self._refused_in_a_row += 1
        return Refusal.MEMORY if self.is_short_of_memory else Refusal.OVERLOAD

    def leave(self, size: int) -> None:
        """Give the place back."""
        with self._lock:
            self._requests += 1
            self._bytes += size
            self._lock.notify_all()

    def close(self) -> None:
        """Admit nobody any more."""
        with self._lock:
            self._is_open = False
            self._lock.notify_all()

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until everybody has left; return whether that happened in time."""
        with self._lock:
            return self._lock.wait_for(lambda: self._requests == self._capacity, timeout_seconds)

    @property
    def retry_after_seconds(self) -> float:
        """Return when to come again, 1 to 30 s: later for each one turned away, so that they do not come at once."""
        with self._lock:
            return min(30.0, 1.0 + self._refused_in_a_row / self._capacity)


_TOLD_EVERY = 3600.0

_log = logging.getLogger(__name__)
