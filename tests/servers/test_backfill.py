"""The past of a real Prometheus and a real VictoriaMetrics, brought into a running Foreband."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from collector_processor.backfill.prometheus import PrometheusSource
from collector_processor.backfill.run import Cursor, Plan, run_backfill
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.errors import ForebandError
from collector_processor.otlp.endpoint import Endpoint
from collector_processor.otlp.grpc_downstream import GrpcDownstream
from collector_processor.store.sqlite import open_reader
from tests.ports import free_port, is_listening
from tests.process import Process, end, wait_until
from tests.servers.program import running
from tests.servers.prometheus import running_prometheus

pytestmark = pytest.mark.server

STEP, DAYS = 300, 2
TARGET = 'job="eu/shop",instance="a:1"'


def history(until: int) -> list[str]:
    """Return two days of a gauge, a counter and a histogram every five minutes, in Prometheus' text format."""
    found = []
    for number, at in enumerate(range(until - DAYS * 86400, until, STEP)):
        level = 10 + 5 * math.sin(2 * math.pi * at / 86400)
        rows = [
            f'queue_length{{{TARGET},queue="ü"}} {level!r}',
            f'orders_total{{{TARGET},otel_scope_name="lib"}} {3.0 * number}',
            f'latency_seconds_bucket{{{TARGET},le="0.1"}} {2 * number}',
            f'latency_seconds_bucket{{{TARGET},le="1"}} {3 * number}',
            f'latency_seconds_bucket{{{TARGET},le="+Inf"}} {4 * number}',
            f"latency_seconds_sum{{{TARGET}}} {0.5 * number}",
            f"latency_seconds_count{{{TARGET}}} {4 * number}",
            f'target_info{{{TARGET},k8s_pod_name="p-1"}} 1',
        ]
        found += [f"{row} {at}" for row in rows]
    return found


@pytest.fixture(scope="module")
def until() -> int:
    return int(time.time()) // STEP * STEP


