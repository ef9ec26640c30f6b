"""What is wrong with a configuration, in words for whoever wrote it: file, line and the nearest valid name."""

import difflib
import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from collector_processor.config.sections import Section
from collector_processor.config.settings import Config
from collector_processor.config.yaml_source import Path_, YamlSource

_SECRETS = {("forward", "headers"), ("silences", "headers"), ("security", "tokens"), ("security", "hook_secrets")}


def explained(source: YamlSource, origins: Mapping[Path_, str], problem: Any) -> str:
    """Return one of pydantic's errors as a line: where, what, and the nearest valid name; never a secret."""
    path: Path_ = tuple(problem["loc"])
    where = origins.get(path) or f"{source.name}:{source.line(path)}"
    name = name_of(path)
    if problem["type"] == "extra_forbidden":
        return f"{where}: {name}: unknown key{_nearest(path)}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if path[:2] in _SECRETS:
        return f"{where}: {name}: {message}, not what is there"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        return f"{where}: {name}: {message}"  # about a block as a whole
    return f"{where}: {name}: {message}, not {_shown(problem['input'])}{_nearest_value(problem)}"


def name_of(path: Path_) -> str:
    """Return a path as it is written on a command line: `receiver.listen`."""
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    return f"{value!s:.80}" if not isinstance(value, str) else f"{value[:80]!r}"


def _nearest(path: Path_) -> str:
    valid = [field.alias or name for name, field in _section_at(path[:-1]).model_fields.items()]
    near = difflib.get_close_matches(str(path[-1]), valid, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f" (valid: {', '.join(valid)})"


def _section_at(path: Path_) -> type[BaseModel]:
    """Return the section that a path leads to, through lists and what may be left out."""
    section: Any = Config
    for key in path:
        fields = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else {}
        section = fields[key].annotation if key in fields else section
        for inner in get_args(section):
            section = inner if inner not in {NoneType, Ellipsis} else section
    return section if isinstance(section, type) and issubclass(section, BaseModel) else Section


def _nearest_value(problem: Any) -> str:
    expected = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(problem["input"]), expected, n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""
