"""The forwarder against a real gRPC server that answers as told."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import Any

import grpc
import pytest

from collector_processor.errors import ConfigError, PermanentError, StoreError
from collector_processor.ledger import Signal
from collector_processor.otlp import schema
from collector_processor.otlp.downstream import probe
from collector_processor.otlp.endpoint import INSTANCE_KEY, LOOP_TEXT, Endpoint, Fate
from collector_processor.otlp.forward import Forwarder, RetrySettings
from collector_processor.otlp.grpc_downstream import reply_of
from collector_processor.otlp.loops import is_loop
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.otlp.status import Answer, StatusAnswer, retry_later, status_of
from tests.process import wait_until

PATIENCE = 10.0
QUICK = RetrySettings(initial=0.02, maximum=0.05, poll_interval=0.02)
METHODS = {method: signal for signal, method in EXPORT_METHODS.items()}

Told = bytes | StatusAnswer


def status(code: grpc.StatusCode) -> StatusAnswer:
    return StatusAnswer(code, "as told")


def exhausted_with_retry_info(seconds: float) -> StatusAnswer:
    return retry_later("full", seconds)._replace(code=grpc.StatusCode.RESOURCE_EXHAUSTED)


def partial_success(rejected: int, text: str) -> bytes:
    answer = schema.ExportResponse()
    answer.partial_success.rejected, answer.partial_success.error_message = rejected, text
    encoded: bytes = answer.SerializeToString()
    return encoded


class Sink(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """A downstream that follows a script of answers, and says OK when it is over."""

    def __init__(self, port: int = 0) -> None:
        self.script: list[Told] = []
        self.received: list[tuple[Signal, bytes]] = []
        self.metadata: list[dict[str, Any]] = []
        self.changed = Condition()
        self.is_silent, self.spoken = False, 0
        self.told_once: dict[bytes, Told] = {}
        self.server = grpc.server(ThreadPoolExecutor(8), [self], options=[("grpc.so_reuseport", 0)])
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()

    def service(self, handler_call_details: Any) -> Any:
        signal = METHODS[handler_call_details.method]
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._answer(signal, body, context))

    def _answer(self, signal: Signal, body: bytes, context: Any) -> bytes:
        with self.changed:
            self.received.append((signal, body))
            self.metadata.append(dict(context.invocation_metadata()))
            told = self.told_once.pop(body, self.script.pop(0) if self.script else b"")
            self.changed.notify_all()
            if self.is_silent:
                number = len(self.received)
                self.changed.wait_for(lambda: not self.is_silent or number <= self.spoken, PATIENCE)
        if isinstance(told, StatusAnswer):
            context.abort_with_status(told)
        assert isinstance(told, bytes)
        return told

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, PATIENCE), self.received

    def speak_once(self) -> None:
        """Answer those that wait now, and no later one."""
        with self.changed:
            self.spoken = len(self.received)
            self.changed.notify_all()

    def speak(self) -> None:
        with self.changed:
            self.is_silent = False
            self.changed.notify_all()


@dataclass
class Entry:
    signal: str
    items: int
    payload: bytes
    joins: bool = False


@dataclass
class Queued:
    item_id: int
    item: Entry


@dataclass
class Outbox:
    """An outbox in memory that forgets an item when it is reported done."""

    rows: list[Queued] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    errors: list[Exception] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    looks: int = 0

    def put(self, *payloads: bytes, signal: str = "metrics", items: int = 10) -> None:
        with self.changed:
            start = len(self.rows) + len(self.sent) + 1
            self.rows += [Queued(start + i, Entry(signal, items, payload)) for i, payload in enumerate(payloads)]

    def put_together(self, *payloads: bytes) -> None:
        """Put items of which each but the first joins the one before it."""
        self.put(*payloads)
        for row in self.rows[1 - len(payloads) :]:
            row.item.joins = True

    def waiting(self, *, after: int, limit: int, destination: str = "default") -> list[Queued]:  # noqa: ARG002
        with self.changed:
            self.looks += 1
            self.changed.notify_all()
            if self.errors:
                raise self.errors.pop()
            return [row for row in self.rows if row.item_id > after][:limit]

    def done(self, destination: str, item_id: int) -> None:  # noqa: ARG002
        with self.changed:
            if self.refusals:
                raise self.refusals.pop()
            self.sent += [row.item_id for row in self.rows if row.item_id <= item_id]
            self.rows = [row for row in self.rows if row.item_id > item_id]
            self.changed.notify_all()

    def wait_for_looks(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.looks >= count, PATIENCE)

    def wait_for(self, *ids: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.sent == [*ids], PATIENCE), self.sent


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.speak()
    sink.server.stop(0).wait()


@pytest.fixture
def forward(sink: Sink) -> Iterator[Callable[..., Forwarder]]:
    forwarders: list[Forwarder] = []

    def started(outbox: Outbox, retry: RetrySettings = QUICK, **endpoint: Any) -> Forwarder:
        forwarder = Forwarder(to(sink.port, **endpoint), outbox, retry)
        forwarders.append(forwarder)
        forwarder.start()
        return forwarder

    yield started
    for forwarder in forwarders:
        assert forwarder.stop()


def to(port: int, **endpoint: Any) -> Endpoint:
    values: dict[str, Any] = {
        "instance_id": "me",
        "timeout": PATIENCE,
        "reconnect_initial": 0.1,
        "reconnect_max": 0.1,
    } | endpoint
    return Endpoint(f"http://127.0.0.1:{port}", **values)


def test_one_at_a_time_items_arrive_byte_for_byte_in_order_and_once(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    outbox = Outbox()
    outbox.put(b"a", b"b")
    outbox.put(b"c", signal="traces")
    outbox.put(b"d", signal="logs")
    forwarder = forward(outbox, replace(QUICK, in_flight=1))
    outbox.wait_for(1, 2, 3, 4)
    assert sink.received == [
        (Signal.METRICS, b"a"),
        (Signal.METRICS, b"b"),
        (Signal.TRACES, b"c"),
        (Signal.LOGS, b"d"),
    ]
    assert forwarder.counts().sent == {"metrics": 20, "traces": 10, "logs": 10}


def test_four_are_under_way_once_the_first_was_answered(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    outbox = Outbox()
    outbox.put(*(bytes([number]) for number in range(8)))
    sink.is_silent = True
    forward(outbox)
    sink.wait_for(1)
    assert len(sink.received) == 1
    sink.speak_once()
    sink.wait_for(5)
    assert outbox.sent == [1]
    sink.speak()
    outbox.wait_for(*range(1, 9))
    assert sorted(body for _, body in sink.received) == [bytes([number]) for number in range(8)]


def test_what_overtook_a_refused_item_is_not_sent_again_and_done_after_it(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    outbox = Outbox()
    outbox.put(b"a", b"b", b"c", b"d")
    sink.told_once[b"c"] = status(grpc.StatusCode.UNAVAILABLE)
    forward(outbox)
    outbox.wait_for(1, 2, 3, 4)
    assert sorted(body for _, body in sink.received) == [b"a", b"b", b"c", b"c", b"d"]
    assert sink.received[-1][1] == b"c"


def test_what_came_together_is_one_request_also_when_it_is_sent_again(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    sink.script = [status(grpc.StatusCode.UNAVAILABLE), Answer({"no_value": 3}).encode()]
    outbox = Outbox()
    outbox.put_together(b"a", b"b", b"c")
    forwarder = forward(outbox)
    outbox.wait_for(1, 2, 3)
    assert [body for _, body in sink.received] == [b"abc", b"abc"]
    counts = forwarder.counts()
    assert (counts.sent, counts.rejected, counts.retries) == ({"metrics": 30}, {"metrics": 3}, {"metrics": 1})


def test_of_what_came_together_only_the_bad_item_is_dropped(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    bad = status(grpc.StatusCode.INVALID_ARGUMENT)
    sink.told_once = {b"abc": bad, b"b": bad}
    outbox = Outbox()
    outbox.put_together(b"a", b"b", b"c")
    outbox.put(b"d")
    forwarder = forward(outbox, replace(QUICK, in_flight=1))
    outbox.wait_for(1, 2, 3, 4)
    assert [body for _, body in sink.received] == [b"abc", b"a", b"b", b"c", b"d"]
    assert forwarder.counts().dropped == {("metrics", "INVALID_ARGUMENT"): 10}
    assert forwarder.counts().sent == {"metrics": 30}


def test_a_part_that_has_to_wait_is_sent_again_alone(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.script = [status(grpc.StatusCode.INVALID_ARGUMENT), b"", status(grpc.StatusCode.UNAVAILABLE)]
    outbox = Outbox()
    outbox.put_together(b"a", b"b", b"c")
    forward(outbox, replace(QUICK, in_flight=1))
    outbox.wait_for(1, 2, 3)
    assert [body for _, body in sink.received] == [b"abc", b"a", b"b", b"b", b"c"]


def test_a_woken_forwarder_does_not_wait_for_its_next_look(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    outbox = Outbox()
    forwarder = forward(outbox, replace(QUICK, poll_interval=3600.0))
    outbox.wait_for_looks(1)
    outbox.put(b"a")
    forwarder.wake()
    outbox.wait_for(1)
    assert len(sink.received) == 1


def test_every_request_names_the_instance_and_carries_the_headers(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    outbox = Outbox()
    outbox.put(b"a" * 1000)
    forward(outbox, headers={"Authorization": "Bearer x"}, gzip=True)
    sink.wait_for(1)
    assert sink.metadata[0][INSTANCE_KEY] == "me"
    assert sink.metadata[0]["authorization"] == "Bearer x"
    assert "Bearer x" not in repr(to(1, headers={"Authorization": "Bearer x"}))


RETRYABLE = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_the_retry_table_is_exactly_that_of_otlp(code: grpc.StatusCode) -> None:
    assert (reply_of(code).fate is Fate.LATER) == (code.name in RETRYABLE)
    with_time = reply_of(code, retry_after=1.0)
    assert (with_time.fate is Fate.LATER) == (code.name in {*RETRYABLE, "RESOURCE_EXHAUSTED"})


@pytest.mark.parametrize("code", RETRYABLE)
def test_a_retryable_refusal_is_tried_again_before_anything_else(
    sink: Sink, forward: Callable[..., Forwarder], code: str
) -> None:
    sink.script = [status(grpc.StatusCode[code])] * 3
    outbox = Outbox()
    outbox.put(b"a", b"b")
    forwarder = forward(outbox)
    outbox.wait_for(1, 2)
    assert [body for _, body in sink.received] == [b"a"] * 4 + [b"b"]
    assert forwarder.counts().retries == {"metrics": 3}
    assert not forwarder.counts().dropped


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNKNOWN", "INTERNAL", "UNAUTHENTICATED"])
def test_a_permanent_refusal_drops_the_item_once_and_counts_it(
    sink: Sink, forward: Callable[..., Forwarder], code: str
) -> None:
    sink.script = [status(grpc.StatusCode[code])]
    outbox = Outbox()
    outbox.put(b"a", b"b")
    forwarder = forward(outbox)
    outbox.wait_for(1, 2)
    assert [body for _, body in sink.received] == [b"a", b"b"]
    assert forwarder.counts().dropped == {("metrics", code): 10}
    assert forwarder.counts().sent == {"metrics": 10}


def test_retry_info_is_honoured_up_to_the_cap(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.script = [exhausted_with_retry_info(3600), retry_later("full", 3600)]
    outbox = Outbox()
    outbox.put(b"a")
    forwarder = forward(outbox, RetrySettings(initial=3600, maximum=3600, retry_info_maximum=0.02))
    outbox.wait_for(1)
    assert len(sink.received) == 3
    assert forwarder.counts().retries == {"metrics": 2}


def test_partial_success_is_counted_and_not_sent_again(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.script = [Answer({"no_value": 3}).encode()]
    outbox = Outbox()
    outbox.put(b"a")
    forwarder = forward(outbox)
    outbox.wait_for(1)
    assert len(sink.received) == 1
    assert forwarder.counts().rejected == {"metrics": 3}
    assert forwarder.counts().sent == {"metrics": 10}


@pytest.mark.parametrize("reply", [b"\xff\xff", bytes(70_000)])
def test_an_odd_reply_ends_the_item_without_a_retry(
    sink: Sink, forward: Callable[..., Forwarder], reply: bytes
) -> None:
    sink.script = [reply]
    outbox = Outbox()
    outbox.put(b"a")
    forward(outbox)
    outbox.wait_for(1)
    assert len(sink.received) == 1


def test_a_downstream_that_was_dead_gets_everything_when_it_lives() -> None:
    first = Sink()
    port = first.port
    first.server.stop(0).wait()
    outbox = Outbox()
    outbox.put(b"a", b"b")
    forwarder = Forwarder(to(port), outbox, QUICK)
    forwarder.start()
    with outbox.changed:
        outbox.changed.wait_for(lambda: forwarder.counts().retries["metrics"] > 2, 0.3)
    assert not outbox.sent
    second = Sink(port)
    outbox.wait_for(1, 2)
    assert [body for _, body in second.received] == [b"a", b"b"]
    assert forwarder.stop()
    second.server.stop(0).wait()


def test_a_downstream_that_stays_dead_is_told_of_once_and_once_when_it_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    first = Sink()
    port = first.port
    first.server.stop(0).wait()
    outbox = Outbox()
    outbox.put(b"a", b"b")
    forwarder = Forwarder(to(port), outbox, QUICK)
    forwarder.start()
    assert wait_until(lambda: forwarder.counts().retries["metrics"] >= 5)
    second = Sink(port)
    assert wait_until(lambda: len(second.received) == 2)
    assert forwarder.stop(PATIENCE)
    second.server.stop(0).wait()
    told = [r for r in caplog.records if r.name == "collector_processor.otlp.forward"]
    assert [r.levelname for r in told] == ["WARNING", "INFO"]
    assert "took nothing 3 times in a row; what is for it waits: UNAVAILABLE" in told[0].getMessage()


def test_a_downstream_cannot_reject_more_than_it_was_sent(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.script = [partial_success(number, "") for number in (-1, 3, 11, 2**63 - 1)]
    outbox = Outbox()
    outbox.put(b"a", b"b", b"c", b"d")
    forwarder = forward(outbox)
    outbox.wait_for(1, 2, 3, 4)
    assert (forwarder.counts().sent, forwarder.counts().rejected) == ({"metrics": 40}, {"metrics": 0 + 3 + 10 + 10})


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (status(grpc.StatusCode.PERMISSION_DENIED), "refused 10 metrics items for good: PERMISSION_DENIED as told"),
        (Answer({"no_value": 3}).encode(), "did not take 3 of 10 metrics items: 3 not taken: the data point has no"),
        (partial_success(0, "use gzip"), "took 10 metrics items and says: use gzip"),
    ],
)
def test_what_a_downstream_says_again_and_again_is_told_once_a_minute(
    sink: Sink, forward: Callable[..., Forwarder], caplog: pytest.LogCaptureFixture, told: Told, text: str
) -> None:
    sink.script = [told] * 5
    outbox = Outbox()
    outbox.put(*(bytes([number]) for number in range(5)))
    forward(outbox)
    outbox.wait_for(1, 2, 3, 4, 5)
    (said,) = caplog.messages
    assert text in said


def test_stop_gives_up_a_silent_downstream_at_once_and_keeps_the_item(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    sink.is_silent = True
    outbox = Outbox()
    outbox.put(b"a")
    forwarder = forward(outbox)
    sink.wait_for(1)
    assert forwarder.stop(1.0)
    assert not outbox.sent


def test_stop_interrupts_a_long_wait(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.script = [status(grpc.StatusCode.UNAVAILABLE)]
    outbox = Outbox()
    outbox.put(b"a")
    forwarder = forward(outbox, RetrySettings(initial=3600, maximum=3600))
    sink.wait_for(1)
    assert forwarder.stop(1.0)


def test_a_call_without_answer_times_out_and_is_retried(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    sink.is_silent = True
    outbox = Outbox()
    outbox.put(b"a")
    forward(outbox, timeout=0.1)
    sink.wait_for(2)
    assert not outbox.sent
    sink.speak()
    outbox.wait_for(1)


def test_an_item_that_left_the_outbox_meanwhile_is_not_sent_again(
    sink: Sink, forward: Callable[..., Forwarder]
) -> None:
    sink.script = [retry_later("full", 0.2)]
    outbox = Outbox()
    outbox.put(b"a", b"b")
    forward(outbox)
    sink.wait_for(1)
    outbox.done("default", 1)  # the queue was full: the oldest is dropped
    outbox.wait_for(1, 2)
    assert [body for _, body in sink.received] == [b"a", b"b"]


def test_done_items_are_reported_later_where_the_store_fails_and_not_sent_again(sink: Sink) -> None:
    outbox = Outbox(refusals=[StoreError("disk"), StoreError("disk")])
    outbox.put(b"a", b"b")
    forwarder = Forwarder(to(sink.port), outbox, QUICK)
    forwarder.start()
    outbox.wait_for(1, 2)
    assert len(sink.received) == 2
    assert forwarder.stop()


def test_an_unexpected_failure_does_not_end_forwarding(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    outbox = Outbox(errors=[StoreError("busy"), ValueError("a bug")])
    outbox.put(b"a")
    forward(outbox)
    outbox.wait_for(1)
    assert len(sink.received) == 1


def test_the_wait_grows_to_its_maximum_with_jitter() -> None:
    forwarder = Forwarder(to(1), Outbox())
    delays = [forwarder._delay(reply_of(grpc.StatusCode.UNAVAILABLE)) for _ in range(200)]
    for attempt, delay in enumerate(delays):
        base = min(30.0, 5.0 * 1.5**attempt)
        assert base * 0.8 <= delay <= base * 1.2
    assert len(set(delays)) == 200
    assert not math.isclose(min(delays[10:]), max(delays[10:]), rel_tol=0.2)
    assert forwarder._delay(reply_of(grpc.StatusCode.UNAVAILABLE, retry_after=1.0)) == 1.0
    assert forwarder._delay(reply_of(grpc.StatusCode.UNAVAILABLE, retry_after=1e9)) == 120.0


def test_a_probe_of_another_instance_passes(sink: Sink) -> None:
    assert probe(to(sink.port)).fate is Fate.TAKEN
    assert sink.received == [(Signal.METRICS, b"")]
    assert sink.metadata[0][INSTANCE_KEY] == "me"


def test_a_probe_that_meets_itself_is_a_permanent_error(sink: Sink) -> None:
    sink.script = [status_of(PermanentError(LOOP_TEXT))]
    with pytest.raises(
        PermanentError, match=f"forwarding to http://127.0.0.1:{sink.port} is refused there: {LOOP_TEXT}"
    ):
        probe(to(sink.port))


def test_a_probe_of_nothing_is_no_loop() -> None:
    assert probe(to(1, timeout=0.5)).fate is Fate.LATER


@pytest.mark.parametrize(
    ("url", "listens", "loop"),
    [
        ("http://127.0.0.1:4317", ["127.0.0.1:4317"], True),
        ("http://localhost:4317", ["127.0.0.1:4317"], True),
        ("http://localhost", ["127.0.0.1:4317"], True),
        ("http://127.0.0.1:4318", ["127.0.0.1:4317"], False),
        ("http://127.0.0.1:4318", ["127.0.0.1:4317", "127.0.0.1:4318"], True),
        ("http://127.0.0.1:4317", ["0.0.0.0:4317"], True),
        ("http://127.0.0.2:4317", ["0.0.0.0:4317"], True),
        ("http://127.0.0.1:4317", ["[::]:4317"], True),
        ("http://192.0.2.7:4317", ["0.0.0.0:4317"], False),
        ("https://[2001:db8::1]:4317", ["[::]:4317"], False),
        ("http://no-such-host.invalid:4317", ["0.0.0.0:4317"], False),
    ],
)
def test_an_endpoint_is_compared_with_the_own_addresses(url: str, listens: list[str], loop: bool) -> None:
    assert is_loop(url, listens) is loop


def test_an_endpoint_needs_a_scheme() -> None:
    with pytest.raises(ConfigError, match="neither with http:// nor with https://"):
        Forwarder(Endpoint("collector:4317", "me"), Outbox())
    with pytest.raises(ConfigError, match="neither with http:// nor with https://"):
        Forwarder(Endpoint("collector:4318", "me", protocol="http"), Outbox())


def test_counts_are_a_copy(sink: Sink, forward: Callable[..., Forwarder]) -> None:
    outbox = Outbox()
    outbox.put(b"a")
    forwarder = forward(outbox)
    before = forwarder.counts()
    sink.wait_for(1)
    outbox.wait_for(1)
    assert isinstance(before.sent, Counter)
    assert before is not forwarder.counts()
    assert forwarder.counts().sent == {"metrics": 10}
