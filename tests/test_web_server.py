"""A server of pages and requests, stopped at an awkward moment."""

import os
from collections.abc import Iterable
from http.client import HTTPConnection
from typing import Any

from collector_processor.web.server import serve


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
