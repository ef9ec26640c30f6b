"""Sending over OTLP/HTTP, against a real server that answers as told."""

import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
import trustme
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from collector_processor.errors import PermanentError
from collector_processor.ledger import Signal
from collector_processor.otlp.downstream import probe
from collector_processor.otlp.endpoint import INSTANCE_KEY, LOOP_TEXT, ClientTls, Endpoint, Fate, Reply
from collector_processor.otlp.http_downstream import HttpDownstream
from collector_processor.otlp.status import Answer

PATIENCE = 10.0


@dataclass
class Told:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_last: bool = False


class Server:
    """Answers by a script, and 200 when it is over; keeps what it got."""

    def __init__(self, credentials: trustme.LeafCert | None = None) -> None:
        self.script: list[Told] = []
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.connections: set[tuple[str, int]] = set()
        self.is_silent = False
        self.speaking = Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if credentials:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            credentials.configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if credentials else 'http'}://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.connections.add(handler.client_address)
        self.received.append((handler.path, {k.lower(): v for k, v in handler.headers.items()}, body))
        if self.is_silent:
            self.speaking.wait(PATIENCE)
        told = self.script.pop(0) if self.script else Told()
        handler.send_response(told.status)
        for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(told.body)
        handler.close_connection = handler.close_connection or told.is_last

    def close(self) -> None:
        self.speaking.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def send(server: Server) -> Iterator[Callable[..., Reply]]:
    downstream = HttpDownstream(to(server.url))

    def once(payload: bytes = b"x", signal: Signal = Signal.TRACES) -> Reply:
        return downstream.send(signal, payload)

    yield once
    downstream.close()


def to(url: str, **fields: Any) -> Endpoint:
    values: dict[str, Any] = {"instance_id": "me", "protocol": "http", "timeout": PATIENCE} | fields
    return Endpoint(url, **values)


def test_every_signal_has_its_path_and_arrives_byte_for_byte(server: Server, send: Callable[..., Reply]) -> None:
    for signal in Signal:
        assert send(b"body" * 100, signal).fate is Fate.TAKEN
    assert [path for path, *_ in server.received] == ["/v1/metrics", "/v1/traces", "/v1/logs"]
    for _, headers, body in server.received:
        assert gzip.decompress(body) == b"body" * 100
        assert headers["content-encoding"] == "gzip"
        assert headers["content-type"] == "application/x-protobuf"
        assert headers[INSTANCE_KEY] == "me"
    assert len(server.connections) == 1


def test_a_path_headers_and_no_compression_are_taken_as_configured(server: Server) -> None:
    downstream = HttpDownstream(to(f"{server.url}/otlp/", gzip=False, headers={"Authorization": "Bearer x"}))
    assert downstream.send(Signal.LOGS, b"plain").fate is Fate.TAKEN
    downstream.close()
    ((path, headers, body),) = server.received
    assert (path, headers["authorization"], body) == ("/otlp/v1/logs", "Bearer x", b"plain")
    assert "content-encoding" not in headers


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 408, 413, 415, 429, 500, 501, 502, 503, 504, 505])
def test_the_retry_table_is_exactly_that_of_otlp(server: Server, send: Callable[..., Reply], status: int) -> None:
    server.script = [Told(status)]
    reply = send()
    assert reply.fate is (Fate.LATER if status in {429, 502, 503, 504} else Fate.REFUSED)
    assert reply.code == f"HTTP_{status}"
    assert send().fate is Fate.TAKEN


def test_retry_after_is_a_number_or_a_date(server: Server, send: Callable[..., Reply]) -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    told = ["7", date, formatdate(0, usegmt=True), "soon", "nan", "-3"]
    server.script = [Told(503, headers={"Retry-After": text}) for text in told] + [Told(503)]
    seven, later, past, soon, nan, minus, none = (send().retry_after for _ in server.script[:])
    assert seven == 7.0
    assert later is not None
    assert 90 < later <= 100
    assert (past, soon, nan, minus, none) == (0.0, None, None, 0.0, None)


