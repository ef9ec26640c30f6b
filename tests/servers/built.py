"""Programs that tests need and that are built from their sources, once."""

import os
import subprocess
from pathlib import Path

import pytest


def built(name: str) -> str:
    """Return where a program is; where it is not built skip, or build it if FOREBAND_SERVERS=required."""
    is_required = os.environ.get("FOREBAND_SERVERS") == "required"
    script = Path(__file__).parent / f"build_{name.replace('-', '_')}.sh"
    command = ["sh", str(script), *([] if is_required else ["--if-built"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        refuse = pytest.fail if is_required else pytest.skip
        refuse(f"{name} is not built; `make {name}` builds it\n{done.stderr}")
    return done.stdout.strip()
