"""The alert rules we ship, evaluated by a real Prometheus and by vmalert over what we serve."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from collector_processor.clock import MINUTE
from grafana_datasource.provisioning import Site, provisioning_files
from tests.grafana.scene import CALLS, write_scene
from tests.ports import free_port
from tests.process import Process, end
from tests.servers.program import answers, running

pytestmark = pytest.mark.server

ANOMALY = "Series outside its forecast band"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(Path(tmp_path_factory.mktemp("rules")))
    write_scene(process.store, now=time.time_ns() // MINUTE * MINUTE)
    process.start()
    yield process
    end(process)


@pytest.fixture
def file(process: Process, tmp_path: Path) -> Path:
    """Return the file of rules, evaluated each second; an alert that waits to fire is listed, too."""
    document = yaml.safe_load(provisioning_files(Site(f"http://{process.http}"))["prometheus/foreband.yaml"])
    (group,) = document["groups"]
    group["interval"] = "1s"
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def evaluated(url: str) -> dict[str, dict[str, Any]]:
    """Return the rules by their names once all were evaluated, and none before."""
    try:
        with urlopen(f"{url}/api/v1/rules", timeout=5) as response:
            groups = json.load(response)["data"]["groups"]
    except OSError:
        return {}
    rules = {rule["name"]: {"alerts": [], **rule} for group in groups for rule in group["rules"]}
    is_done = all(rule["health"] in {"ok", "err"} for rule in rules.values())
    return rules if is_done and rules[ANOMALY]["alerts"] else {}


def assert_they_tell_what_they_should(rules: dict[str, dict[str, Any]], process: Process, titles: set[str]) -> None:
    assert set(rules) == titles
    assert {name: rule.get("lastError", "") for name, rule in rules.items() if rule["health"] != "ok"} == {}
    (alert,) = rules[ANOMALY]["alerts"]
    assert (alert["labels"]["series"], alert["labels"]["severity"]) == (CALLS.stable_id, "warning")
    assert alert["annotations"]["summary"] == "traces.span.calls (rate) of checkout is outside its forecast band"
    for alert in (alert for rule in rules.values() for alert in rule["alerts"]):
        assert "{{" not in str(alert["annotations"])
        assert "no value" not in str(alert["annotations"])
        assert answers(alert["annotations"]["runbook_url"])
    assert not rules["Fits are overdue"]["alerts"], process.get("/metrics")


def is_settled(rules: dict[str, dict[str, Any]]) -> bool:
    """Whether the first scrape came before the last evaluation: before it everything was absent."""
    return bool(rules) and not rules["Fits are overdue"]["alerts"]


def titles_in(file: Path) -> set[str]:
    (group,) = yaml.safe_load(file.read_text())["groups"]
    return {rule["alert"] for rule in group["rules"]}


def test_prometheus_finds_nothing_wrong_with_the_rules(program: Callable[[str], str], file: Path) -> None:
    done = subprocess.run([program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_vmalert_evaluates_every_rule_over_the_prometheus_api(
    program: Callable[[str], str], process: Process, file: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older.yml"
    lines = file.read_text().splitlines(keepends=True)
    older.write_text("".join(line for line in lines if "keep_firing_for" not in line))  # Debian's is from before it
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("vmalert"),
        f"-rule={older}",
        f"-datasource.url=http://{process.http}/prom",
        "-notifier.url=http://127.0.0.1:9",
        f"-httpListenAddr={url.removeprefix('http://')}",
    ]
    with running(command, tmp_path / "log", lambda: evaluated(url)):
        assert_they_tell_what_they_should(evaluated(url), process, titles_in(file))


def test_a_prometheus_evaluates_every_rule_over_what_it_federates(
    program: Callable[[str], str], process: Process, file: Path, tmp_path: Path
) -> None:
    scrape = {
        "job_name": "foreband",
        "honor_labels": True,
        "metrics_path": "/prom/federate",
        "params": {"match[]": ['{__name__=~"foreband_.+"}']},
        "static_configs": [{"targets": [process.http]}],
    }
    timing = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "config.yml").write_text(
        json.dumps({"global": timing, "rule_files": [str(file)], "scrape_configs": [scrape]})
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={tmp_path / 'config.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with running(command, tmp_path / "log", lambda: is_settled(evaluated(url))):
        assert_they_tell_what_they_should(evaluated(url), process, titles_in(file))
