"""Read a YAML file as plain values that remember their lines.

Only scalars, lists and maps: tags, aliases and merge keys are refused, so a configuration file can neither
construct objects nor grow when expanded. `${env:NAME}` and `${env:NAME:-default}` are replaced in scalars, as the
OpenTelemetry Collector does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from collector_processor.errors import ConfigError
from collector_processor.security.files import check_not_writable_by_others

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
Path_ = tuple[str | int, ...]
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class YamlSource:
    """The values of one file and the line of every key and list item, 1-based."""

    name: str
    values: dict[str, Any]
    lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Path_) -> int:
        """Return the line of the nearest enclosing key that is known."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(path: Path, environ: Mapping[str, str]) -> YamlSource:
    """Read a configuration file; an empty file is an empty map.

    Raises:
        ConfigError: unreadable, writable by others, too large, not YAML, not a map, a duplicate key, a tag or an
            alias, or an environment variable that is not set and has no default.
    """
    check_not_writable_by_others(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_yaml(str(path), text, environ)


def parse_yaml(name: str, text: str, environ: Mapping[str, str]) -> YamlSource:
    """Parse configuration text; see `read_yaml`."""
    try:
        _check_events(name, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigError(f"{name}{_at(getattr(error, 'problem_mark', None))}: {problem}") from error
    if root is None:
        return YamlSource(name, {})
    reader = _Reader(name, environ)
    values = reader.read(root, ())
    if not isinstance(values, dict):
        raise ConfigError(f"{name}:1: the file must be a map of settings")
    return YamlSource(name, values, reader.lines)


def _check_events(name: str, text: str) -> None:
    """Refuse what would make more of the text than it is, before it is made."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{name}{_at(event.start_mark)}: nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{name}{_at(event.start_mark)}: aliases are not allowed")


def _at(mark: Any) -> str:
    return f":{mark.line + 1}" if mark else ""


class _Reader:
    """Turns nodes into values and notes their lines."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.environ = environ
        self.lines: dict[Path_, int] = {}

    def read(self, node: yaml.Node, path: Path_) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise ConfigError(f"{self.name}{_at(node.start_mark)}: tag {node.tag} is not allowed")
        if isinstance(node, yaml.MappingNode):
            return self._read_map(node, path)
        if isinstance(node, yaml.SequenceNode):
            self.lines |= {(*path, i): item.start_mark.line + 1 for i, item in enumerate(node.value)}
            return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._read_scalar(node)

    def _read_map(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in values or key == "<<":
                raise ConfigError(f"{self.name}:{line}: {'.'.join(map(str, (*path, key)))}: key given twice or merged")
            self.lines[(*path, key)] = line
            values[key] = self.read(value_node, (*path, key))
        return values

    def _read_scalar(self, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        text = str(node.value)
        expanded = _ENV.sub(lambda found: self._expand(found, line), text)
        is_expanded = expanded != text
        try:
            return self._value_of(node, expanded if is_expanded else None)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError):  # as YAML's own constructors fail
            kind = "value" if is_expanded else node.tag.rpartition(":")[2]
            raise ConfigError(f"{self.name}:{line}: not a valid {kind}") from None

    def _value_of(self, node: yaml.Node, expanded: str | None) -> Any:
        if "\0" in (expanded or node.value):
            raise ValueError("a zero byte")
        if expanded is None:
            return yaml.SafeLoader("").construct_object(node)
        return yaml.safe_load(expanded) if node.style is None else expanded  # type: ignore[attr-defined]

    def _expand(self, found: re.Match[str], line: int) -> str:
        name, default = found.group(1), found.group(2)
        value = self.environ.get(name, default)
        if value is None:
            raise ConfigError(f"{self.name}:{line}: environment variable {name} is not set and has no default")
        return value
