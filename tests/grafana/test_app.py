import gzip
import json
import logging
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from collector_processor.clock import NANOS_PER_SECOND, ManualClock
from collector_processor.errors import StoreError
from collector_processor.store.base import Commit, SeriesReader
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.points import PointBatch
from grafana_datasource.app import Settings, create_app, serve
from grafana_datasource.query import Limits
from tests.grafana.scene import CPU, NOW, Scene
from tests.grafana.strict import body_of, error_of


def app_over(scene: Scene, **settings: object) -> Flask:
    opener: Callable[[], SeriesReader] = partial(open_reader, scene.directory)
    return create_app(Settings(**{"open_reader": opener, "clock": ManualClock(scene.now), **settings}))  # type: ignore[arg-type]


def closed(app: Flask) -> None:
    app.extensions["foreband"].close()


def test_operators_get_health_readiness_and_metrics(scene: Scene) -> None:
    app = app_over(scene, not_ready=lambda: "the store is being checked", metrics_text=lambda: b"up 1\n")
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    assert error_of(client.get("/readyz"), 503) == "the store is being checked"
    assert client.get("/metrics").data == b"up 1\n"
    assert client.get("/metrics").mimetype == "text/plain"
    assert app_over(scene).test_client().get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("DELETE", "/api/v1/series", 405),
        ("GET", "/grafana/query", 405),
        ("GET", "/page/0000/page.js", 404),
        ("GET", "/page/../../app.py", 404),
    ],
)
def test_errors_of_routing_have_the_one_shape(client: FlaskClient, method: str, path: str, status: int) -> None:
    error_of(client.open(path, method=method), status)


def test_a_body_past_the_limit_is_refused(client: FlaskClient) -> None:
    error_of(client.post("/grafana/query", data=b"x" * (2 << 20), content_type="application/json"), 413)
    error_of(client.post("/prom/api/v1/query", data={"query": "x" * (2 << 20)}), 413)


def test_a_store_that_fails_is_unavailable_for_now(scene: Scene) -> None:
    def failing() -> SeriesReader:
        raise StoreError("there is no store yet", retry_after_seconds=3)

    response = app_over(scene, open_reader=failing).test_client().get("/api/v1/services")
    assert error_of(response, 503) == "there is no store yet"
    assert response.headers["Retry-After"] == "3"


def test_a_bug_is_logged_but_not_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> SeriesReader:
        raise RuntimeError("secret detail /home/somebody")

    with caplog.at_level(logging.ERROR):
        response = app_over(scene, open_reader=broken).test_client().get("/prom/api/v1/labels")
    assert "secret" not in error_of(response, 500)
    assert "secret detail" in caplog.text


def test_too_many_series_or_samples_are_refused_by_name(scene: Scene) -> None:
    app = app_over(scene, limits=Limits(series=3, samples_read=100_000, rows=50))
    client = app.test_client()
    now = scene.now // 10**9
    times = f"start={now - 60}&end={now}&step=60"
    error = error_of(client.get(f"/prom/api/v1/query_range?query=foreband_yhat&{times}"), 422)
    assert "the limit is 3" in error
    assert "4 series" in error_of(client.get("/api/v1/catalog?series=" + ",".join(["0" * 16] * 4)), 422)
    assert "rows" in error_of(client.get("/api/v1/series?service=mailer"), 422)
    closed(app)
    app = app_over(scene, limits=Limits(samples_read=100))
    assert "100 samples" in error_of(app.test_client().get("/api/v1/series"), 422)
    closed(app)


def test_a_query_past_its_time_is_stopped(scene: Scene) -> None:
    app = app_over(scene, limits=Limits(seconds=-1.0))
    response = app.test_client().get("/prom/api/v1/query?query=foreband_yhat")
    assert "timed out" in error_of(response, 503)
    closed(app)


def test_queries_past_the_concurrent_ones_are_told_to_come_back(scene: Scene) -> None:
    entered, leave = Event(), Event()

    def slow() -> SeriesReader:
        entered.set()
        leave.wait(10)
        return open_reader(scene.directory)

    app = app_over(scene, open_reader=slow, concurrent_queries=1, queue_seconds=0.02)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: app.test_client().get("/api/v1/services"))
        assert entered.wait(10)
        refused = app.test_client().get("/api/v1/services")
        leave.set()
        assert first.result().status_code == 200
    assert "too many queries" in error_of(refused, 503)
    assert int(refused.headers["Retry-After"]) > 0
    closed(app)


