"""From a file, the environment and the command line to one valid configuration, and back to YAML.

Order of precedence: `--set section.key=value`, then environment `FOREBAND_SECTION__KEY`, then the YAML file, then
the defaults. A wrong key or value is a ConfigError that names file, line and the nearest valid name; nothing is clamped
in silence.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from collector_processor.config.policy import contradictions
from collector_processor.config.problems import explained, name_of
from collector_processor.config.settings import Config
from collector_processor.config.yaml_source import Path_, YamlSource, read_yaml
from collector_processor.errors import ConfigError


def load_config(
    path: Path | None = None, *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """Build the configuration from file, environment and `section.key=value` overrides.

    Raises:
        ConfigError: with one line per problem, all problems at once.
    """
    environ = os.environ if environ is None else environ
    source = read_yaml(path, environ) if path else YamlSource("defaults", {})
    origins: dict[Path_, str] = {}
    for keys, text, origin in [*_from_environment(environ), *_from_overrides(overrides)]:
        _put(source.values, keys, text, origin)
        origins[keys] = origin
    try:
        config = Config.model_validate(source.values)
    except ValidationError as error:
        found = sorted(error.errors(), key=lambda problem: source.line(tuple(problem["loc"])))
        raise ConfigError("\n".join(explained(source, origins, problem) for problem in found)) from None
    problems = [
        f"{source.name}:{source.line(path)}: {name_of(path)}: {message}"
        for path, message in contradictions(config.policies, config.forecast.step)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    _check_security(config)
    return config


def describe(config: Config) -> str:
    """Return the effective configuration as YAML, secrets masked."""
    shown = config.model_dump(mode="json", exclude={"policies"})
    shown["policies"] = [
        policy.model_dump(mode="json", exclude_unset=True, by_alias=True) for policy in config.policies
    ]
    return yaml.safe_dump(shown, sort_keys=False)


def is_loopback(listen: str) -> bool:
    """Whether `host:port` is reachable from this machine only."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_environment(environ: Mapping[str, str]) -> list[tuple[Path_, str, str]]:
    found: list[tuple[Path_, str, str]] = []
    for name, text in sorted(environ.items()):
        if name.startswith("FOREBAND_") and "__" in name:
            keys = tuple(part.lower() for part in name.removeprefix("FOREBAND_").split("__"))
            found.append((keys, text, f"environment {name}"))
    return found


def _from_overrides(overrides: Iterable[str]) -> list[tuple[Path_, str, str]]:
    found: list[tuple[Path_, str, str]] = []
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override}: should be section.key=value")
        found.append((tuple(name.strip().split(".")), text, f"--set {name.strip()}"))
    return found


def _put(values: dict[str, Any], keys: Path_, text: str, origin: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(str(key), {})
        if not isinstance(values, dict):
            raise ConfigError(f"{origin}: {key} is not a section")
    try:
        values[str(keys[-1])] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: {text!r} is not a value") from error


def _check_security(config: Config) -> None:
    """Refuse a door that is open to other machines, and TLS of which a part is missing."""
    config.security.check_complete()
    doors = {
        "receiver.listen": config.receiver.listen,
        "receiver.http_listen": config.receiver.http_listen,
        "grafana.listen": config.grafana.listen,
    }
    for name, listen in doors.items():
        if not (config.security.allows_other_machines or is_loopback(listen)):
            raise ConfigError(
                f"{name}: {listen} is reachable from other machines without TLS and authentication; bind 127.0.0.1, "
                "or set security.tls and security.tokens (or tls.client_ca_file), or security.allow_insecure_bind: true"
            )
