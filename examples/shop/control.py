"""Switch faults on and off at run time, over HTTP on loopback.

curl -X POST http://127.0.0.1:<port>/fault -d '{"name": "payment-latency", "active": true}'
"""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from examples.shop.model import FAULTS
from examples.shop.service import Shop

_log = logging.getLogger(__name__)

_LARGEST_BODY = 1_024


class Control:
    """A loopback endpoint: `POST /fault` switches one, `GET /fault` lists all."""

    def __init__(self, shop: Shop, port: int = 0) -> None:
        self._server = _Server(shop, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/fault"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def set_fault(shop: Shop, name: str, *, active: bool) -> None:
    """Switch a fault of the model on or off, and say so.

    Raises:
        KeyError: There is no such fault.
    """
    shop.set_fault(FAULTS[name], active=active)
    _log.info("fault %s is now %s", name, "active" if active else "off")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, shop: Shop, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.shop = shop


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0

    def do_GET(self) -> None:
        if self.path == "/fault":
            self._reply(200, self._state())
        else:
            self._reply(404, {"error": f"no {self.path} here, only /fault"})

    def do_POST(self) -> None:
        if self.path != "/fault":
            self._reply(404, {"error": f"no {self.path} here, only /fault"})
            return
        try:
            name, active = self._read()
        except ValueError as error:
            self._reply(400, {"error": str(error)})
            return
        set_fault(self.server.shop, name, active=active)
        self._reply(200, self._state())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Stay silent: a switched fault is logged by its name."""

    def _read(self) -> tuple[str, bool]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= _LARGEST_BODY:
            raise ValueError(f"a body of {length} bytes, 1 to {_LARGEST_BODY} are read")
        match json.loads(self.rfile.read(length)):
            case {"name": str(name), "active": bool(active)} if name in FAULTS:
                return name, active
            case {"name": str(name), "active": bool()}:
                raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
            case _:
                raise ValueError('a fault is switched by {"name": <text>, "active": <true or false>}')

    def _state(self) -> dict[str, bool]:
        active = {fault.name for fault in self.server.shop.faults.values()}
        return {name: name in active for name in FAULTS}

    def _reply(self, status: int, body: object) -> None:
        payload = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
