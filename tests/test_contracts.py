"""The import contracts hold, and would fail if they were broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def verdict(directory: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("collector_processor/signals/catalog.py", "import collector_processor.store.sqlite", "rooms do not know"),
        ("collector_processor/detect/score.py", "import time", "Pure rooms"),
        ("grafana_datasource/rows.py", "import collector_processor.pipeline", "The Grafana side reads"),
        ("collector_processor/store/rows.py", "import grafana_datasource", "know the Grafana side"),
    ],
)
def test_an_import_in_the_wrong_direction_breaks_a_contract(
    tmp_path: Path, module: str, line: str, broken: str
) -> None:
    for package in ("collector_processor", "grafana_datasource"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = verdict(tmp_path)
    assert done.returncode == 1
    assert any(broken in text and "BROKEN" in text for text in done.stdout.splitlines()), done.stdout


def test_every_contract_is_kept() -> None:
    assert verdict(ROOT).returncode == 0
