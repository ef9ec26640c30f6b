"""What people silence in a real Alertmanager answers the episode it is about, once, also after a restart."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from collector_processor.clock import MINUTE
from tests.grafana.scene import CALLS, write_scene
from tests.process import Process, end, wait_until
from tests.servers.alertmanager import running_alertmanager

pytestmark = pytest.mark.server

_READ = 'foreband_notified_total{outcome="read",source="silences"}'


@pytest.fixture
def alertmanager(tmp_path: Path, program: Callable[[str], str]) -> Iterator[str]:
    directory, nobody = tmp_path / "alertmanager", "http://127.0.0.1:9/"
    with running_alertmanager(program("prometheus-alertmanager"), directory, nobody, "no-token") as url:
        yield url


@pytest.fixture
def process(tmp_path: Path, alertmanager: str) -> Iterator[Process]:
    process = Process(tmp_path / "foreband", f"silences.url={alertmanager}", "silences.every=1s")
    write_scene(process.store, now=time.time_ns() // MINUTE * MINUTE)
    yield process
    end(process)


def post(url: str, body: dict[str, Any]) -> Any:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def silenced(alertmanager: str, comment: str) -> str:
    """Silence what is about the service for an hour; return the id of the silence."""
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "service_name", "value": "checkout", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "alice",
        "comment": comment,
    }
    return str(post(f"{alertmanager}/api/v2/silences", silence)["silenceID"])


def test_a_silence_answers_an_episode_once_and_for_good(process: Process, alertmanager: str) -> None:
    def answers() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = process.get(f"/api/v1/feedback?series={CALLS.stable_id}")
        return rows

    process.start()
    silence = silenced(alertmanager, "false alarm, the probe was broken")
    assert wait_until(answers)
    (said,) = answers()
    assert (said["answer"], said["by"]) == ("false_alarm", f"alice, by silence {silence}")
    post(f"http://{process.http}/api/v1/feedback/{said['id']}/undo", {"by": "bob"})
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    process.start()
    assert wait_until(lambda: _READ in process.get("/metrics"))
    (left,) = answers()
    assert left["undone"] is not None
    process.assert_log_is_calm()
