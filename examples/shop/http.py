"""How the services talk: small JSON requests over HTTP on loopback."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from examples.shop.model import CATEGORIES, NO_BASKET, PAYMENT_METHODS, Basket, Operation

CALL_TIMEOUT_SECONDS = 10.0
_LARGEST_BODY = 4_096

Serve = Callable[[Operation, Basket, dict[str, str]], int]
"""Answer a request (operation, basket, headers) with an HTTP status."""


def call(operation: Operation, port: int, basket: Basket, headers: Mapping[str, str]) -> int:
    """Call an operation on loopback and return its HTTP status.

    Raises:
        OSError, HTTPException: The service did not answer.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT_SECONDS)
    try:
        body = json.dumps(asdict(basket)) if operation.method == "POST" else None
        connection.request(operation.method, operation.route, body, {"Host": operation.service, **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


class OperationServer(ThreadingHTTPServer):
    """A loopback HTTP server on a free port that serves the operations of one service."""

    daemon_threads = True

    def __init__(self, routes: Mapping[tuple[str, str], Operation], serve: Serve) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes, self.serve = routes, serve


def basket_from_json(text: bytes) -> Basket:
    """Read a basket.

    Raises:
        ValueError: The text is not a basket this shop can sell.
    """
    match json.loads(text):
        case {
            "payment_method": str(method),
            "category": str(category),
            "value": int() | float() as value,
            "items": int(n),
        }:
            basket = Basket(method, category, float(value), n)
        case _:
            raise ValueError("a basket has payment_method, category, value and items")
    if method not in PAYMENT_METHODS or category not in CATEGORIES or not (0 <= value < 1e6 and 0 < n < 100):
        raise ValueError(f"cannot sell {basket}")
    return basket


class _Handler(BaseHTTPRequestHandler):
    """Translate between HTTP and the operations of a service."""

    server: OperationServer
    timeout = CALL_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Stay silent: the spans are the log."""

    def _answer(self) -> None:
        operation = self.server.routes.get((self.command, self.path))
        if operation is None:
            self.send_error(404)
            return
        try:
            basket = self._read_basket() if operation.method == "POST" else NO_BASKET
        except ValueError as error:
            self.send_error(400, explain=str(error))
            return
        self.send_response(self.server.serve(operation, basket, dict(self.headers.items())))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _read_basket(self) -> Basket:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= _LARGEST_BODY:
            raise ValueError(f"request body of {length} bytes, 1 to {_LARGEST_BODY} are read")
        return basket_from_json(self.rfile.read(length))
