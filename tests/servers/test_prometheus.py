"""A real Prometheus reads Foreband's own metrics, its tool asks Foreband's API, and both are asked the same."""

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml

from collector_processor.clock import HOUR, MINUTE
from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.otlp.status import REASON_TEXT
from collector_processor.store.sqlite import open_reader
from grafana_datasource.directory import Directory
from grafana_datasource.provisioning import Site, provisioning_files
from tests.grafana.scene import CALLS, write_scene
from tests.house import SECOND, Moment
from tests.process import Process, wait_until
from tests.servers.prometheus import running_prometheus

pytestmark = pytest.mark.server

Tool = Callable[..., str]


@dataclass(frozen=True)
class Scenery:
    """A running Foreband that holds three days until `now`, with one series outside its band."""

    process: Process
    now: int

    @property
    def api(self) -> str:
        return f"http://{self.process.http}/prom"


@pytest.fixture(scope="module")
def scenery(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Scenery]:
    program("promtool")
    now = time.time_ns() // MINUTE * MINUTE
    process = Process(tmp_path_factory.mktemp("foreband"))
    write_scene(process.store, now=now)
    process.start()
    yield Scenery(process, now)
    process.assert_log_is_calm(REASON_TEXT["time_in_future"])
    process.kill()


@pytest.fixture(scope="module")
def prometheus(
    scenery: Scenery, promtool: Tool, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start a Prometheus that scrapes Foreband every second and holds the same stored points; return its URL."""
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "points").write_text(open_metrics(scenery))
    promtool("tsdb", "create-blocks-from", "openmetrics", str(directory / "points"), str(directory / "data"))
    jobs = [{"job_name": "foreband", "static_configs": [{"targets": [scenery.process.http]}]}]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    with running_prometheus(program("prometheus"), directory, config) as server:
        yield server.url


@pytest.fixture(scope="module")
def promtool(program: Callable[[str], str]) -> Tool:
    path = program("promtool")

    def run(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run([path, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run


def open_metrics(scenery: Scenery) -> str:
    """Return the stored points of the last six hours as OpenMetrics text."""
    reader = open_reader(scenery.process.store)
    try:
        directory = Directory().with_series(reader.catalog())
        lines = []
        for entry in sorted(directory.entries.values(), key=lambda e: e.name):
            points = reader.read_points(np.array([entry.series], np.int32), scenery.now - 6 * HOUR, 2**62)
            labels = ",".join(f"{k}={json.dumps(v)}" for k, v in entry.labels.items())
            for at, value in zip(points.time_unix_nano.tolist(), points.value.tolist(), strict=True):
                if not math.isnan(value):
                    lines.append(f"{entry.name}{{{labels}}} {value!r} {at // SECOND}\n")
    finally:
        reader.close()
    return "".join(lines) + "# EOF\n"


def vector(answer: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(answer)
    return found


def test_prometheus_scrapes_the_ledger_with_the_right_numbers(
    scenery: Scenery, prometheus: str, promtool: Tool
) -> None:
    moment = Moment(time.time_ns(), "scraped")
    body = moment.gauge("g", (0, 1.0), (-1, 2.0), (9999, 3.0)).SerializeToString()
    with grpc.insecure_channel(scenery.process.otlp) as channel:
        channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)(body, timeout=20)

    def value(expression: str) -> float:
        (sample,) = vector(promtool("query", "instant", "-o", "json", prometheus, f"sum({expression}) or vector(-1)"))
        return float(sample["value"][1])

    assert wait_until(lambda: value('foreband_received_total{signal="metrics"}') == 3)
    assert value('foreband_stored_total{signal="metrics"}') == 2
    assert value('foreband_rejected_total{signal="metrics",reason="time_in_future"}') == 1
    balance = "foreband_received_total - on(signal) group_left() (sum by (signal) ({__name__=~'%s'}))"
    outcomes = "foreband_(stored|rejected|refused)_total"
    assert value(f"({balance % outcomes})") == 0
    assert value('up{job="foreband"}') == 1


def test_promtool_finds_nothing_to_complain_about_in_the_metrics(scenery: Scenery, promtool: Tool) -> None:
    text = scenery.process.get("/metrics")
    assert "foreband_received_total" in text
    assert promtool("check", "metrics", stdin=text) == ""


def test_promtool_asks_for_what_is_outside_its_band(scenery: Scenery, promtool: Tool) -> None:
    (sample,) = vector(promtool("query", "instant", "-o", "json", scenery.api, "foreband_anomaly != 0"))
    assert sample["metric"]["series"] == CALLS.stable_id
    assert sample["value"][1] == "-1"


@pytest.mark.timeout(300)
def test_promtool_asks_for_a_range_that_reaches_into_the_future(scenery: Scenery, promtool: Tool) -> None:
    selector = f'foreband_yhat{{series="{CALLS.stable_id}"}}'
    start, end = (str(scenery.now // SECOND + seconds) for seconds in (-3600, 3600))
    times = ["--start", start, "--end", end, "--step", "5m"]

    def values() -> list[float]:
        (row,) = vector(promtool("query", "range", "-o", "json", *times, scenery.api, selector))
        return [float(value) for _, value in row["values"]]

    assert wait_until(lambda: len(values()) == 25, 240)  # the future begins with the first backtest, after compiling
    assert all(map(math.isfinite, values()))


def test_promtool_lists_labels_and_series(scenery: Scenery, promtool: Tool) -> None:
    names = promtool("query", "labels", scenery.api, "__name__").split()
    assert {"foreband_yhat", "foreband_anomaly", "traces_span_calls_rate", "system_network_io_total"} <= set(names)
    found = promtool("query", "series", "--match", 'foreband_actual{service_name="checkout"}', scenery.api)
    assert found.count("__name__") == 11
    assert CALLS.stable_id in found


def test_promtool_is_told_what_is_wrong_with_a_question(scenery: Scenery, program: Callable[[str], str]) -> None:
    command = [program("promtool"), "query", "instant", scenery.api, "up{"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "bad_data" in done.stderr


EXPRESSIONS = [
    "traces_span_calls_rate",
    "queue_length",
    "system_disk_io_time",
    "system_network_io_total / 1000",
    "traces_span_calls_rate * 60 - 1",
    "traces_span_calls_rate > 50",
    "system_cpu_utilization >= bool 0.4",
    "(-system_memory_usage)",
    "abs(0.1 - traces_span_errors_error_ratio)",
    '{__name__=~"traces_span_.*", service_name="checkout", span_name!="POST /pay"}',
    'system_cpu_utilization{series!=""}',
    "2 ^ 3",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(("offset", "step"), [(0, 60), (-43, 45), (-3599, 420)])
def test_the_same_question_has_the_answer_of_prometheus(
    scenery: Scenery, prometheus: str, promtool: Tool, expression: str, offset: int, step: int
) -> None:
    start, end = (str(scenery.now // SECOND + offset - seconds) for seconds in (7200, 0))

    def ask(url: str) -> dict[str, list[list[Any]]]:
        times = ["--start", start, "--end", end, "--step", f"{step}s"]
        rows = vector(promtool("query", "range", "-o", "json", *times, url, expression))
        return {json.dumps(row["metric"], sort_keys=True): row["values"] for row in rows}

    ours, theirs = ask(scenery.api), ask(prometheus)
    assert ours.keys() == theirs.keys()
    for labels, expected in theirs.items():
        assert [at for at, _ in ours[labels]] == [at for at, _ in expected], labels
        found = np.array([float(value) for _, value in ours[labels]])
        assert np.allclose(found, [float(value) for _, value in expected], rtol=1e-12, atol=0), labels


def test_the_provisioned_alert_fires_after_three_minutes_by_prometheus_rules(tmp_path: Path, promtool: Tool) -> None:
    rule = yaml.safe_load(provisioning_files(Site())["alerting/foreband.yaml"])["groups"][0]["rules"][0]
    as_prometheus = {"alert": "outside", "expr": rule["data"][0]["model"]["expr"], "for": rule["for"]}
    as_prometheus |= {"labels": rule["labels"], "annotations": rule["annotations"]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "foreband", "rules": [as_prometheus]}]}))
    assert "1 rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))
    labels = {"metric": "calls", "statistic": "rate", "series": "abc", "service_name": "shop"}
    selector = ", ".join(f'{k}="{v}"' for k, v in labels.items())
    alert = {"exp_labels": labels | rule["labels"]}
    alert["exp_annotations"] = {
        "summary": "calls (rate) of shop is outside its forecast band",
        "series": "abc",
        "page": "http://127.0.0.1:8080/?series=abc",
        "runbook_url": "http://127.0.0.1:8080/runbooks/anomaly",
    }
    moments = [("4m", []), ("5m", [alert]), ("8m", [])]
    test = {
        "interval": "1m",
        "input_series": [{"series": f"foreband_anomaly{{{selector}}}", "values": "0 0 -1x4 0x9"}],
        "alert_rule_test": [{"eval_time": at, "alertname": "outside", "exp_alerts": found} for at, found in moments],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))
