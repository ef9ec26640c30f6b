"""A stand-in for the part of Grafana's HTTP API that provisioning uses, strict about what it takes.

It is written from the documentation of these routes, not from Grafana: it knows what must be refused, and no more.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Json = dict[str, Any]

_RULE = {
    *("uid", "title", "condition", "data", "noDataState", "execErrState", "for", "keep_firing_for", "annotations"),
    *("labels", "isPaused", "folderUID", "ruleGroup", "orgID"),
}
_SOURCE = {"name", "type", "uid", "access", "url", "jsonData", "secureJsonData"}


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StandIn:
    """What a Grafana holds, and the requests that changed it."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.sources: dict[str, Json] = {}
        self.folders: dict[str, Json] = {}
        self.dashboards: dict[str, Json] = {}
        self.groups: dict[str, Json] = {}
        self.changes: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Do what a request asks.

        Raises:
            RefusedError: if Grafana would.
        """
        for verb, pattern, do in self._routes():
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                if method != "GET":
                    self.changes.append(f"{method} {path}")
                return do(*found.groups(), *([] if method == "GET" else [body]))
        raise RefusedError(404, "Not found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("GET", r"/api/datasources/uid/([\w-]+)", lambda uid: _held(self.sources, uid, "Data source not found")),
            ("POST", r"/api/datasources", self._add_source),
            ("PUT", r"/api/datasources/uid/([\w-]+)", self._change_source),
            ("GET", r"/api/folders/([\w-]+)", lambda uid: _held(self.folders, uid, "folder not found")),
            ("POST", r"/api/folders", self._add_folder),
            ("GET", r"/api/dashboards/uid/([\w-]+)", lambda uid: _held(self.dashboards, uid, "Dashboard not found")),
            ("POST", r"/api/dashboards/db", self._save_dashboard),
            ("PUT", r"/api/v1/provisioning/folder/([\w-]+)/rule-groups/([\w-]+)", self._replace_rules),
        ]

    def _add_source(self, body: Json) -> Json:
        _require(set(body) <= _SOURCE, 400, f"unknown fields {set(body) - _SOURCE}")
        _require(body["access"] == "proxy", 400, "bad access")
        _require(body["uid"] not in self.sources, 409, "data source with the same uid already exists")
        taken = {source["name"] for source in self.sources.values()}
        _require(body["name"] not in taken, 409, "data source with the same name already exists")
        self.sources[body["uid"]] = {**body, "id": len(self.sources) + 1}
        return {"message": "Datasource added", "name": body["name"]}

    def _change_source(self, uid: str, body: Json) -> Json:
        _require(uid in self.sources and body["uid"] == uid, 404, "Data source not found")
        self.sources[uid] = {**body, "id": self.sources[uid]["id"]}
        return {"message": "Datasource updated"}

    def _add_folder(self, body: Json) -> Json:
        _require(set(body) == {"uid", "title"}, 400, "bad folder")
        _require(body["uid"] not in self.folders, 409, "a folder with that uid already exists")
        self.folders[body["uid"]] = body
        return body

    def _save_dashboard(self, body: Json) -> Json:
        board = body["dashboard"]
        _require(body["folderUid"] in self.folders, 400, "folder not found")
        _require(bool(board["title"]) and len(board["uid"]) <= 40, 400, "bad dashboard")
        held = self.dashboards.get(board["uid"])
        _require(held is None or body["overwrite"] is True, 412, "the dashboard has been changed by someone else")
        version = 1 if held is None else held["dashboard"]["version"] + 1
        saved = {**board, "id": len(self.dashboards) + 1, "version": version}
        self.dashboards[board["uid"]] = {"dashboard": saved, "meta": {"folderUid": body["folderUid"]}}
        return {"status": "success", "uid": board["uid"], "version": version}

    def _replace_rules(self, folder: str, group: str, body: Json) -> Json:
        _require(folder in self.folders, 400, "folder does not exist")
        _require((body["folderUid"], body["title"]) == (folder, group), 400, "body and path differ")
        _require(body["interval"] % 10 == 0, 400, "interval should be a multiple of 10 s")
        for rule in body["rules"]:
            _require(set(rule) == _RULE, 400, f"invalid alert rule: {set(rule) ^ _RULE}")
            known = {*self.sources, "__expr__"}
            _require({query["datasourceUid"] for query in rule["data"]} <= known, 400, "data source not found")
            _require(rule["annotations"]["__dashboardUid__"] in self.dashboards, 400, "dashboard not found")
        self.groups[group] = body
        return body


@contextmanager
def grafana(token: str) -> Iterator[StandIn]:
    """Run a stand-in on a free port of this machine."""
    stand_in = StandIn(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            text = self.rfile.read(length)
            try:
                _require(self.headers["Authorization"] == f"Bearer {stand_in.token}", 401, "Invalid API key")
                _require(not text or self.headers["Content-Type"] == "application/json", 415, "bad content type")
                status, body = 200, stand_in.answer(self.command, self.path, json.loads(text) if text else None)
            except RefusedError as refused:
                status, body = refused.status, {"message": str(refused)}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _do  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _held(things: dict[str, Json], uid: str, missing: str) -> Json:
    _require(uid in things, 404, missing)
    return things[uid]


def _require(holds: bool, status: int, message: str) -> None:
    if not holds:
        raise RefusedError(status, message)