def test_every_answer_carries_the_security_headers_and_data_is_never_cached(client: FlaskClient) -> None:
    for path in ("/", "/api/v1/services", "/nothing"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/api/v1/services").headers["Cache-Control"] == "no-store"


def test_the_page_has_no_inline_script_and_all_its_files_are_served_for_ever(client: FlaskClient) -> None:
    html = client.get("/").get_data(as_text=True)
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+=", html)
    assert "//" not in "".join(re.findall(r'(?:src|href)="([^"]*)"', html))
    paths = set(re.findall(r'"(page/[^"]+)"', html))
    assert {path.rsplit("/", 1)[1] for path in paths} >= {"base.css", "views.css", "page.js", "theme.js"}
    for path in paths:
        response = client.get(f"/{path}", headers={"Accept-Encoding": "gzip"})
        assert response.status_code == 200
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(response.data) == client.get(f"/{path}").data


def test_a_browser_that_has_the_page_gets_304(client: FlaskClient) -> None:
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""


def test_new_series_and_points_are_seen_after_the_refresh(scene: Scene, tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    with closing(open_writer(tmp_path / "store", StoreSettings())) as writer:
        app = app_over(scene, open_reader=partial(open_reader, tmp_path / "store"), clock=clock)
        client = app.test_client()
        assert body_of(client.get("/api/v1/catalog"))["total"] == 0
        assert body_of(client.get("/prom/api/v1/query?query=foreband_anomaly"))["data"]["result"] == []
        point = PointBatch(np.zeros(1, np.int32), np.full(1, NOW, np.int64), np.full(1, 5.0))
        writer.commit(Commit(series=[(0, CPU)], points=point))
        clock.advance(NANOS_PER_SECOND)
        (row,) = body_of(client.get("/api/v1/catalog"))["series"]
        assert (row["id"], row["last_value"], row["state"]) == (CPU.stable_id, 5.0, "warming")
        writer.commit(Commit(points=PointBatch(point.series, point.time_unix_nano, np.full(1, 6.0))))
        (value,) = body_of(client.get("/prom/api/v1/query?query=foreband_actual"))["data"]["result"]
        assert value["value"][1] == "6"
        closed(app)


def test_the_server_answers_and_stops(scene: Scene) -> None:
    server = serve(app_over(scene), "127.0.0.1", 0, threads=2)
    with urlopen(f"http://{server.host}:{server.port}/healthz", timeout=5) as answer:
        assert json.load(answer) == {"status": "ok"}
    assert server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port), timeout=1)


def test_a_request_that_runs_when_the_server_stops_is_answered(scene: Scene) -> None:
    entered, leave = Event(), Event()

    def slow() -> SeriesReader:
        entered.set()
        leave.wait(10)
        return open_reader(scene.directory)

    server = serve(app_over(scene, open_reader=slow), "127.0.0.1", 0, threads=2)

    def ask() -> int:
        with urlopen(f"http://127.0.0.1:{server.port}/api/v1/services", timeout=10) as answer:
            return int(answer.status)

    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(ask)
        assert entered.wait(10)
        stopping = pool.submit(server.stop)
        leave.set()
        assert asked.result() == 200
        assert stopping.result() is True


def test_connections_that_never_finish_their_headers_do_not_starve_others(scene: Scene) -> None:
    server = serve(app_over(scene), "127.0.0.1", 0, threads=2)
    with ExitStack() as held:
        for _ in range(150):
            slow = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        assert server.stop()


def test_a_port_that_is_taken_is_an_error_at_once(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(app_over(scene), "127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    "path",
    ["anomalies/current", "annotations", "services", "metrics", "capacity", "series?kind=state"],
)
def test_rows_past_the_limit_are_refused_and_not_cut(scene: Scene, path: str) -> None:
    app = app_over(scene, limits=Limits(rows=0))
    assert "the limit is 0" in error_of(app.test_client().get(f"/api/v1/{path}"), 422)
    closed(app)


def test_a_panel_of_many_targets_is_bounded_as_a_whole(scene: Scene) -> None:
    app = app_over(scene, limits=Limits(samples_returned=2_000))
    panel = {"range": {"from": NOW // 10**6 - 3_600_000, "to": NOW // 10**6}, "intervalMs": 60_000}
    one = {"target": f'foreband_actual{{series="{CPU.stable_id}"}}'}
    ask = partial(app.test_client().post, "/grafana/query")
    assert len(body_of(ask(json={**panel, "targets": [one] * 20}))) == 20
    assert "2000 samples" in error_of(ask(json={**panel, "targets": [one] * 40}), 422)
    closed(app)
