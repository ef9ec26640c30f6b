import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from collector_processor.cli import cli
from collector_processor.config import load_config
from collector_processor.config.policy import PolicyConfig
from tests.docs import BLOCKS, README, policies_table, settings_table, with_part

ROOT = README.parent


def test_the_readme_lists_every_setting_as_it_is() -> None:
    text = README.read_text()
    assert with_part(text, "settings", settings_table()) == text, "run: python -m tests.docs"


def test_the_readme_lists_every_field_of_a_policy() -> None:
    text = README.read_text()
    assert with_part(text, "policies", policies_table()) == text, "run: python -m tests.docs"
    assert {f"{block}." for block in PolicyConfig.model_fields} <= set(BLOCKS)


def test_the_example_of_a_policy_in_the_readme_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(policies:.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "foreband.yaml"
    path.write_text(example)
    assert load_config(path, environ={}).policies


def test_every_setting_is_described() -> None:
    assert not [row for row in settings_table().splitlines() if row.endswith("|  |")]
    sections: list[type[BaseModel]] = [PolicyConfig, *BLOCKS.values()]
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/faults.md",
        "docs/promql.md",
        "otel-config/README.md",
        "examples/README.md",
    ],
)
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_readme_names_every_command() -> None:
    text = README.read_text()
    for name in set(cli.commands) - {"version", "serve"}:
        assert f"foreband {name}" in text or f"make {name}" in text, name


def test_every_room_stands_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [p.name for p in (ROOT / "collector_processor").iterdir() if (p / "__init__.py").exists()]
    for room in rooms:
        assert f"`{room}`" in text or f"{room} " in text, room


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert version.group(1) in (ROOT / "CHANGELOG.md").read_text()