@pytest.fixture(scope="module", params=["prometheus", "victoria-metrics"])
def source(
    request: pytest.FixtureRequest, until: int, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start a server that holds the history; return its URL."""
    start = prometheus if request.param == "prometheus" else victoria_metrics
    with start(program, tmp_path_factory.mktemp("source"), until) as url:
        assert wait_until(lambda: holds_everything(url, until))
        yield url


@contextmanager
def prometheus(program: Callable[[str], str], directory: Path, until: int) -> Iterator[str]:
    rows = sorted(history(until), key=lambda row: (row[: row.index("}")], int(row[row.rindex(" ") :])))
    (directory / "points").write_text("\n".join([*rows, "# EOF\n"]))
    blocks = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*blocks, directory / "points", directory / "data"], check=True, capture_output=True)
    with running_prometheus(program("prometheus"), directory) as server:
        yield server.url


@contextmanager
def victoria_metrics(program: Callable[[str], str], directory: Path, until: int) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    command = [program("victoria-metrics"), f"-storageDataPath={directory / 'data'}", f"-httpListenAddr={address}"]
    with running(command, directory / "log", lambda: is_listening(address)):
        body = "\n".join(f"{row}000" for row in history(until)).encode()  # in milliseconds
        with urlopen(Request(f"http://{address}/api/v1/import/prometheus", body), timeout=30):
            pass
        yield f"http://{address}"


def holds_everything(url: str, until: int) -> bool:
    query = f"{url}/api/v1/query?query=count_over_time(queue_length[{DAYS}d])&time={until - 1}"
    try:
        with urlopen(query, timeout=10) as response:
            result = json.loads(response.read())["data"]["result"]
    except OSError:
        return False
    return bool(result) and int(result[0]["value"][1]) == DAYS * 86400 // STEP


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "foreband")
    process.start()
    yield process
    end(process)


def command(process: Process, url: str, cursor: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["backfill", "prometheus", "--url", url, "--to", f"http://{process.otlp}", "--cursor", str(cursor)]
    return subprocess.run(
        [sys.executable, "-m", "collector_processor", *arguments, *more],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def stored(process: Process) -> dict[str, tuple[Any, Any, Any]]:
    """Return key, times and values of every series by `metric statistic`."""
    reader = open_reader(process.store)
    try:
        found = {}
        for series, key in reader.catalog():
            points = reader.read_points(np.array([series], np.int32), 0, 2**62)
            found[f"{key.metric} {key.statistic.value}"] = (key, points.time_unix_nano, points.value)
        return found
    finally:
        reader.close()


def test_the_past_arrives_whole_with_labels_as_opentelemetry_maps_them(
    source: str, until: int, process: Process, tmp_path: Path
) -> None:
    times = ["--from", str(until - DAYS * 86400), "--until", str(until), "--step", "5m"]
    done = command(process, source, tmp_path / "cursor", *times)
    assert done.returncode == 0, done.stderr
    assert "of 3 metrics were sent, 0 of them not taken" in done.stderr
    found = stored(process)
    key, at, values = found["queue_length value"]
    expected = np.arange(until - DAYS * 86400, until, STEP)
    assert (at // NANOS_PER_SECOND).tolist() == expected.tolist()
    assert values.tolist() == pytest.approx((10 + 5 * np.sin(2 * np.pi * expected / 86400)).tolist())
    assert dict(key.attributes) == {"queue": "ü"}
    assert dict(key.resource) == {
        "service.namespace": "eu",
        "service.name": "shop",
        "service.instance.id": "a:1",
        "k8s_pod_name": "p-1",
    }
    assert set(found["orders_total rate"][2].tolist()) == {3.0 / STEP}
    assert found["latency_seconds p50"][2].size > DAYS * 86400 // STEP - 3
    assert np.allclose(found["latency_seconds rate"][2], 4.0 / STEP)
    assert not (tmp_path / "cursor").exists()
    process.assert_balanced()


def test_an_interrupted_backfill_goes_on_where_it_was_and_sends_nothing_in_vain(
    source: str, until: int, process: Process, tmp_path: Path
) -> None:
    plan = Plan(source, ('{__name__="queue_length"}',), until - DAYS * 86400, until, STEP)
    downstream = GrpcDownstream(Endpoint(f"http://{process.otlp}", "test", timeout=30))

    class Interrupted(Exception):  # noqa: N818
        pass

    def interrupt(done: int, _points: int) -> None:
        if done > 86400:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_backfill(PrometheusSource(source), downstream, plan, Cursor(tmp_path / "cursor"), interrupt)
    first = stored(process)["queue_length value"][1].size
    assert 0 < first < DAYS * 86400 // STEP
    later = Plan(source, plan.matches, plan.start + 3600, until + 3600, STEP)  # as `now` has moved on
    report = run_backfill(PrometheusSource(source), downstream, later, Cursor(tmp_path / "cursor"), lambda *_: None)
    downstream.close()
    assert stored(process)["queue_length value"][1].size == DAYS * 86400 // STEP
    assert (report.rejected, report.points) == (0, DAYS * 86400 // STEP - 86400 // STEP)


def test_a_backfill_waits_for_a_foreband_that_is_away(
    source: str, until: int, process: Process, tmp_path: Path
) -> None:
    process.kill()
    process.run()  # not ready yet
    times = ["--from", str(until - 6 * 3600), "--until", str(until), "--step", "5m"]
    done = command(process, source, tmp_path / "cursor", "--match", 'queue_length{queue="ü"}', *times)
    assert done.returncode == 0, done.stderr
    assert stored(process)["queue_length value"][1].size == 72


def test_what_is_older_than_the_retention_is_rejected_and_said(source: str, until: int, tmp_path: Path) -> None:
    process = Process(tmp_path / "foreband", "store.retention=1d")
    process.start()
    try:
        times = ["--from", str(until - DAYS * 86400), "--until", str(until), "--step", "5m"]
        done = command(process, source, tmp_path / "cursor", "--match", '{__name__="queue_length"}', *times)
        assert done.returncode == 0
        assert "before what is kept" in done.stderr
        assert 280 <= stored(process)["queue_length value"][1].size <= 288
    finally:
        end(process)


def test_a_wrong_question_is_told_in_the_servers_own_words(source: str, process: Process, tmp_path: Path) -> None:
    done = command(process, source, tmp_path / "cursor", "--match", "{nonsense")
    assert done.returncode == 1
    assert "label/__name__/values: 4" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_there_is_told_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector_processor.backfill.prometheus._TRIES", 1)
    with pytest.raises(ForebandError, match=r"127\.0\.0\.1"):
        PrometheusSource(f"http://127.0.0.1:{free_port()}").families(("up",), 0, 1)
