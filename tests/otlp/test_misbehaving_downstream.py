"""Forwarding through connections that break in the middle: nothing is lost, and nothing sent again without need."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from collector_processor.otlp.endpoint import Endpoint
from collector_processor.otlp.forward import Forwarder
from tests.otlp.fault_proxy import FaultProxy, read_slowly, reset_after_request_bytes, reset_at_answer
from tests.otlp.test_forward import QUICK, Outbox, Sink
from tests.otlp.test_http_downstream import Server
from tests.process import wait_until

PATIENCE, TIMES = 60.0, 3
LARGE = 1 << 20  # does not fit into the buffers on the way

Fault = Callable[[Any, Any], None]


class Downstream:
    """A good server of one protocol behind a bad way to it."""

    def __init__(self, protocol: str, opened: ExitStack) -> None:
        self._sink: Sink | Server
        if protocol == "grpc":
            self._sink = sink = Sink()
            opened.callback(lambda: sink.server.stop(None).wait())
            self.proxy = FaultProxy(sink.port)
        else:
            self._sink = server = Server()
            opened.callback(server.close)
            self.proxy = FaultProxy(int(server.url.rpartition(":")[2]))
        opened.callback(self.proxy.close)
        self.outbox = Outbox()
        self._protocol, self._opened = protocol, opened

    def start(self, timeout: float) -> Forwarder:
        url = f"http://127.0.0.1:{self.proxy.port}"
        endpoint = Endpoint(
            url, "me", self._protocol, gzip=False, timeout=timeout, reconnect_initial=0.1, reconnect_max=0.1
        )
        forwarder = Forwarder(endpoint, self.outbox, QUICK)
        forwarder.start()
        self._opened.callback(forwarder.stop)
        return forwarder

    def received(self) -> Counter[bytes]:
        return Counter(received[-1] for received in self._sink.received)


@pytest.fixture(params=["grpc", "http"])
def downstream(request: pytest.FixtureRequest) -> Iterator[Downstream]:
    with ExitStack() as opened:
        yield Downstream(request.param, opened)


@pytest.mark.parametrize(
    ("fault", "most_again"),
    [
        (reset_after_request_bytes(0), 0),
        (reset_after_request_bytes(LARGE // 2), 0),
        (reset_at_answer(0), TIMES * QUICK.in_flight),
        (reset_at_answer(60), TIMES * QUICK.in_flight),
    ],
    ids=["at once", "in the request", "before the answer", "in the answer"],
)
def test_a_connection_that_is_reset_costs_time_and_nothing_else(
    downstream: Downstream, fault: Fault, most_again: int
) -> None:
    payloads = [random.Random(number).randbytes(LARGE) for number in range(6)]
    downstream.proxy.faults.extend([fault] * TIMES)
    downstream.outbox.put(*payloads)
    forwarder = downstream.start(timeout=PATIENCE)
    assert wait_until(lambda: len(downstream.outbox.sent) == len(payloads), PATIENCE)
    received = downstream.received()
    assert received.keys() >= set(payloads)
    assert sum(received[payload] - 1 for payload in payloads) <= most_again
    counts = forwarder.counts()
    assert counts.sent == {"metrics": 10 * len(payloads)}
    assert not counts.dropped
    assert 1 <= counts.retries["metrics"] <= TIMES * QUICK.in_flight


def test_a_connection_that_leads_nowhere_is_given_up_for_another(downstream: Downstream) -> None:
    downstream.proxy.faults.append(read_slowly)
    downstream.outbox.put(b"first", b"second")
    forwarder = downstream.start(timeout=0.5)
    assert wait_until(lambda: len(downstream.outbox.sent) == 2, PATIENCE)
    assert downstream.received().keys() >= {b"first", b"second"}
    assert downstream.proxy.connections >= 2
    counts = forwarder.counts()
    assert counts.sent == {"metrics": 20}
    assert counts.retries["metrics"] >= 1
