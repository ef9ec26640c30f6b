"""Throw at a real server whatever its document allows, and what it does not: `python -m tests.grafana.fuzz [examples]`.

A 500, an answer that is not as the document says, a code it does not name, or (run by hand) five seconds without an
answer is a failure. Two checks of schemathesis are left out: a question may be well-formed and still be refused
(`from` after `to`), and parameters that are empty or unknown count as absent.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app, serve
from grafana_datasource.hooks.routes import HookDoor
from tests.grafana.scene import Scene, write_scene

TOKEN = "a-token-of-the-fuzzer"
_SAID_ALREADY = "^post_(prometheus|rows|summaries)_|_(rules|alerts|targets|alertmanagers|config|flags|healthy|ready)$"
"""POST takes what GET takes, and what never changes needs one look."""


@contextmanager
def served(scene: Scene) -> Iterator[str]:
    """Serve a scene to whoever has the token; yield the URL."""
    is_known = TOKEN.__eq__
    clock = ManualClock(scene.now)
    hooks = HookDoor(len, lambda *_: None, lambda: [TOKEN.encode()])
    app = create_app(Settings(partial(open_reader, scene.directory), clock=clock, may_read=is_known, hooks=hooks))
    server = serve(app, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}"
    assert server.stop()


def fuzz(url: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis over the document; what it writes goes below `directory`."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/v1/openapi.json"),
        *("-H", f"Authorization: Bearer {TOKEN}", "--generation-deterministic", "--no-color"),
        *("--exclude-checks", "positive_data_acceptance,negative_data_rejection"),
        *("--warnings", "off", *options),
    ]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def quickly(url: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Try the edges of every parameter, once."""
    return fuzz(url, directory, "--phases", "coverage", "--exclude-operation-id-regex", _SAID_ALREADY)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as text, served(write_scene(Path(text, "store"))) as address:
        examples = ("--max-examples", *(sys.argv[1:] or ["100"]))
        done = fuzz(address, Path(text), "--continue-on-failure", "--max-response-time", "5", *examples)
    sys.stdout.write(done.stdout + done.stderr)
    sys.exit(done.returncode)
