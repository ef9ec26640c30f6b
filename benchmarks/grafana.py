"""Measure what Grafana asks, in CPU time: panels, rates, alert rules over a whole fleet, and lists of names."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import psutil
from flask.testing import FlaskClient

from benchmarks.figures import Figure
from benchmarks.grafana_store import COUNTERS, NOW, counter, key_of, labels_of, minutes, write_fleet, write_names
from collector_processor.clock import HOUR, MINUTE, NANOS_PER_SECOND, ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from tests.servers.prometheus import empty_prometheus
from tests.servers.remote_write import push

Times = dict[str, str]


def measure(series: int = 10_000, days: float = 1.0) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        write_fleet(Path(directory) / "fleet", series, days)
        write_names(Path(directory) / "names", 100_000)
        with client_of(Path(directory) / "fleet") as client:
            figures = [*panels(client), *page(client, series), *alerts(client, series), *rates(client)]
        with client_of(Path(directory) / "names") as client:
            return [*figures, first_look(client), *discovery(client)]


def panels(client: FlaskClient) -> list[Figure]:
    """A panel draws value, forecast and both edges."""
    one = f'series="{key_of(COUNTERS + 7).stable_id}"'
    day, hours = times_of(24 * HOUR, 2 * MINUTE), times_of(6 * HOUR, MINUTE)
    draw = [
        "foreband_actual{%s}",
        "foreband_yhat{%s}",
        'foreband_lower{band="alert",%s}',
        'foreband_upper{band="alert",%s}',
    ]
    panel = [partial(ask_range, client, text % one, day) for text in draw]
    hundred = partial(ask_range, client, 'cpu_usage{pod=~"pod-10[0-9]{2}"}', hours)
    return [
        Figure(
            "panel: one series, 24 h, value + yhat + band, p95", p95(lambda: [call() for call in panel]), "ms", must=30
        ),
        Figure("panel: 100 series, 6 h, p95", p95(hundred, 12), "ms", must=250),
    ]


def page(client: FlaskClient, series: int) -> list[Figure]:
    """What the built-in page asks when it opens, and again while it is looked at."""
    paths = {
        "fleet": ["fleet?cells=48&limit=12", "catalog?limit=50"],
        "search": ["catalog?limit=30&sort=name&search=pod-77+zone"],
        "model quality": ["quality", "proof"],
    }
    return [
        Figure(f"page: {what}, {series} series, p95", p95(partial(_get_all, client, asked), 12), "ms", must=100)
        for what, asked in paths.items()
    ]


def first_look(client: FlaskClient) -> Figure:
    """Whoever asks first after a start waits until all names are read."""
    took = 1e3 * _cpu_seconds(partial(_get_all, client, ["catalog?limit=50"]))
    return Figure("first question over 100,000 series: their names are read", took, "ms", must=5000)


def alerts(client: FlaskClient, series: int) -> list[Figure]:
    """An alert rule asks about every series at once."""
    found = ask(client, "foreband_anomaly == 1")
    assert found, "no series is outside its band"
    name = f"alert rule foreband_anomaly == 1 over {series - COUNTERS} series, p95"
    return [Figure(name, p95(partial(ask, client, "foreband_anomaly == 1"), 12), "ms", must=100)]


def rates(client: FlaskClient) -> list[Figure]:
    """The commonest question of all, and what a real Prometheus needs for it."""
    query, hours = "sum by (service_name) (rate(http_requests_total[5m]))", times_of(6 * HOUR, MINUTE)
    ours = p95(partial(ask_range, client, query, hours), 8)
    name = f"sum by (service) (rate([5m])) over {COUNTERS} series, 6 h at 60 s, p95"
    figure = Figure(name, ours, "ms", must=1000)
    if shutil.which("prometheus") is None:
        return [figure]
    with (
        tempfile.TemporaryDirectory() as directory,
        empty_prometheus(shutil.which("prometheus") or "", Path(directory)) as server,
    ):
        at = minutes(8 * HOUR)
        named = [{"__name__": "http_requests_total", **labels_of(i)} for i in range(COUNTERS)]
        push(server.url, [(each, at // 1_000_000, counter(np.array([i]), at)[0]) for i, each in enumerate(named)])
        theirs = cpu_of(server.pid, partial(ask_prometheus, server.url, query, hours))
    mean = cpu_of(os.getpid(), partial(ask_range, client, query, hours))
    return [
        figure,
        Figure(f"{name}, mean, beside Prometheus", mean, "ms", peer=theirs, ratio=theirs / mean, must=1 / 3),
    ]


def discovery(client: FlaskClient) -> list[Figure]:
    """What the query builder and variables list of 100,000 series."""
    paths = {
        "metric names": "label/__name__/values",
        "label names": "labels",
        "values of a label": "label/service_name/values",
        "values of a label of one metric": "label/pod/values?" + urlencode({"match[]": "metric_7"}),
        "values of a label beside another": "label/pod/values?" + urlencode({"match[]": '{service_name="service-7"}'}),
        "metric names like a pattern": "label/__name__/values?" + urlencode({"match[]": '{__name__=~"(?i).*_1.*"}'}),
        "label names of one metric": "labels?" + urlencode({"match[]": "metric_7"}),
    }
    return [
        Figure(f"{what}, 100,000 series, p95", p95(partial(client.get, f"/prom/api/v1/{path}"), 12), "ms", must=100)
        for what, path in paths.items()
    ]


@contextmanager
def client_of(directory: Path) -> Iterator[FlaskClient]:
    app = create_app(Settings(partial(open_reader, directory), clock=ManualClock(NOW + 20 * NANOS_PER_SECOND)))
    yield app.test_client()
    app.extensions["foreband"].close()


def _get_all(client: FlaskClient, paths: list[str]) -> None:
    for path in paths:
        assert client.get(f"/api/v1/{path}").status_code == 200


def times_of(length: int, step: int) -> Times:
    end = NOW // NANOS_PER_SECOND
    return {"start": str(end - length // NANOS_PER_SECOND), "end": str(end), "step": str(step // NANOS_PER_SECOND)}


def ask(client: FlaskClient, query: str) -> list[Any]:
    return _result(client.post("/prom/api/v1/query", data={"query": query}).data)


def ask_range(client: FlaskClient, query: str, times: Times) -> list[Any]:
    return _result(client.post("/prom/api/v1/query_range", data={"query": query, **times}).data)


def ask_prometheus(url: str, query: str, times: Times) -> list[Any]:
    with urlopen(f"{url}/api/v1/query_range", urlencode({"query": query, **times}).encode(), timeout=60) as response:
        return _result(response.read())


def p95(call: Callable[[], object], times: int = 20) -> float:
    """Return the 95th percentile of milliseconds of CPU, after one call to warm up."""
    call()
    return 1e3 * float(np.quantile([_cpu_seconds(call) for _ in range(times)], 0.95))


def cpu_of(pid: int, call: Callable[[], object], times: int = 10) -> float:
    """Return the mean milliseconds of CPU that a process spends on a call, after one to warm up."""
    call()
    process = psutil.Process(pid)
    before = process.cpu_times()
    for _ in range(times):
        call()
    after = process.cpu_times()
    return 1e3 * (after.user + after.system - before.user - before.system) / times


def _cpu_seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _result(body: bytes) -> list[Any]:
    """Take part of decoding into account, as a client would have to; it must be a success and not empty."""
    found: list[Any] = json.loads(body)["data"]["result"]
    assert found
    return found
