"""A server of pages and requests, at awkward moments."""

import os
from collections.abc import Iterable
from http.client import HTTPConnection
from typing import Any

import pytest

from collector_processor.web.server import serve
from tests.raw_http import exchange, head_of


def hello(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_a_stop_overtaken_by_the_last_word_of_a_worker_writes_into_no_closed_file() -> None:
    server = serve(hello, "127.0.0.1", 0)
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    trigger, loop = server._waitress.trigger, server._thread
    pull = trigger._physical_pull

    def pull_late() -> None:
        os.write(trigger.trigger, b"x")  # what a worker does last; the loop then finds all that it is asked to do
        loop.join(0.3)
        pull()

    trigger._physical_pull = pull_late
    assert server.stop()
    assert trigger._fds == []
    connection.close()


@pytest.mark.parametrize("size", [32 << 10, 33_000, 60_000, 70_000, 300_000])
def test_a_header_that_is_too_large_is_refused_in_however_many_pieces_it_comes(size: int) -> None:
    server = serve(hello, "127.0.0.1", 0)
    assert exchange(f"127.0.0.1:{server.port}", head_of("/" + "x" * size, method="GET")).code == 431
    assert server.stop()
