import os
import shutil
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

os.umask(0o022)  # a configuration that its group may write is refused, wherever that is the habit


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
