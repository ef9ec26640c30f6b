"""The list of faults in docs/faults.md names tests that exist."""

import re
from pathlib import Path

from tests.bad_inputs import ROWS

_ROOT = Path(__file__).parents[1]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_ROW = re.compile(r"`row: ([^`]+)`")


def test_every_test_in_the_list_of_faults_exists() -> None:
    text = (_ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    tests = _TEST.findall(text)
    missing = [f"{path}::{name}" for path, name in tests if f"def {name}(" not in (_ROOT / path).read_text()]
    assert not missing
    assert not set(_ROW.findall(text)) - ROWS.keys()
    assert len(tests) > 30
