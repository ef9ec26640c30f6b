import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.pipeline_room import Room, gauge_request, opened

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

os.umask(0o022)  # a configuration that its group may write is refused, wherever that is the habit


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Return a pipeline whose one series, depth, is taught to be 50."""
    with opened(tmp_path) as room:
        room.metrics(gauge_request("depth", (-60, 50.0)))
        room.teach("depth/value", 50.0)
        yield room


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return where a server program is installed; without it skip, or fail if FOREBAND_SERVERS=required."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            refuse = pytest.fail if os.environ.get("FOREBAND_SERVERS") == "required" else pytest.skip
            refuse(f"{name} is not installed; `make servers` installs it")
        return path

    return find


@pytest.fixture(scope="session")
def node_modules(program: Callable[[str], str]) -> Path:
    """Return where packages for Node.js are installed; without them skip, or fail if FOREBAND_SERVERS=required."""
    program("node")
    is_required = os.environ.get("FOREBAND_SERVERS") == "required"
    install = Path(__file__).parent / "node" / "install.sh"
    command = ["sh", str(install), *([] if is_required else ["--if-installed"])]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        (pytest.fail if is_required else pytest.skip)(f"no packages; `make servers` installs them\n{found.stderr}")
    return Path(found.stdout.strip())
