"""An alert travels: our series, a rule of a real Prometheus or vmalert, a real Alertmanager, and our webhook."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from collector_processor.clock import MINUTE
from tests.grafana.scene import CALLS, write_scene
from tests.ports import free_port
from tests.process import Process, end, wait_until
from tests.servers.alertmanager import running_alertmanager
from tests.servers.program import answers, running
from tests.servers.prometheus import running_prometheus

pytestmark = pytest.mark.server

READ, HOOK = "a-token-that-reads", "a-token-that-notifies"


@dataclass(frozen=True)
class Chain:
    """A Foreband with one series outside its band, and the Alertmanager that notifies it."""

    process: Process
    alertmanager: str
    directory: Path

    def get(self, path: str) -> Any:
        request = Request(f"http://{self.process.http}{path}", headers={"X-Foreband-Token": READ})
        with urlopen(request, timeout=30) as response:
            return json.load(response)

    def drawn(self, title: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("/api/v1/annotations")
        return [row for row in rows if row["title"] == title]

    def answers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"/api/v1/feedback?series={CALLS.stable_id}")
        return rows


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Chain]:
    alertmanager, directory = program("prometheus-alertmanager"), Path(tmp_path_factory.mktemp("alerting"))
    tokens = [f"security.tokens.read=[{READ}]", f"security.tokens.hook=[{HOOK}]"]
    process = Process(directory / "foreband", *tokens)
    write_scene(process.store, now=time.time_ns() // MINUTE * MINUTE)
    process.run()
    webhook = f"http://{process.http}/hooks/alertmanager"
    try:
        assert wait_until(lambda: process.code() is not None or answers(f"http://{process.http}/healthz"))
        with running_alertmanager(alertmanager, directory / "alertmanager", webhook, HOOK) as url:
            yield Chain(process, url, directory)
        process.assert_log_is_calm()
    finally:
        end(process)


def rules(alert: str, expression: str, **annotations: str) -> str:
    """Return a file of one rule, as Prometheus and vmalert read it."""
    texts = {"summary": "{{ $labels.metric }} is outside its band", **annotations}
    rule = {"alert": alert, "expr": expression, "annotations": texts}
    return json.dumps({"groups": [{"name": "foreband", "interval": "1s", "rules": [rule]}]})


def test_a_rule_of_a_real_prometheus_on_what_it_federates_comes_back_as_an_annotation(
    chain: Chain, program: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(rules("FromPrometheus", "foreband_anomaly != 0"))
    scrape = {
        "job_name": "foreband",
        "honor_labels": True,
        "metrics_path": "/prom/federate",
        "params": {"match[]": ["foreband_anomaly"]},
        "authorization": {"credentials": READ},
        "static_configs": [{"targets": [chain.process.http]}],
    }
    managers = [{"static_configs": [{"targets": [chain.alertmanager.removeprefix("http://")]}]}]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [scrape],
        "alerting": {"alertmanagers": managers},
    }
    with running_prometheus(program("prometheus"), tmp_path, config):
        assert wait_until(lambda: chain.drawn("FromPrometheus")), (tmp_path / "log").read_text()
    (row,) = chain.drawn("FromPrometheus")
    assert row["text"] == "traces.span.calls is outside its band"
    assert row["tags"] == "alert,firing,alertmanager"


def test_a_rule_that_vmalert_asks_us_about_answers_the_episode_it_is_about(
    chain: Chain, program: Callable[[str], str], tmp_path: Path
) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(rules("FromVmalert", "foreband_anomaly != 0", foreband_answer="expected", foreband_by="alice"))
    command = [
        program("vmalert"),
        f"-rule={file}",
        f"-datasource.url=http://{chain.process.http}/prom",
        f"-datasource.bearerToken={READ}",
        f"-notifier.url={chain.alertmanager}",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
        "-evaluationInterval=1s",
    ]
    with running(command, tmp_path / "log", chain.answers):
        pass
    (said,) = chain.answers()
    assert (said["answer"], said["by"]) == ("expected", "alice")
    assert chain.drawn("FromVmalert")