def test_partial_success_is_read_from_the_answer(server: Server, send: Callable[..., Reply]) -> None:
    server.script = [Told(body=Answer({"no_value": 3}).encode()), Told(body=b"\xff\xff"), Told(204)]
    first = send()
    assert (first.fate, first.rejected) == (Fate.TAKEN, 3)
    assert "3 not taken" in first.details
    assert send() == send() == Reply(Fate.TAKEN, "OK")


@pytest.mark.parametrize("content_type", ["text/html", "Text/HTML; charset=utf-8"])
def test_a_web_page_is_taken_for_the_answer_it_is(
    server: Server, send: Callable[..., Reply], content_type: str
) -> None:
    server.script = [Told(body=b"<html>", headers={"Content-Type": content_type}), Told(body=b"ok")]
    page, text = send(), send()
    assert (page.fate, text) == (Fate.TAKEN, Reply(Fate.TAKEN, "OK"))
    assert page.details == "a web page; is there an OTLP receiver at this address?"


def test_the_reason_of_a_refusal_is_read_from_its_body(server: Server, send: Callable[..., Reply]) -> None:
    body = Status(code=3, message="no such tenant").SerializeToString()
    server.script = [Told(400, body, {"Content-Type": "application/x-protobuf"}), Told(400, b"<html>")]
    assert send().details == "no such tenant"
    assert send().details == "Bad Request"


def test_a_connection_closed_while_it_was_idle_costs_nothing(server: Server, send: Callable[..., Reply]) -> None:
    server.script = [Told(is_last=True)]
    assert send().fate is Fate.TAKEN
    assert send().fate is Fate.TAKEN
    assert len(server.connections) == 2


def test_nobody_there_is_later(server: Server) -> None:
    server.close()
    reply = HttpDownstream(to(server.url)).send(Signal.LOGS, b"x")
    assert (reply.fate, reply.code) == (Fate.LATER, "UNREACHABLE")


def test_an_answer_that_does_not_come_times_out_and_the_next_one_counts(server: Server) -> None:
    server.is_silent = True
    downstream = HttpDownstream(to(server.url, timeout=0.2))
    assert downstream.send(Signal.LOGS, b"x").fate is Fate.LATER
    server.is_silent = False
    server.speaking.set()
    assert downstream.send(Signal.LOGS, b"y").fate is Fate.TAKEN
    downstream.close()


def test_cancel_gives_up_the_call_under_way_and_every_later_one(server: Server) -> None:
    server.is_silent = True
    downstream = HttpDownstream(to(server.url))
    replies: list[Reply] = []
    thread = Thread(target=lambda: replies.append(downstream.send(Signal.LOGS, b"x")))
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.received and time.monotonic() < deadline:
        Event().wait(0.01)
    downstream.cancel()
    thread.join(2)
    assert not thread.is_alive()
    assert downstream.send(Signal.LOGS, b"x").fate is Fate.LATER
    assert [reply.fate for reply in replies] == [Fate.LATER]
    assert len(server.received) == 1


def test_an_answer_without_end_is_cut(server: Server, send: Callable[..., Reply]) -> None:
    server.script = [Told(body=bytes(1 << 20))]
    assert send().fate is Fate.TAKEN
    assert send().fate is Fate.TAKEN
    assert len(server.connections) == 2


def test_tls_trusts_the_given_authority_and_no_other() -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server = Server(authority.issue_cert("127.0.0.1"))
    try:
        for root, fate in ((authority, Fate.TAKEN), (stranger, Fate.LATER)):
            tls = ClientTls(root.cert_pem.bytes())
            downstream = HttpDownstream(to(server.url, tls=tls))
            assert downstream.send(Signal.LOGS, b"x").fate is fate
            downstream.close()
    finally:
        server.close()


def test_a_probe_that_meets_itself_is_a_permanent_error(server: Server) -> None:
    body = Status(code=9, message=f"{LOOP_TEXT}: everything would go round").SerializeToString()
    server.script = [Told(400, body, {"Content-Type": "application/x-protobuf"})]
    with pytest.raises(PermanentError, match="is refused there"):
        probe(to(server.url))
